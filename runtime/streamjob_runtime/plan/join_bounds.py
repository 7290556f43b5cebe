"""How long a row of a join of streams may still find a match: what its condition says of event times."""

from collections.abc import Iterator
from dataclasses import dataclass

from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.scope import Leaf, Scope
from streamjob_runtime.plan.tree import Node, arguments, function_name

_UP = {"COMPARE_LESSTHAN", "COMPARE_LESSTHANOREQUALTO"}
_DOWN = {"COMPARE_GREATERTHAN", "COMPARE_GREATERTHANOREQUALTO"}


@dataclass(frozen=True, slots=True)
class Bound:
    """A row matches only rows of the relation `by` whose event time is at most `until` and `plus_us` microseconds."""

    by: Leaf
    until: Node  # over the row itself
    plus_us: int
    own: Leaf | None  # the relation whose event time `until` is; None: it is another expression


def bounds_of(catalog: Catalog, scope: Scope, condition: Node) -> Iterator[Bound]:
    """What one part of a join's condition says. `scope`: that of joins."""
    for small, big in _ordered(condition):
        yield from _of_times(catalog, scope, small, big, 0)
        if (apart := _difference(small)) is not None and (most := _micros(catalog, big)) is not None:
            yield from _of_times(catalog, scope, apart[0], apart[1], most)
        if (apart := _difference(big)) is not None and (least := _micros(catalog, small)) is not None:
            yield from _of_times(catalog, scope, apart[1], apart[0], -least)


def _of_times(catalog: Catalog, scope: Scope, small: Node, big: Node, plus_us: int) -> Iterator[Bound]:
    """`small <= big + plus_us`."""
    time, shift = _shifted(catalog, small)
    by = _event_time_of(scope, time)
    if by is not None:
        until, further = _shifted(catalog, big)
        yield Bound(by, until, plus_us + further - shift, _event_time_of(scope, until))


def _ordered(condition: Node) -> Iterator[tuple[Node, Node]]:
    """What is at most what, by the condition."""
    kind = condition["type"]
    if condition.get("class") == "BETWEEN" and kind == "COMPARE_BETWEEN":
        yield condition["lower"], condition["input"]
        yield condition["input"], condition["upper"]
    elif kind in _UP or kind == "COMPARE_EQUAL":
        yield condition["left"], condition["right"]
    if kind in _DOWN or kind == "COMPARE_EQUAL":
        yield condition["right"], condition["left"]


def _shifted(catalog: Catalog, node: Node) -> tuple[Node, int]:
    """The expression without the constant intervals that are added to it, and the sum of these in microseconds."""
    name, given = function_name(node), arguments(node) if node.get("class") == "FUNCTION" else []
    if name in ("+", "-") and len(given) == 2:
        for inner, constant in ((given[0], given[1]), (given[1], given[0])):
            micros = _micros(catalog, constant)
            if micros is not None and (name == "+" or inner is given[0]):
                found, shift = _shifted(catalog, inner)
                return found, shift + (micros if name == "+" else -micros)
    return node, 0


def _difference(node: Node) -> tuple[Node, Node] | None:
    given = arguments(node) if function_name(node) == "-" else []
    return (given[0], given[1]) if len(given) == 2 else None


def _micros(catalog: Catalog, node: Node) -> int | None:
    """The length of a constant interval; None: it is none, or has months, which have no one length."""
    interval = catalog.interval(node)
    return None if interval is None or interval[0] else interval[1]


def _event_time_of(scope: Scope, node: Node) -> Leaf | None:
    if node["type"] != "COLUMN_REF":
        return None
    leaf = scope.leaf_of(node)
    return leaf if leaf is not None and scope.is_event_time(node, leaf) else None
