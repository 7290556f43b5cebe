"""The batch's time in a step's SQL: clocks, the hidden column `batch_time`, and the filter of a rolling window."""

from collections.abc import Iterator, Mapping, Set
from typing import Any

from streamjob_runtime.plan.catalog import TIME_FUNCTIONS, Catalog
from streamjob_runtime.plan.functions import batch_time_for, named_as, refuse_engines_name, time_call
from streamjob_runtime.plan.model import RollingWindow
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.scope import BATCH_TIME, Known, Scope
from streamjob_runtime.plan.tree import (
    Node,
    arguments,
    bare_name,
    conjunction,
    conjuncts,
    function_name,
    parameters,
    rewrite,
    sorted_by,
    walk,
)

# batch_time <comparison> bound, as if batch_time stood on the left; whether a batch exactly that old counts.
_KEEPS = {"COMPARE_GREATERTHAN": False, "COMPARE_GREATERTHANOREQUALTO": True}
_MIRRORED = {
    "COMPARE_LESSTHAN": "COMPARE_GREATERTHAN",
    "COMPARE_LESSTHANOREQUALTO": "COMPARE_GREATERTHANOREQUALTO",
}
_KNOW_ALIASES = {"where_clause", "group_expressions"}
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


def put_times(catalog: Catalog, scope: Scope, relations: Mapping[str, Known], node: Node) -> Node:
    """The same SELECT with the batch's time in place of clocks and of `batch_time`.

    A bare name is a clock where it is neither a column of FROM nor, in the clauses that know these, an alias.
    """
    meanings = {str(item["alias"]).lower(): item for item in node["select_list"] if item.get("alias")}
    for part in walk(node):
        if part.get("class") in ("COMPARISON", "BETWEEN") and _mixes(scope, part, meanings):
            raise Refusal("compares batch_time with the clock in a way that cannot be kept up to date", _HINT, part)
    put = _Times(catalog, scope, relations)
    aliases = set(meanings)
    if BATCH_TIME in aliases:
        _refuse_two_meanings(scope, node)

    def in_order(expression: Node) -> Node:
        # Here a name that stands alone is first of all a shown column.
        return expression if bare_name(expression) in aliases else put.into(expression, aliases)

    changed: Node = {}
    for clause, part in node.items():
        if clause == "select_list":
            changed[clause] = put.into_items(part)
        elif clause == "modifiers":
            changed[clause] = [sorted_by(m, in_order) if _sorts(m) else put.into(m, set()) for m in part]
        elif clause == "from_table":
            changed[clause] = _Times(catalog, scope.of_joins(), relations).into(part, set())
        else:
            changed[clause] = put.into(part, aliases if clause in _KNOW_ALIASES else set())
    return changed


def put_times_in_union(catalog: Catalog, node: Node) -> Node:
    """The same UNION of tables; its ORDER BY can name only columns, so there a bare name is no clock."""

    def change(part: Node) -> Node | None:
        name = time_call(part)
        return None if name is None or bare_name(part) else batch_time_for(catalog, name)

    return {**node, "modifiers": rewrite(node.get("modifiers", []), change, into_subqueries=True)}


def _sorts(modifier: Node) -> bool:
    return modifier["type"] in ("ORDER_MODIFIER", "DISTINCT_MODIFIER")


def _refuse_two_meanings(scope: Scope, node: Node) -> None:
    for part in walk([node.get("having"), node.get("qualify")], into_subqueries=False):
        if _is_batch_time(scope, part):
            raise Refusal(
                "names batch_time, which is one of its own columns and the batch's own time",
                "Give the column another name.",
                part,
            )


class _Times:
    """Puts the batch's time into expressions."""

    def __init__(self, catalog: Catalog, scope: Scope, relations: Mapping[str, Known]) -> None:
        self._catalog = catalog
        self._scope = scope
        self._relations = relations

    def into_items(self, items: list[Node]) -> list[Node]:
        """The same for the list of a SELECT: each item knows the aliases of those before it."""
        aliases: set[str] = set()
        changed = []
        for item in items:
            changed.append(named_as(self._catalog, item, self.into(item, aliases)))
            if item.get("alias"):
                aliases.add(str(item["alias"]).lower())
        return changed

    def into(self, tree: Any, aliases: Set[str]) -> Any:
        """The same expression; `aliases`: the names that are no clocks here, in lower case."""

        def change(part: Node) -> Node | None:
            if _is_batch_time(self._scope, part):
                return {**self._catalog.now(), "alias": part.get("alias", "")}
            bare = bare_name(part)
            if bare is not None and (bare in aliases or self._scope.find(part) is not None):
                return None
            if part["type"] == "COLUMN_REF" and self._scope.find(part) is None:
                refuse_engines_name(part)
            name = time_call(part)
            return None if name is None else {**batch_time_for(self._catalog, name), "alias": part.get("alias", "")}

        changed = rewrite(tree, change)
        for part in walk(changed, into_subqueries=False):
            if "subquery" in part:
                part["subquery"] = self._into_query(part["subquery"])
        return changed

    def _into_query(self, query: Any) -> Any:
        """The same for a query in an expression or beside FROM's relations, where clocks go before outer names."""
        own = set(_own_names(query, self._relations))

        def change(part: Node) -> Node | None:
            name = time_call(part)
            if part["type"] == "COLUMN_REF" and bare_name(part) not in own:
                refuse_engines_name(part)
            if name is not None and bare_name(part) in own:
                raise Refusal(
                    f"names {name} in a subquery, where it may be a column or the clock",
                    f"Name the column with its relation, relation.{name}, or write now() for the clock.",
                    part,
                )
            return None if name is None else {**batch_time_for(self._catalog, name), "alias": part.get("alias", "")}

        def named(part: Node) -> Node | None:
            if part["type"] != "SELECT_NODE":
                return change(part)
            changed = {k: v if k == "select_list" else rewrite(v, named, True) for k, v in part.items()}
            shown = [(item, rewrite(item, named, True)) for item in part["select_list"]]
            return {**changed, "select_list": [named_as(self._catalog, old, new) for old, new in shown]}

        return rewrite(query, named, into_subqueries=True)


def _own_names(query: Any, relations: Mapping[str, Known]) -> Iterator[str]:
    """Every name in lower case that may be a column or a parameter somewhere in the query."""
    for part in walk(query):
        if part["type"] == "BASE_TABLE" and part["table_name"] in relations:
            yield from (c.lower() for c in relations[part["table_name"]].columns)
        if part.get("alias"):
            yield str(part["alias"]).lower()
        yield from (str(c).lower() for c in part.get("column_name_alias", []))
        yield from parameters(part)
        if function_name(part) == "unnest" or part.get("relation_name"):
            yield from TIME_FUNCTIONS  # the fields of a struct, of whatever name


def _mixes(scope: Scope, part: Node, meanings: Mapping[str, Node]) -> bool:
    inside = list(walk(part, into_subqueries=False))
    for name in [bare_name(n) for n in inside if n["type"] == "COLUMN_REF" and scope.find(n) is None]:
        inside += walk(meanings.get(name or "", {}), into_subqueries=False)
    return any(_is_batch_time(scope, n) for n in inside) and any(time_call(n) is not None for n in inside)
