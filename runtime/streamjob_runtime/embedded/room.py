"""Whether a snapshot, a copy of the state, fits into memory beside the state itself."""

from collections.abc import Mapping

import pyarrow as pa

from streamjob_runtime.embedded.database import Database
from streamjob_runtime.errors import JobError

# What DuckDB may have of the memory; the rest is for the snapshot, the rows of a batch, Python and its libraries.
SHARE = 0.5
# Measured in a pod of 1 GiB, up to 14 million groups: what everything else takes, and a copy while it is uploaded.
_OTHERS = 192 << 20
_UPLOAD = 1.15
# A state of so few bytes is no reason to refuse anything.
_SMALL = 16 << 20


class Room:
    """The memory that the process may use: the machine's, or what its container has."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._row_bytes: dict[str, float] = {}  # operator -> bytes a row, in the newest copy of its state

    def note(self, state: Mapping[str, pa.Table]) -> None:
        """A copy of the state, as it is."""
        self._row_bytes = {name: rows.nbytes / rows.num_rows for name, rows in state.items() if rows.num_rows}

    def check(self, rows: Mapping[str, int]) -> None:
        """Raise `JobError` if a copy of that many rows for each operator would not fit.

        Otherwise the kernel would kill the process, again after each restart, and nobody would know why.
        """
        copy = _UPLOAD * sum(self._row_bytes.get(name, 0) * n for name, n in rows.items())
        if copy <= _SMALL:
            return
        limit = (self._db.value("SELECT parse_formatted_bytes(current_setting('memory_limit'))") or 0) / SHARE
        used = self._db.value("SELECT sum(memory_usage_bytes) FROM duckdb_memory()") or 0
        if used + copy + _OTHERS > limit:
            raise JobError(
                f"The state has grown to {sum(rows.values()):,} rows, and does not fit into memory together with a "
                f"snapshot of it: {_mib(used)} for the state, {_mib(copy)} for the snapshot, {_mib(_OTHERS)} for the "
                f"rest, of {_mib(limit)}. Give the job more memory (spec.resources.limits.memory on a cluster), or let "
                "rows leave the state: group by a window over a column with a watermark, or by batch_time."
            )


def _mib(n: float) -> str:
    return f"{n / (1 << 20):,.0f} MiB"
