#!/usr/bin/env bash
# deltalake 1.6.6: a row whose partition is a negative DECIMAL is committed, and no reader opens the table any more.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check deltalake==1.6.6 pyarrow==26.0.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
"""Seen with deltalake 1.6.6 on 30 November 2026: the sign is written before the whole part and before the fraction,
`k=-1.-50`. The write raises an error, but its commit stands in the log, and from then on every read raises it too."""
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

table = Path(sys.argv[1]) / "table"
kind = pa.decimal128(10, 2)


def append(k: str, v: int) -> None:
    rows = pa.table({"k": pa.array([Decimal(k)], kind), "v": [v]})
    write_deltalake(table, rows, mode="append", partition_by=["k"])


append("1.50", 1)
assert DeltaTable(table).to_pyarrow_table().num_rows == 1
for name, call in {"write": lambda: append("-1.50", 2), "read": lambda: DeltaTable(table).to_pyarrow_table()}.items():
    try:
        call()
    except Exception as error:
        print(f"{name}: {error}")
        assert "'-1.-50'" in str(error)
    else:
        sys.exit(f"{name}: no error; this is mended")
commits = sorted(path.name for path in (table / "_delta_log").glob("*.json"))
print("commits:", commits, "folders:", sorted(path.name for path in table.glob("k=*")))
assert len(commits) == 2
assert (table / "k=-1.-50").is_dir()
PYTHON
