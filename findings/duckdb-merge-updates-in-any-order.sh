#!/usr/bin/env bash
# DuckDB 2.0.0: MERGE of thousands of rows takes many times as long as UPDATE and INSERT of the same rows in order.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.0
"$folder/venv/bin/python" - <<'PYTHON'
"""Seen with duckdb 2.0.0 on 1 December 2026: a table of 10,000 groups, into which 10,000 more are merged of which some
are new. MERGE probes with the new rows and updates the old ones in that order, which costs the square of the rows of a
row group: about 250 ms on one thread. Joined first, sorted by rowid and then updated by it, the same takes 10 ms. With
2,000 rows, or 60,000 into 100,000, there is no such difference."""
import statistics
import time

import duckdb

GROUPS, ROWS = 10_000, 50_000
DELTA = "SELECT k, count(*) EXPORT_STATE AS a FROM rows GROUP BY k"


def merge(con):
    con.execute(
        f"MERGE INTO s USING ({DELTA}) AS d ON s.k = d.k WHEN MATCHED THEN UPDATE SET a = combine(s.a, d.a) "
        "WHEN NOT MATCHED THEN INSERT VALUES (d.k, d.a) RETURNING s.k, finalize(s.a)"
    ).fetchall()


def in_order(con):
    con.execute(
        "CREATE OR REPLACE TEMP TABLE t AS SELECT d.k, CASE WHEN s.rowid IS NULL THEN d.a ELSE combine(s.a, d.a) END "
        f"AS a, s.rowid AS place FROM ({DELTA}) AS d LEFT JOIN s ON s.k = d.k ORDER BY place"
    )
    con.execute("UPDATE s SET a = t.a FROM t WHERE s.rowid = t.place")
    con.execute("INSERT INTO s SELECT k, a FROM t WHERE place IS NULL")
    con.execute("SELECT k, finalize(a) FROM t").fetchall()


def milliseconds(way):
    con = duckdb.connect(config={"threads": 1})
    took = []
    for batch in range(5):
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE rows AS SELECT 'k' || hash(i + {batch * ROWS}) % {GROUPS} AS k "
            f"FROM range({ROWS}) AS r(i)"
        )
        if batch == 0:
            con.execute(f"CREATE TABLE s AS SELECT * FROM ({DELTA}) LIMIT 0")
        began = time.process_time()
        way(con)
        took.append((time.process_time() - began) * 1000)
    total = con.execute("SELECT sum(finalize(a)) FROM s").fetchone()[0]
    return statistics.median(took[1:]), total


(merged, one), (ordered, other) = milliseconds(merge), milliseconds(in_order)
print(f"MERGE: {merged:.0f} ms; in order: {ordered:.0f} ms")
assert one == other == 5 * ROWS
assert merged > 4 * ordered, "this has changed"
PYTHON
