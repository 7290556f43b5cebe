#!/usr/bin/env bash
# deltalake 1.6.6: a partition of type BINARY comes back as the text of its escapes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check deltalake==1.6.6 pyarrow==26.0.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
"""Seen with deltalake 1.6.6 on 30 November 2026: the two bytes `ab` are written as the twelve characters of two
escapes, as the protocol has them for binary values, and read back as these twelve bytes. No error is raised."""
import sys
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

table = Path(sys.argv[1]) / "table"
write_deltalake(table, pa.table({"k": pa.array([b"ab"], pa.binary()), "v": [1]}), partition_by=["k"])
(row,) = DeltaTable(table).to_pyarrow_table().to_pylist()
print("written:", b"ab", "read:", row["k"])
assert row["k"] == rb"\u0061\u0062", "this is mended"
PYTHON
