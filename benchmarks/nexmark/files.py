"""The events as JSON files: a folder for each kind, and the files of one number hold the same while.

`python -m benchmarks.nexmark.files FOLDER` writes them.
"""

import argparse
import itertools
import os
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as pcsv
from benchmarks.nexmark.generator import ROUND, Events, events, side_input

KINDS = ("person", "auction", "bid")
_PARTS = 10
_MTIME = 1_767_250_000  # the files' time, one second apart: one order for whoever reads by it


def write(folder: Path, parts: int, rounds: int, per_second: int, disorder: int = 0, files: int = 1) -> None:
    """`parts` parts of the events below `folder`, `files` files of each kind a part, and the static table of q13."""
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
    pcsv.write_csv(side_input(), folder / "side_input.csv")
    with duckdb.connect() as con:
        for part in range(parts):
            made = events(part, rounds, per_second, disorder)
            for kind in KINDS:
                for number, rows in enumerate(_cut(made, kind, files)):
                    _write(con, rows, folder / kind, part * files + number)


def _cut(made: Events, kind: str, files: int) -> list[pa.Table]:
    """The rows of a kind by file: those that arrive in the same while are in files of one number."""
    table, order = getattr(made, kind), made.order[kind]
    total = sum(len(rows) for rows in made.order.values())
    bounds = [int((order < total * n // files).sum()) for n in range(files + 1)]
    return [table.slice(a, b - a) for a, b in itertools.pairwise(bounds)]


def _write(con: duckdb.DuckDBPyConnection, rows: pa.Table, folder: Path, number: int) -> None:
    path = folder / f"{number:06d}.json"
    con.register("rows", rows)
    con.execute(f"COPY rows TO '{path}' (FORMAT json)")
    os.utime(path, (_MTIME + number, _MTIME + number))


def main() -> None:
    parser = argparse.ArgumentParser(description="Write events of Nexmark as JSON files")
    parser.add_argument("folder", type=Path, help="a folder that is not there yet")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--per-second", type=int, default=10_000, help="of event time")
    given = parser.parse_args()
    write(given.folder, _PARTS, max(1, given.events // _PARTS // ROUND), given.per_second, given.per_second)


if __name__ == "__main__":
    main()
