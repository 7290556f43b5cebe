"""Windowed results read as streams: their rows, as they become final.

Where a SELECT groups a windowed result by a window again, or joins it with a stream, only rows that change no more can
be meant. They come once, with the batch that makes them final, and have an event time: the start of their window or,
where that is not shown, its end.
"""

from collections.abc import Callable

from streamjob_runtime.plan.alignment import DAY_US
from streamjob_runtime.plan.event_time import WINDOWS
from streamjob_runtime.plan.model import Column, FinalRows, Relation
from streamjob_runtime.plan.scope import Known, Windowed
from streamjob_runtime.plan.tree import Node, function_name, walk

Take = Callable[[FinalRows, Known, tuple[Column, ...]], None]


def read_final(node: Node, known: dict[str, Known], relations: dict[str, Relation], take: Take) -> Node:
    """The SELECT with streams of final rows in the places of such results; `take` is given those that are new."""
    if node["type"] != "SELECT_NODE":
        return node
    tables = [n for n in _tables(node["from_table"]) if n.get("table_name") in known]
    read = [known[str(n["table_name"])] for n in tables]
    results = [k for k in read if k.shape in ("table", "view")]
    streams = any(k.shape == "stream" for k in read)
    if not results or any(k.windowed is None for k in results) or not (streams or _has_window(node)):
        return node
    names = {k.name: f"{k.name}.final" for k in results}
    for result in results:
        name = names[result.name]
        if name not in known:
            assert result.windowed is not None
            event_time, lag_us, grid_us = _event_time(result.windowed)
            columns = relations[result.name].columns
            final = Known(name, "stream", result.columns, event_time=event_time, lag_us=lag_us, grid_us=grid_us)
            take(FinalRows(name, result.name, result.windowed.operators), final, columns)
    return {**node, "from_table": _renamed(node["from_table"], names)}


def _event_time(windowed: Windowed) -> tuple[str | None, int, int]:
    """(column, lag, grid) of a windowed result's event time, in microseconds; grid 0: none.

    Windows over batch time are not final by a watermark, so their bounds are no event time.
    """
    window = windowed.window
    if window.of_batches:
        return None, 0, 0
    # A day of a zone may be longer than a day, where the clock is put back.
    size = window.size_us + (DAY_US if window.zone else 0)
    grid = 0 if window.zone or window.offset_us else window.slide_us
    for kind, lag_us in (("start", window.lag_us + size), ("end", window.lag_us)):
        column = next((name for name, bound in windowed.bounds.items() if bound == kind), None)
        if column is not None:
            return column, lag_us, grid if kind == "start" else 0
    return None, 0, 0


def _has_window(node: Node) -> bool:
    return any(
        function_name(part) in WINDOWS for part in walk(node.get("group_expressions", []), into_subqueries=False)
    )


def _tables(tree: Node) -> list[Node]:
    if tree["type"] == "JOIN":
        return [*_tables(tree["left"]), *_tables(tree["right"])]
    return [tree]


def _renamed(tree: Node, names: dict[str, str]) -> Node:
    if tree["type"] == "JOIN":
        return {**tree, "left": _renamed(tree["left"], names), "right": _renamed(tree["right"], names)}
    if tree.get("table_name") not in names:
        return tree
    name = names[str(tree["table_name"])]
    return {
        **tree,
        "table_name": name,
        "qualified_name": {"path": [name]},
        "alias": tree.get("alias") or tree["table_name"],
    }
