"""Which kind of step a flat query is, and what it becomes."""

import re
from dataclasses import replace

import duckdb

from streamjob_runtime.plan.aggregation import has_aggregates, plan_aggregation
from streamjob_runtime.plan.binding import explain
from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.event_time import refuse_windows
from streamjob_runtime.plan.followed import shown_event_time, united_event_time
from streamjob_runtime.plan.leaving import of_rows
from streamjob_runtime.plan.model import Aggregation, Column, Projection, RollingWindow, Step, state_table
from streamjob_runtime.plan.normalize import Flat
from streamjob_runtime.plan.order import settle_over_table
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.refuse import refuse_on_stream
from streamjob_runtime.plan.scope import BATCH_TIME, Known, Leaf, Scope, Windowed, leaves, merged_columns
from streamjob_runtime.plan.times import narrower, put_times, put_times_in_union, take_rolling
from streamjob_runtime.plan.tree import STATE, Node, bare_name, names, walk
from streamjob_runtime.plan.types import check_columns
from streamjob_runtime.plan.window_local import window_local

_CUTS = re.compile(r"(date_trunc|datetrunc|time_bucket|date_bin)\(")

Planned = tuple[Step, Known, tuple[Column, ...]]


def plan_step(catalog: Catalog, relations: dict[str, Known], flat: Flat, ttl_ms: int | None = None) -> Planned:
    """The step, what is known of its relation, and its columns. Raises `Refusal`.

    `ttl_ms`: how long its groups stay that no row touches, if they are of no window.
    """
    inputs = inputs_of(flat.node, relations)
    shapes = {relations[i].shape for i in inputs}
    if flat.node["type"] == "SET_OPERATION_NODE":
        return _set_operation(catalog, relations, flat, inputs, shapes)
    parts = leaves(flat.node["from_table"], relations, catalog)
    scope = Scope(parts, merged_columns(flat.node["from_table"], parts))
    grouped = has_aggregates(catalog, flat.node)
    if "stream" not in shapes:
        node = put_times(catalog, scope, relations, flat.node)
        if not shapes <= {"static"}:
            node = settle_over_table(catalog, node)
        refuse_windows(node, "on what is no stream")
        known = _over_tables(catalog, flat.name, node, scope, parts, shapes, grouped)
        local = window_local(catalog, scope, parts, node, grouped)
        known = replace(known, windowed=local.windowed, across=local.why)
        return _projection(catalog, flat, node, inputs, known)
    refuse_on_stream(catalog, flat.node, parts, relations, grouped)
    rolling, where = take_rolling(catalog, scope, flat.node.get("where_clause"))
    stream = next(leaf.known for leaf in parts if leaf.known is not None and leaf.known.shape == "stream")
    rolling = narrower(rolling, stream.rolling)
    node = {k: v for k, v in flat.node.items() if k != "where_clause"}
    if where is not None:
        node["where_clause"] = where
    if grouped:
        timed = put_times(catalog, scope, relations, node)
        return _aggregation(catalog, flat.name, scope, timed, rolling, inputs, ttl_ms)
    refuse_windows(node, "without GROUP BY")
    _keep_batch_time(catalog, scope, node)
    event_time, lag_us = shown_event_time(catalog, scope, node)
    known = Known(flat.name, "stream", (), event_time=event_time, lag_us=lag_us, rolling=rolling)
    return _projection(catalog, flat, put_times(catalog, scope, relations, node), inputs, known)


def inputs_of(node: Node, relations: dict[str, Known]) -> tuple[str, ...]:
    """The relations that a query reads."""
    tables = [str(n["table_name"]) for n in walk(node) if n["type"] == "BASE_TABLE"]
    return tuple(dict.fromkeys(t for t in tables if t in relations))


def _projection(catalog: Catalog, flat: Flat, node: Node, inputs: tuple[str, ...], known: Known) -> Planned:
    sql = catalog.render(node)
    try:
        columns = catalog.columns(sql)
    except duckdb.Error as error:
        raise explain(error, flat.node) from None
    _refuse_same_names(columns)
    check_columns(columns, flat.node)
    shown = tuple(c.name for c in columns)
    # A column that is named keeps the spelling with which it was declared.
    event_time = next((c for c in shown if c.lower() == (known.event_time or "").lower()), None)
    windowed = known.windowed
    if windowed is not None:
        declared = {c.lower(): c for c in shown}
        bounds = {declared[name.lower()]: kind for name, kind in windowed.bounds.items()}
        windowed = replace(windowed, bounds=bounds)
    known = replace(known, columns=shown, event_time=event_time, windowed=windowed)
    return Projection(flat.name, sql, inputs), known, columns


def _refuse_same_names(columns: tuple[Column, ...]) -> None:
    seen: set[str] = set()
    for column in columns:
        if column.name.lower() in seen:
            raise Refusal(f"has two columns named {column.name}", "Give one of them another name with AS.")
        seen.add(column.name.lower())


def _aggregation(
    catalog: Catalog,
    name: str,
    scope: Scope,
    node: Node,
    rolling: RollingWindow | None,
    inputs: tuple[str, ...],
    ttl_ms: int | None,
) -> Planned:
    step, one_by_one, changes = plan_aggregation(catalog, scope, name, node, rolling, inputs, ttl_ms)
    try:
        catalog.define_as(state_table(name), step.delta)
        columns = catalog.columns(step.result)
    except duckdb.Error as error:
        raise explain(error, node) from None
    _refuse_same_names(columns)
    check_columns(columns, node)
    final = one_by_one and step.event_window is not None and step.event_window.ends
    known = Known(
        name,
        "table" if one_by_one else "view",
        tuple(c.name for c in columns),
        operator=name if one_by_one else None,
        final=final,
        no_window=_no_window(step),
        changes=changes,
        windowed=_windowed(scope, node, step, columns) if final and not _is_session(step) else None,
        no_update="a session grows together with others, whose rows would stay" if _is_session(step) else "",
    )
    return step, known, columns


def _windowed(scope: Scope, node: Node, step: Aggregation, columns: tuple[Column, ...]) -> Windowed:
    """The windows that the groups are of."""
    window = step.event_window
    assert window is not None
    bounds = {}
    for item, shown, text in zip(node["select_list"], columns, step.items, strict=True):
        is_key = text.startswith(f"{STATE}.k")
        if bare_name(item) is not None or (item["type"] == "COLUMN_REF" and scope.find(item) is None):
            kind = names(item)[-1].lower().removeprefix("window_")
            if kind in ("start", "end") and not is_key:
                bounds[shown.name] = kind
    return Windowed((step.name,), window, bounds)


def _is_session(step: Aggregation) -> bool:
    """Whether the windows are sessions: those that begin together do not end together."""
    return step.event_window is not None and step.event_window.session


def _no_window(step: Aggregation) -> str:
    if step.event_window is not None and not step.event_window.ends:
        return f"{step.each[-1].removeprefix('window ')}, which is over no such column"
    cuts = next((key for key in step.each[: step.keys] if _CUTS.match(key)), None)
    return f"{cuts}, which is no window" if cuts else ""


def _over_tables(
    catalog: Catalog, name: str, node: Node, scope: Scope, parts: list[Leaf], shapes: set[str], grouped: bool
) -> Known:
    """A step that reads no stream: rows of static tables, or of a kept result, or a view of results."""
    if shapes <= {"static"}:
        return Known(name, "static", ())
    kept = [leaf for leaf in parts if leaf.known is not None and leaf.known.shape != "static"]
    reads = [n for n in walk(node) if n["type"] == "BASE_TABLE"]
    table = kept[0].known if len(kept) == 1 and kept[0].kept else None
    row_by_row = (
        table is not None
        and table.shape == "table"
        and len(reads) == len([leaf for leaf in parts if leaf.node["type"] == "BASE_TABLE"])
        and not grouped
        and not node.get("modifiers")
        and "qualify" not in node
        and not any(n.get("class") == "WINDOW" for n in walk(node, into_subqueries=False))
    )
    if table is None or not row_by_row:
        return Known(name, "view", ())
    changes = of_rows(catalog, scope, kept[0], node)
    return Known(
        name,
        "table",
        (),
        operator=table.operator,
        final=table.final,
        no_window=table.no_window,
        no_update=table.no_update,
        changes=changes,
    )


def _set_operation(
    catalog: Catalog, relations: dict[str, Known], flat: Flat, inputs: tuple[str, ...], shapes: set[str]
) -> Planned:
    if "stream" not in shapes:
        shape = "static" if shapes <= {"static"} else "view"
        return _projection(catalog, flat, put_times_in_union(catalog, flat.node), inputs, Known(flat.name, shape, ()))
    if shapes != {"stream"}:
        raise Refusal("unites a stream with a table", "Unite streams with streams only.")
    if flat.node["setop_type"] not in ("UNION", "UNION_BY_NAME") or not flat.node.get("setop_all", True):
        kind = str(flat.node["setop_type"]).replace("_", " ")
        raise Refusal(
            f"has {kind} over streams, which would have to remember every row", "UNION ALL is kept up to date."
        )
    if flat.node.get("modifiers"):
        raise Refusal("orders or limits a stream", "Group the rows first; a table can be ordered and limited.")
    known = [relations[i] for i in inputs]
    if len({k.rolling for k in known}) > 1:
        raise Refusal(
            "unites streams with different rolling windows", "Put the filter on batch_time after the UNION ALL."
        )
    event_time = united_event_time(known, by_name=flat.node["setop_type"] == "UNION_BY_NAME")
    return _projection(
        catalog,
        flat,
        flat.node,
        inputs,
        Known(
            flat.name,
            "stream",
            (),
            event_time=event_time,
            lag_us=max(k.lag_us for k in known),
            rolling=known[0].rolling,
        ),
    )


def _keep_batch_time(catalog: Catalog, scope: Scope, node: Node) -> None:
    for item in node["select_list"]:
        if item["class"] == "STAR":
            continue
        is_it = item["class"] == "COLUMN_REF" and scope.is_batch_time(item)
        if catalog.output_name(item).lower() == BATCH_TIME and not is_it:
            raise Refusal(
                "calls a column batch_time, which is the name of the batch's own time", "Give it another name.", item
            )
