"""What a snapshot of a state can hold, and how: columns as expressions, there and back.

A snapshot is Arrow and then Parquet. What these do not give back as it was stands in it as text.
"""

import duckdb
import pyarrow as pa

from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.kinds import KEPT, first_but, first_of, replaced
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.tree import Node, aliased, arguments, function_name, literal, select

Stored = tuple[str, str]  # a column of the state as it stands in a snapshot, and back

# By Arrow these come back as other values.
_TEXTS = {"UHUGEINT": "VARCHAR", "BIT": "VARCHAR", "TIME WITH TIME ZONE": "VARCHAR"}
# What min and max compare in place of such values, and keep beside them.
_COMPARED = {"BIT": "BLOB", "TIME WITH TIME ZONE": "UBIGINT"}
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


def stored_key(catalog: Catalog, source: Node, key: Node, name: str) -> Stored:
    """How a key is stored. Raises `Refusal` for a type that no snapshot holds."""
    kind = type_of(catalog, key, source)
    _refuse_unkept("groups by", key, kind)
    return (name, name) if first_of(kind, frozenset(_TEXTS)) is None else _by_text(name, kind)


def stored_column(catalog: Catalog, source: Node, column: Node, name: str, does: str) -> Stored:
    """How a column of a row is stored. Raises `Refusal`, which says what the step `does`, for a type that no snapshot
    holds.
    """
    kind = type_of(catalog, column, source)
    _refuse_unkept(does, column, kind)
    return (name, name) if first_of(kind, frozenset(_TEXTS)) is None else _by_text(name, kind)


def stored_set(catalog: Catalog, source: Node, written: Node, values: Node, name: str) -> Stored:
    """How a set of values is stored, a list. Raises `Refusal` for a type that no snapshot holds."""
    kind = type_of(catalog, values, source)
    _refuse_unkept(f"keeps in {function_name(written)}()", written, kind)
    return (name, name) if first_of(kind, frozenset(_TEXTS)) is None else _by_text(name, kind)


def stored_state(catalog: Catalog, source: Node, written: Node, aggregate: Node, state: Node, name: str) -> Stored:
    """How an aggregate's state is stored. Raises `Refusal` for values that no snapshot holds.

    `written`: the aggregate as the user has it, for messages; `aggregate`: as it is kept; `state`: what it exports.
    """
    does, function = f"keeps in {function_name(written)}()", function_name(aggregate)
    given = [type_of(catalog, aliased(a, ""), source) for a in arguments(aggregate)]
    try:
        layout: pa.DataType | None = catalog.arrow(catalog.render(select([state], source))).field(0).type
    except duckdb.NotImplementedException:
        layout = None  # a state that Arrow does not know
    if layout is not None and _is_numbers(layout):
        return name, name  # of the arguments themselves it holds nothing
    for kind in given:
        _refuse_unkept(does, written, kind)
    for kind in given:
        if found := first_of(kind, frozenset(_TEXTS)):
            made_of = _layout(catalog, kind, layout)
            if made_of is None:
                raise _refusal(does, written, found)
            return _by_text(name, made_of)
    if function in ("min", "max") and given[0] in _UNCAST:
        return name, f"to_aggregate_state(CAST({name} AS {given[0]}), {literal(function)}, [{literal(given[0])}])"
    return name, name


def type_of(catalog: Catalog, expression: Node, source: Node) -> str:
    """The type of an expression over a FROM clause."""
    return catalog.columns(catalog.render(select([expression], source)))[0].type


def _by_text(name: str, kind: str) -> Stored:
    return f"CAST({name} AS {replaced(kind, _TEXTS)})", f"CAST({name} AS {kind})"


def _layout(catalog: Catalog, kind: str, layout: pa.DataType | None) -> str | None:
    """The type of which a state over values of that kind is made, by its form in Arrow. DuckDB itself says it of none.

    None: it has another form than is known here.
    """
    compared = replaced(kind, _COMPARED)
    for wanted in (kind, f"{kind}[]", f'STRUCT(arg {kind}, "by" {compared})'):
        if catalog.arrow(f"SELECT CAST(NULL AS {wanted})").field(0).type == layout:
            return wanted
    return None


def _refuse_unkept(does: str, at: Node, kind: str) -> None:
    found = first_but(kind, KEPT)
    if found is not None:
        raise _refusal(does, at, found)


def _refusal(does: str, at: Node, kind: str) -> Refusal:
    remedy = "Cast them: x::VARCHAR."
    if kind == "INTERVAL":
        # 30 days equal a month: which of them a group or max() shows would depend on the order of rows.
        remedy = "Take its seconds, epoch(x), and make it an INTERVAL again in a later step: to_seconds(x)."
    return Refusal(f"{does} values of type {kind}, which no checkpoint can hold", remedy, at)


def _is_numbers(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind) or pa.types.is_list(kind):
        return all(_is_numbers(kind.field(i).type) for i in range(kind.num_fields))
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
