"""The PostgreSQL example, run as a user runs it."""

import os
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

from support.command import STREAMJOB
from support.postgres import PostgresServer

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "postgres-totals"


def test_the_turnover_of_each_customer(tmp_path: Path, postgres: PostgresServer) -> None:
    dsn = postgres.create_schema()
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "example"))
    for command in ("check", "run", "run"):
        done = subprocess.run(
            [STREAMJOB, command, "streamjob.yaml"],
            cwd=folder,
            env=os.environ | {"PG_DSN": dsn},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert postgres.password not in done.stdout + done.stderr
    assert postgres.rows("SELECT * FROM turnover ORDER BY customer", dsn) == [
        ("ada", 2, Decimal("15.60")),
        ("edsger", 1, Decimal("99.99")),
        ("grace", 2, Decimal("8.00")),
    ]
    assert postgres.rows("SELECT count(*), count(DISTINCT id) FROM orders", dsn) == [(5, 5)]
