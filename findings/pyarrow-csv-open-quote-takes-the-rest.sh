#!/usr/bin/env bash
# pyarrow 26.0.1: a quote that is never closed takes the rest of a CSV file into one value, without an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
"""Seen with pyarrow 26.0.1 on 30 November 2026, with newlines_in_values left at its default, False: of four records
two are read, and the second has the others in its text."""
import io

from pyarrow import csv

text = b'id,name\n1,a\n2,"b\n3,c\n4,d\n'
rows = csv.read_csv(io.BytesIO(text), parse_options=csv.ParseOptions(newlines_in_values=False)).to_pylist()
print(rows)
assert rows == [{"id": 1, "name": "a"}, {"id": 2, "name": "b\n3,c\n4,d\n"}], "this has changed"
PYTHON
