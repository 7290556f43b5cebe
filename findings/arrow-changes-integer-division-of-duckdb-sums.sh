#!/usr/bin/env bash
# DuckDB 2.0.0 and Arrow: the sum of integers, handed on as an Arrow table, is divided otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.0 pyarrow==26.0.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
"""Seen with duckdb 2.0.0 and pyarrow 26.0.1 on 30 November 2026: sum() of an INTEGER is a HUGEINT, for which Arrow has
no type. The export makes it DECIMAL(38,0) without a word, and `//` of a DECIMAL is a division of DOUBLEs: 12 becomes
12.99. Whoever computes in two queries with an Arrow table between them gets another number than in one."""
import duckdb

con = duckdb.connect()
once = con.execute("SELECT sum(n) // 100 AS q, typeof(sum(n)) AS t FROM (VALUES (1299), (0)) AS v(n)").fetchall()
rows = con.sql("SELECT sum(n) AS s FROM (VALUES (1299), (0)) AS v(n)").to_arrow_table()
twice = con.execute("SELECT s // 100 AS q, typeof(s) AS t FROM rows").fetchall()
print("in one query:", once, "with an Arrow table between:", twice)
assert once == [(12, "HUGEINT")]
assert twice == [(12.99, "DECIMAL(38,0)")], "this has changed"
PYTHON
