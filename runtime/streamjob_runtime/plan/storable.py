"""What a snapshot of a state can hold, and how it is taken up again."""

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.kinds import KEPT, first_but
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.tree import Node, aliased, arguments, function_name, select

# Values that are the states of min and max themselves, and that DuckDB does not take for such where it takes others.
_UNCAST = {
    "DATE",
    "TIME",
    "TIME_NS",
    "TIMESTAMP",
    "TIMESTAMP_S",
    "TIMESTAMP_MS",
    "TIMESTAMP_NS",
    "TIMESTAMP WITH TIME ZONE",
    "TIMESTAMPTZ_NS",
    "BLOB",
}


def restored(catalog: Catalog, node: Node, aggregate: Node, name: str) -> str:
    """The state of an aggregate as an expression over a snapshot's column `name`."""
    if function_name(aggregate) in ("min", "max"):
        shown = type_of(catalog, aggregate, node["from_table"])
        if shown in _UNCAST:
            return f"to_aggregate_state(CAST({name} AS {shown}), '{function_name(aggregate)}', ['{shown}'])"
    return name


def refuse_unstorable(does: str, at: Node, kinds: Sequence[str]) -> None:
    """Refuse values that no snapshot gives back as they were. `at`: what the user has written.

    By Arrow a BIT, a UHUGEINT and a TIME WITH TIME ZONE come back as other values; Parquet has no INTERVAL, no UNION.
    """
    found = next((name for kind in kinds if (name := first_but(kind, KEPT)) is not None), None)
    if found == "INTERVAL":
        remedy = "Take its seconds, epoch(x), and make it an INTERVAL again in a later step: to_seconds(x)."
        raise Refusal(f"{does} values of type INTERVAL, which no checkpoint can hold", remedy, at)
    if found is not None:
        raise Refusal(f"{does} values of type {found}, which no checkpoint can hold", "Cast them: x::VARCHAR.", at)


def refuse_unstorable_state(catalog: Catalog, source: Node, written: Node, aggregate: Node, state: Node) -> None:
    """The same for an aggregate whose state holds values of its arguments, and not only numbers that count them."""
    given = [type_of(catalog, aliased(a, ""), source) for a in arguments(aggregate)]
    try:
        counts = _is_numbers(catalog.arrow(catalog.render(select([state], source))).field(0).type)
    except duckdb.NotImplementedException:
        counts = False  # a state that Arrow does not know
    if not counts:
        refuse_unstorable(f"keeps in {function_name(written)}()", written, given)


def type_of(catalog: Catalog, expression: Node, source: Node) -> str:
    """The type of an expression over a FROM clause."""
    return catalog.columns(catalog.render(select([expression], source)))[0].type


def _is_numbers(kind: pa.DataType) -> bool:
    inner = [kind.field(i).type for i in range(kind.num_fields)]
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return all(map(_is_numbers, inner)) if inner else plain
