"""The batch's time in a step's SQL: clocks, the hidden column `batch_time`, and the filter of a rolling window."""

from streamjob_runtime.query.catalog import Catalog
from streamjob_runtime.query.functions import batch_time_for, time_call
from streamjob_runtime.query.plan import RollingWindow
from streamjob_runtime.query.problems import Refusal
from streamjob_runtime.query.scope import Scope
from streamjob_runtime.query.tree import Node, arguments, conjunction, conjuncts, function_name, key_of, rewrite, walk

# batch_time <comparison> bound, as if batch_time stood on the left; whether a batch exactly that old counts.
_KEEPS = {"COMPARE_GREATERTHAN": False, "COMPARE_GREATERTHANOREQUALTO": True}
_MIRRORED = {
    "COMPARE_LESSTHAN": "COMPARE_GREATERTHAN",
    "COMPARE_LESSTHANOREQUALTO": "COMPARE_GREATERTHANOREQUALTO",
}
_HINT = "Keep a rolling window with WHERE batch_time > now() - INTERVAL '10 minutes', alone or joined by AND."


def take_rolling(catalog: Catalog, scope: Scope, where: Node | None) -> tuple[RollingWindow | None, Node | None]:
    """The rolling window that a WHERE asks for, and the rest of the condition."""
    found: RollingWindow | None = None
    rest: list[Node] = []
    for part in conjuncts(where):
        window = _rolling(catalog, scope, part)
        if window is None:
            rest.append(part)
        else:
            found = narrower(found, window)
    return found, conjunction(rest)


def narrower(one: RollingWindow | None, other: RollingWindow | None) -> RollingWindow | None:
    """What both windows let through."""
    if one is None or other is None:
        return one or other
    return min(one, other, key=lambda w: (w.length_ms, w.inclusive))


def _rolling(catalog: Catalog, scope: Scope, part: Node) -> RollingWindow | None:
    if part.get("class") != "COMPARISON":
        return None
    left, right, kind = part["left"], part["right"], part["type"]
    if kind in _MIRRORED:
        left, right, kind = right, left, _MIRRORED[kind]
    if kind not in _KEEPS or not _is_batch_time(scope, left) or function_name(right) != "-":
        return None
    operands = arguments(right)
    if len(operands) != 2 or time_call(operands[0]) is None:
        return None
    interval = catalog.interval(operands[1])
    if interval is None:
        return None
    months, micros = interval
    if months or micros <= 0 or micros % 1000:
        raise Refusal(
            "has a rolling window whose length is not a fixed time of at least a millisecond",
            "Write it in days, hours, minutes or seconds.",
            part,
        )
    return RollingWindow(micros // 1000, _KEEPS[kind])


def _is_batch_time(scope: Scope, node: Node) -> bool:
    return node["type"] == "COLUMN_REF" and scope.is_batch_time(node)


def put_times(catalog: Catalog, scope: Scope, node: Node) -> Node:
    """The same SELECT with the batch's time in place of clocks and of `batch_time`."""
    for part in walk(node):
        if part.get("class") in ("COMPARISON", "BETWEEN") and _mixes(scope, part):
            raise Refusal("compares batch_time with the clock in a way that cannot be kept up to date", _HINT, part)

    def change(part: Node) -> Node | None:
        if part["type"] == "COLUMN_REF" and scope.find(part) is not None and not scope.is_batch_time(part):
            return None
        if _is_batch_time(scope, part):
            return {**catalog.now(), "alias": part.get("alias", "")}
        name = time_call(part)
        return None if name is None else {**batch_time_for(catalog, name), "alias": part.get("alias", "")}

    changed: Node = rewrite(node, change)
    for part in walk(changed):
        if part.get("class") == "SUBQUERY":
            part["subquery"] = _deep(catalog, part["subquery"])
    if node["type"] == "SELECT_NODE":
        changed["select_list"] = [
            _named(catalog, old, new) for old, new in zip(node["select_list"], changed["select_list"], strict=True)
        ]
    return changed


def _deep(catalog: Catalog, tree: object) -> object:
    if isinstance(tree, dict):
        name = time_call(tree) if "type" in tree else None
        return batch_time_for(catalog, name) if name else {k: _deep(catalog, v) for k, v in tree.items()}
    return [_deep(catalog, t) for t in tree] if isinstance(tree, list) else tree


def _named(catalog: Catalog, old: Node, new: Node) -> Node:
    """A column keeps its name when what it shows is put in."""
    return new if key_of(old) == key_of(new) else {**new, "alias": catalog.output_name(old)}


def _mixes(scope: Scope, part: Node) -> bool:
    inside = list(walk(part, into_subqueries=False))
    return any(_is_batch_time(scope, n) for n in inside) and any(time_call(n) is not None for n in inside)
