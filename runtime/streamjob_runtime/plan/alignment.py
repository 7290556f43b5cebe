"""Where windows begin: an offset, and the local time of a zone, with its changes to and from summer time."""

from collections.abc import Sequence
from difflib import get_close_matches

from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.model import EventWindow
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.tree import Node, call, cast, literal, rewrite, text

DAY_US = 86_400_000_000


def find_alignment(catalog: Catalog, given: Sequence[Node], how: str, at: Node) -> tuple[str, int]:
    """The zone and the offset, in microseconds, that stand behind a window's length; "" and 0 where they do not.

    `how`: what may be written.
    """
    zone, offset = "", None
    for argument in given:
        name = _text(argument)
        if name is not None and not zone and offset is None:
            zone = _zone(catalog, name, argument)
        elif name is None and offset is None:
            offset = _offset(catalog, argument)
        else:
            raise Refusal("has too many arguments behind the length of a window", how, at)
    return zone, offset or 0


def _text(node: Node) -> str | None:
    kind = node.get("literal", {}).get("kind") if node.get("class") == "CONSTANT" else None
    return str(node["literal"]["text"]) if kind == "STRING" else None


def _zone(catalog: Catalog, name: str, at: Node) -> str:
    zones = catalog.time_zones()
    if name in zones:
        return name
    same = next((zone for zone in zones if zone.lower() == name.lower()), None)
    near = [same] if same else get_close_matches(name, sorted(zones), n=1)
    remedy = f"Did you mean {near[0]}?" if near else "Write a name such as 'Europe/Berlin'."
    raise Refusal(f"names the time zone {name}, which is not known", remedy, at)


def _offset(catalog: Catalog, node: Node) -> int:
    interval = catalog.interval(node)
    if interval is None or interval[0]:
        raise Refusal(
            "has a window whose offset is not a fixed time",
            "Write it in days, hours, minutes or seconds, INTERVAL '6 hours'; a time zone in single quotes before it.",
            node,
        )
    return interval[1]


def local_time(window: EventWindow, time: Node) -> Node:
    """The local time of an event time, which is in UTC if it is a TIMESTAMP."""
    return call("timezone", text(window.zone), cast(time, "TIMESTAMPTZ"))


def instant(catalog: Catalog, window: EventWindow, local: Node) -> Node:
    """The first instant at which it is so late in the zone, in the type of the window.

    Where midnight comes twice, an hour apart, DuckDB takes the second; where there is none, the end of the gap.
    """
    zone = literal(window.zone)
    late = f"timezone({zone}, t)"
    first = f"CASE WHEN timezone({zone}, {late} - INTERVAL 1 HOUR) = t THEN {late} - INTERVAL 1 HOUR ELSE {late} END"
    sql = f"timezone('UTC', {first})" if window.type == "TIMESTAMP" else first
    tree = catalog.parse(f"SELECT {sql}")[0]["select_list"][0]
    written: Node = rewrite(tree, lambda n: local if n["type"] == "COLUMN_REF" else None)
    return written
