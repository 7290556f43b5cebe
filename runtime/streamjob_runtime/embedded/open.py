"""From a manifest to a query that runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from streamjob_runtime.embedded.database import Database, translated
from streamjob_runtime.embedded.engine import EmbeddedQuery
from streamjob_runtime.embedded.room import SHARE
from streamjob_runtime.plan.connect import connect
from streamjob_runtime.plan.planner import plan


def open_query(
    spec: Any,
    *,
    threads: int | None = None,
    memory_limit: str = f"{SHARE:.0%}",
    scratch: Path | None = None,
    table_schemas: Mapping[str, pa.Schema] | None = None,
) -> EmbeddedQuery:
    """The query of a `StreamJobSpec`, with an empty state. Raises `PlanError`, a `JobError`.

    `threads`: how many DuckDB uses, if None as many as the machine has cores, or as its container may use.
    `memory_limit`: as DuckDB writes it ("2GB", or a share of what the machine or the container has); what does not fit
    goes to files in `scratch`. `table_schemas`: the columns of static tables whose manifest entry has no `schema`.
    """
    planned = plan(spec, table_schemas or {})
    with translated("Opening the query"):
        db = Database(connect(threads, memory_limit, scratch))
        # Arrow would take the machine's cores for its own, whatever the container may use.
        pa.set_cpu_count(db.value("SELECT current_setting('threads')") or 1)
        return EmbeddedQuery(planned, db)
