#!/usr/bin/env bash
# pyarrow 26.0.1: a valid table does not cast to its own schema, where structs in lists hold structs of nothing but NULL.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PYTHON'
"""Seen with pyarrow 26.0.1 on 1 December 2026: validate(full=True) finds the table whole, and cast() to the very schema
that it has raises ArrowInvalid: the null column within the inner structs has the length of the lists, not that of the
structs. Whoever casts tables to a common schema cannot keep what a query gives for {'k': k, 's': {'n': NULL}}."""
import pyarrow as pa

inner = [{"s": {"n": None}}, {"s": {"n": None}}]
table = pa.table({"l": pa.array([inner[:1], inner])})
table.validate(full=True)
try:
    table.cast(table.schema)
    said = "nothing"
except pa.ArrowInvalid as error:
    said = str(error)
print(said)
assert "has length smaller than expected for struct array (2 < 3)" in said, "this has changed"
PYTHON
