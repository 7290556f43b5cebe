"""`tumble`, `hop` and `session` in GROUP BY: windows over event time."""

import math
from dataclasses import dataclass

import duckdb

from streamjob_runtime.plan.alignment import DAY_US, find_alignment, instant, local_time
from streamjob_runtime.plan.binding import explain
from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.kinds import NUMBERS
from streamjob_runtime.plan.model import IN_TIME_CALL, MARK, EventWindow
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.scope import Scope
from streamjob_runtime.plan.sources import TIMES
from streamjob_runtime.plan.tree import (
    STATE,
    Node,
    arguments,
    call,
    cast,
    column,
    function_name,
    integer,
    select,
    text,
    walk,
)

WINDOWS = {
    "tumble": "tumble(column, size), and behind it a time zone in quotes, an offset, or both",
    "hop": "hop(column, slide, size), and behind it a time zone in quotes, an offset, or both",
    "session": "session(column, gap)",
}


@dataclass(frozen=True, slots=True)
class KeyWindow:
    """A window as it stands in GROUP BY."""

    call: Node
    column: Node  # the event time
    event: EventWindow


def refuse_windows(tree: object, clause: str) -> None:
    """Refuse `tumble`, `hop` and `session` where they mean nothing."""
    for node in walk(tree):
        if node.get("class") == "FUNCTION" and function_name(node) in WINDOWS:
            raise Refusal(
                f"has {function_name(node)}() {clause}",
                "It belongs into GROUP BY; its bounds are window_start and window_end.",
                node,
            )


def find_window(catalog: Catalog, scope: Scope, group: Node, from_table: Node) -> KeyWindow | None:
    """The window that this expression of a GROUP BY is; None: it is a plain key."""
    name = function_name(group)
    if name not in WINDOWS:
        refuse_windows(group, "inside another expression")
        return None
    given = arguments(group)
    needed = 3 if name == "hop" else 2
    if len(given) < needed or (name == "session" and len(given) > needed):
        raise Refusal(f"calls {name}() with {len(given)} arguments", f"Write {WINDOWS[name]}.", group)
    lengths = [_length(catalog, g) for g in given[1:needed]]
    slide, size = lengths[0], lengths[-1]
    if slide > size:
        raise Refusal("has windows that slide by more than their size, so rows fall between", "", group)
    leaf = scope.leaf_of(given[0]) if given[0]["type"] == "COLUMN_REF" else None
    watermarked = leaf is not None and scope.is_event_time(given[0], leaf)
    kind = _time_type(catalog, given[0], from_table)
    zone, offset = find_alignment(catalog, given[needed:], f"Write {WINDOWS[name]}.", group)
    if zone and (size % DAY_US or slide % DAY_US):
        raise Refusal(
            "has windows in a time zone that are no whole days",
            "Leave the zone out, which says when a day begins; where hours begin at the half, an offset says it.",
            group,
        )
    of_batches = function_name(given[0]) == MARK
    lag = 0
    if watermarked and leaf is not None and leaf.known is not None:
        grid = 0 if zone or offset % slide or name == "session" else leaf.known.grid_us
        # The last of the times that are in a window is a whole step of the grid before its end.
        lag = leaf.known.lag_us - (grid if grid and slide % grid == 0 and size % grid == 0 else 0)
    event = EventWindow(size, slide, kind, watermarked, offset % slide, zone, of_batches, name == "session", lag_us=lag)
    return KeyWindow(group, given[0], event)


def _length(catalog: Catalog, node: Node) -> int:
    interval = catalog.interval(node)
    if interval is None or interval[0] or interval[1] <= 0:
        raise Refusal(
            "has a window whose length is not a fixed time", "Write it in days, hours, minutes or seconds.", node
        )
    return interval[1]


def _time_type(catalog: Catalog, event_time: Node, from_table: Node) -> str:
    try:
        kind = catalog.columns(catalog.render(select([event_time], from_table)))[0].type
    except duckdb.Error as error:
        raise explain(error, event_time) from None
    if kind not in TIMES:
        number = kind.partition("(")[0] in NUMBERS
        how = "epoch_ms(x) of milliseconds, to_timestamp(x) of seconds" if number else "CAST(… AS TIMESTAMP)"
        remedy = f"It must be a TIMESTAMP: {how}."
        raise Refusal(f"has a window over a column of type {kind}", remedy, event_time)
    return kind


def pane_us(window: EventWindow) -> int:
    """The length of the pieces that windows are made of."""
    return math.gcd(window.size_us, window.slide_us)


def pane_start(window: KeyWindow) -> Node:
    """The start of the pane that a row is in, as the state has it.

    A session's rows of one pane are all in one session, as a pane is as long as the gap; and all late, or none.
    """
    event, pane = window.event, pane_us(window.event)
    if event.session:
        origin = cast(call(IN_TIME_CALL), event.type)
        return call("time_bucket", call("to_microseconds", integer(pane)), window.column, origin)
    epoch = cast(text("1970-01-01 00:00:00+00"), "TIMESTAMPTZ")
    if event.type == "TIMESTAMP" or event.zone:
        epoch = cast(text("1970-01-01"), "TIMESTAMP")
    if event.offset_us % pane:
        epoch = call("+", epoch, call("to_microseconds", integer(event.offset_us % pane)))
    time = local_time(event, window.column) if event.zone else window.column
    return call("time_bucket", call("to_microseconds", integer(pane)), time, epoch)


def shown_start(catalog: Catalog, window: EventWindow) -> Node:
    """The start of a window, from the state."""
    start = column(STATE, "w")
    return instant(catalog, window, start) if window.zone else start


def shown_end(catalog: Catalog, window: EventWindow) -> Node:
    """The end of a window, from the state."""
    end = call("+", column(STATE, "e" if window.session else "w"), call("to_microseconds", integer(window.size_us)))
    return instant(catalog, window, end) if window.zone else end
