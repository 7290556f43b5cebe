"""A SELECT with aggregates over a stream, taken apart: what a batch adds to the state, and what the state shows."""

from collections.abc import Callable
from dataclasses import dataclass, field

import duckdb

from streamjob_runtime.plan.binding import explain
from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.distinct import is_set, result_of, set_of, without_distinct
from streamjob_runtime.plan.event_time import KeyWindow, find_window, pane_start, shown_end, shown_start
from streamjob_runtime.plan.fingerprint import fingerprint, window_of
from streamjob_runtime.plan.leaving import of_groups
from streamjob_runtime.plan.model import MARK, Aggregation, RollingWindow, state_table
from streamjob_runtime.plan.order import refuse_order, refuse_shown_order, settled
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.scope import Changes, Scope
from streamjob_runtime.plan.states import is_tied
from streamjob_runtime.plan.storable import Stored, stored_key, stored_set, stored_state
from streamjob_runtime.plan.tree import (
    STATE,
    Node,
    aliased,
    bare_name,
    base_table,
    call,
    column,
    conjunction,
    function_name,
    key_of,
    names,
    rewrite,
    select,
    sorted_by,
    walk,
)

_INNER = MARK  # begins the names that no name in a manifest's SQL can mean


def has_aggregates(catalog: Catalog, node: Node) -> bool:
    """Whether a SELECT makes groups."""
    if node.get("group_sets") or node.get("aggregate_handling") == "FORCE_AGGREGATES" or "having" in node:
        return True
    places = [node["select_list"], node.get("modifiers", []), node.get("qualify")]
    return any(is_aggregate(catalog, n) for n in walk(places, into_subqueries=False))


def is_aggregate(catalog: Catalog, node: Node) -> bool:
    """Whether the node is a call of an aggregate function (not over a window)."""
    return node.get("class") == "FUNCTION" and function_name(node) in catalog.aggregates


@dataclass
class Splitter:
    """Collects the keys and the aggregates of one SELECT and rewrites its expressions over the state."""

    catalog: Catalog
    scope: Scope
    items: list[Node]
    keys: list[Node] = field(default_factory=list)
    window: KeyWindow | None = None
    aggregates: list[Node] = field(default_factory=list)  # as the state holds them
    written: list[Node] = field(default_factory=list)  # the same as they are written

    def __post_init__(self) -> None:
        self._aliases: dict[str, Node] = {}
        resolved = []
        for item in self.items:
            item = self._without_aliases(item)
            resolved.append(item)
            if item.get("alias"):
                self._aliases.setdefault(item["alias"].lower(), {**item, "alias": ""})
        self.items = resolved

    def _without_aliases(self, tree: Node) -> Node:
        """Names of earlier columns of the SELECT, where no column of FROM has that name, written out."""

        def change(node: Node) -> Node | None:
            name = bare_name(node)
            if name is None or self.scope.find(node) is not None:
                return None
            meant = self._aliases.get(name)
            return None if meant is None else {**meant, "alias": node.get("alias", "")}

        changed: Node = rewrite(tree, change)
        return changed

    def take_keys(self, node: Node) -> None:
        """Read the GROUP BY."""
        if node.get("aggregate_handling") == "FORCE_AGGREGATES":
            groups = [i for i in self.items if not any(is_aggregate(self.catalog, n) for n in walk(i, False))]
        else:
            groups = [self._group(g) for g in node.get("group_expressions", [])]
        if len(node.get("group_sets", [])) > 1:
            raise Refusal(
                "groups by several sets at once (GROUPING SETS, ROLLUP, CUBE)", "Write one step for each set."
            )
        for group in groups:
            window = find_window(self.catalog, self.scope, group, node["from_table"])
            if window is None:
                self._add_key(group)
            elif self.window is None:
                self.window = window
            elif key_of(self.window.call) != key_of(group):
                raise Refusal("groups by two windows", "Write one step for each window.", group)

    def where(self, node: Node) -> Node | None:
        """The WHERE."""
        return self._without_aliases(node["where_clause"]) if "where_clause" in node else None

    def _group(self, group: Node) -> Node:
        if group.get("class") == "CONSTANT" and group.get("literal", {}).get("kind") == "INTEGER":
            position = int(group["literal"]["text"])
            if not 1 <= position <= len(self.items):
                raise Refusal(f"groups by column {position}, and there are {len(self.items)}", "", group)
            return self.items[position - 1]
        return self._without_aliases(group)

    def _add_key(self, group: Node) -> None:
        for part in walk(group, into_subqueries=False):
            if is_aggregate(self.catalog, part) or part.get("class") == "WINDOW":
                raise Refusal("groups by an aggregate", "Make the aggregate a step of its own.", part)
        key = {**group, "alias": ""}
        if all(self._canonical(key) != self._canonical(k) for k in self.keys):
            self.keys.append(key)

    def _canonical(self, tree: Node) -> str:
        return key_of(rewrite(tree, lambda n: self.scope.canonical(n) if n["type"] == "COLUMN_REF" else None))

    def over_state(self, tree: Node) -> Node:
        """The expression with keys and aggregates read from the state."""
        keys = {self._canonical(k): i for i, k in enumerate(self.keys)}

        def change(node: Node) -> Node | None:
            alias = node.get("alias", "")
            if node.get("class") == "STAR":
                raise Refusal("selects * together with aggregates", "Name the columns.", node)
            position = keys.get(self._canonical(node)) if "class" in node else None
            if position is not None:
                return aliased(column(STATE, f"k{position}"), alias)
            of_window = self._of_window(node)
            if of_window is not None:
                return aliased(of_window, alias)
            if is_aggregate(self.catalog, node):
                return aliased(self._aggregate(node), alias)
            if node["type"] == "COLUMN_REF":
                raise self._not_grouped(node)
            return None

        tree = self._without_aliases(tree)
        refuse_shown_order(tree)
        changed: Node = rewrite(tree, change)
        return changed

    def _of_window(self, node: Node) -> Node | None:
        if self.window is None:
            return None
        if key_of(node) == key_of(self.window.call):
            return shown_start(self.catalog, self.window.event)
        # A column of FROM of that name, which a windowed result has, is not one value of a group, unless it is a key.
        if bare_name(node) is not None or (node["type"] == "COLUMN_REF" and self.scope.find(node) is None):
            if names(node)[-1].lower() == "window_start":
                return shown_start(self.catalog, self.window.event)
            if names(node)[-1].lower() == "window_end":
                return shown_end(self.catalog, self.window.event)
        return None

    def _aggregate(self, node: Node) -> Node:
        """The result of an aggregate, read from the state."""
        refuse_aggregate(node)
        aggregate, read = settled(without_distinct({**node, "alias": ""}))
        wanted = self._canonical(aggregate)
        position = next((i for i, a in enumerate(self.aggregates) if self._canonical(a) == wanted), None)
        if position is None:
            position = len(self.aggregates)
            self.aggregates.append(aggregate)
            self.written.append(node)
        if is_set(aggregate):
            return result_of(aggregate, STATE, f"a{position}")
        return read(call("finalize", column(STATE, f"a{position}")))

    def _not_grouped(self, node: Node) -> Refusal:
        name = ".".join(names(node))
        if self.scope.find(node) is None:
            columns = sorted({c for leaf in self.scope.leaves for c in leaf.columns})
            return Refusal(f"names the column {name}, which is not there", f"There are: {', '.join(columns)}.", node)
        return Refusal(
            f"shows the column {name}, which has many values in a group",
            f"Add it to GROUP BY, or take one of them: any_value({name}).",
            node,
        )


def refuse_aggregate(node: Node) -> None:
    """Refuse what does not combine: ORDER BY inside an aggregate."""
    name = function_name(node)
    if any(part.get("class") == "STAR" for part in walk(node)):
        raise Refusal(f"has several columns at once inside {name}()", "Write the aggregate for each column.", node)
    if node.get("order_bys", {}).get("orders"):
        raise Refusal(
            f"has ORDER BY inside {name}(), which cannot be combined over batches",
            "Use arg_max(value, order) or arg_min(value, order), or order the finished list: list_sort(list(x)).",
            node,
        )


def plan_aggregation(
    catalog: Catalog,
    scope: Scope,
    name: str,
    node: Node,
    rolling: RollingWindow | None,
    inputs: tuple[str, ...],
    ttl_ms: int | None,
) -> tuple[Aggregation, bool, Changes]:
    """The aggregation of a SELECT whose clocks are put in already; whether it shows its groups one by one; and what
    becomes of its rows.
    """
    split = Splitter(catalog, scope, node["select_list"])
    split.take_keys(node)
    if split.window and rolling:
        raise Refusal("has an event-time window and a rolling window", "Keep one of the two.", split.window.call)
    items = [
        aliased(split.over_state(resolved), catalog.output_name(given))
        for resolved, given in zip(split.items, node["select_list"], strict=True)
    ]
    having = split.over_state(node["having"]) if "having" in node else None
    result = select(items, base_table(state_table(name), STATE), having)
    result["modifiers"] = [sorted_by(m, _over_result(split, items)) for m in node.get("modifiers", [])]
    if "qualify" in node:
        result["qualify"] = split.over_state(node["qualify"])
    for part in walk(result, into_subqueries=False):
        if part.get("class") == "SUBQUERY":
            _refuse_outer_names(catalog, part)
    shown = list(walk([items, having or []]))
    one_by_one = not (
        result["modifiers"]
        or "qualify" in node
        or any(n.get("class") in ("WINDOW", "SUBQUERY") or function_name(n) == "unnest" for n in shown)
    )
    delta, stored = _delta(catalog, split, node)
    meaning = (split.keys, split.window, split.aggregates, rolling)
    if split.window is not None or rolling is not None or not split.keys:
        ttl_ms = None  # what it is for is not here
    keys = [*(f"k{i}" for i in range(len(split.keys))), *(["w"] if split.window is not None else [])]
    return (
        Aggregation(
            name=name,
            delta=delta,
            inputs=inputs,
            keys=len(split.keys),
            aggregates=len(split.aggregates),
            stored=tuple(there for there, _ in stored),
            restored=tuple(back for _, back in stored),
            result=catalog.render(result),
            items=tuple(catalog.render_expression(i) for i in items),
            having=None if having is None else catalog.render_expression(having),
            event_window=split.window.event if split.window else None,
            rolling=rolling,
            each=(
                *map(catalog.render_expression, split.keys),
                *([f"window {window_of(catalog, split.window)}"] if split.window else []),
            ),
            fingerprint=fingerprint(catalog, node, *meaning, delta),
            tied=tuple(sorted({name for a in split.aggregates if is_tied(name := function_name(a))})),
            ttl_ms=ttl_ms,
            sets=frozenset(f"a{i}" for i, a in enumerate(split.aggregates) if is_set(a)),
        ),
        one_by_one,
        of_groups(items, having, keys, split.aggregates, rolling is not None, ttl_ms is not None),
    )


def _over_result(split: Splitter, items: list[Node]) -> Callable[[Node], Node]:
    """What an expression of ORDER BY or DISTINCT ON becomes over the state."""
    shown = {str(i["alias"]).lower() for i in items}

    def over_result(expression: Node) -> Node:
        # A name that stands alone is a shown column before it is one of FROM; a number and ALL mean shown columns.
        if bare_name(expression) in shown:
            return column(names(expression)[0])
        return expression if expression.get("class") in ("CONSTANT", "STAR") else split.over_state(expression)

    return over_result


def _refuse_outer_names(catalog: Catalog, subquery: Node) -> None:
    """Refuse a subquery that needs the rows around it: where it stands now these are the state's."""
    try:
        catalog.columns(catalog.render(subquery["subquery"]["node"]))
    except duckdb.Error as error:
        raise Refusal(
            f"has a subquery beside aggregates that {explain(error, subquery).message}",
            "Such a subquery sees only its own FROM. Ask it of each group in a later step.",
            subquery,
        ) from None


def _delta(catalog: Catalog, split: Splitter, node: Node) -> tuple[str, list[Stored]]:
    keys = [aliased(k, f"{_INNER}k{i}") for i, k in enumerate(split.keys)]
    where = split.where(node)
    if split.window is not None:
        keys.append(aliased(pane_start(split.window), f"{_INNER}w"))
        there = {"class": "OPERATOR", "type": "OPERATOR_IS_NOT_NULL", "children": [split.window.column]}
        where = conjunction([*([where] if where else []), there])
    exported = [set_of(a) if is_set(a) else {**a, "export_state": True} for a in split.aggregates]
    states = [aliased(a, f"{_INNER}a{i}") for i, a in enumerate(exported)]
    stored = []
    for i, key in enumerate(split.keys):
        _bind(catalog, select([key], node["from_table"], where), key)
        stored.append(stored_key(catalog, node["from_table"], key, f"k{i}"))
    if split.window is not None:
        stored.append(("w", "w"))
    for i, (written, aggregate, state) in enumerate(zip(split.written, split.aggregates, states, strict=True)):
        bound = written if is_set(aggregate) else {**written, "distinct": False, "export_state": True}
        _bind(catalog, select([aliased(bound, "")], node["from_table"], where), written)
        refuse_order(aggregate)
        if is_set(aggregate):
            stored.append(stored_set(catalog, node["from_table"], written, state, f"a{i}"))
            continue
        stored.append(stored_state(catalog, node["from_table"], written, aggregate, state, f"a{i}"))
    rows = [aliased(call("count_star"), f"{_INNER}n")] if split.window is not None else []
    if split.window is not None and split.window.event.session:
        rows += [aliased(call(f, split.window.column), f"{_INNER}{name}") for f, name in (("min", "f"), ("max", "e"))]
    inner = select([*keys, *states, *rows], node["from_table"], where, len(keys))
    outer = [aliased(column(i["alias"]), str(i["alias"]).removeprefix(_INNER)) for i in inner["select_list"]]
    return catalog.render(select(outer, {"type": "SUBQUERY", "subquery": {"node": inner}})), stored


def _bind(catalog: Catalog, query: Node, at: Node) -> None:
    try:
        catalog.columns(catalog.render(query))
    except duckdb.NotImplementedException as error:
        if "export state" not in str(error):
            raise explain(error, at) from None
        name = function_name(at)
        raise Refusal(f"uses {name}(), whose state cannot be kept between batches", _instead(name), at) from None
    except duckdb.Error as error:
        raise explain(error, at) from None


def _instead(name: str) -> str:
    if name in ("mode", "histogram", "entropy"):
        return "Count each value in a step of its own (GROUP BY value), and take this from that step's table."
    if name == "reservoir_quantile":
        return "Use approx_quantile."
    return "Keep the values themselves, list_sort(list(x)), or use another aggregate."
