"""The example that writes Delta tables, run as a user runs it, and read by Delta's own client."""

import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from deltalake import DeltaTable

from streamjob_runtime.stores.connections import Connections, Secrets
from support.delta import DeltaFolder

EXAMPLE = Path(__file__).parents[2] / "examples" / "delta-turnover"
STREAMJOB = Path(sys.executable).with_name("streamjob")


def run(folder: Path) -> None:
    command: list[str | Path] = [STREAMJOB, "run", folder / "streamjob.yaml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr


def test_orders_and_turnover(tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns("out", ".streamjob")
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "example", ignore=ignore))
    run(folder)
    run(folder)  # a start with nothing to do
    turnover = DeltaFolder(str(folder / "out" / "turnover"), Connections(None, Secrets(None, {})))
    assert turnover.rows() == [
        ("ada", 2, Decimal("19.75")),
        ("edsger", 1, Decimal("99.99")),
        ("grace", 2, Decimal("100.00")),
    ]
    orders = DeltaTable(folder / "out" / "orders")
    assert orders.metadata().partition_columns == ["day"]
    assert sorted(p["day"] for p in orders.partitions()) == ["2026-11-20", "2026-11-21"]
    # The table, a commit for each batch, and one for each start.
    assert orders.version() == 4
