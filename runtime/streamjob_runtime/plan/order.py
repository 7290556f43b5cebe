"""Aggregates and the order of rows, which no result may depend on.

Several threads read a batch, another run may cut the batches elsewhere, and states are combined pane by pane, in a
tree, or after a restart once more. To keep an order through all of that would need a number for each row, and joins
and `UNION ALL` have none. So an aggregate gives the same for the same rows in any order, or it is refused.
"""

from collections.abc import Callable, Iterator
from typing import Any

from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.tree import Node, arguments, call, conjunction, function_name, rewrite, text

_LISTS = {"list", "array_agg"}
# What does not depend on the order of rows; of sums of floating-point numbers, but for the last digits. A function that
# is not here is refused, so that a new one of DuckDB's is looked at before it is used.
_FREE = {
    *("count", "count_star", "count_if", "countif", "regr_count", "approx_count_distinct"),
    *("sum", "sum_no_overflow", "fsum", "kahan_sum", "sumkahan", "product", "avg", "mean", "favg"),
    *("min", "max", "bool_and", "bool_or", "bit_and", "bit_or", "bit_xor"),
    *("median", "mad", "quantile", "quantile_cont", "quantile_disc", "approx_quantile"),
    *("stddev", "stddev_pop", "stddev_samp", "var_pop", "var_samp", "variance", "sem", "skewness"),
    *("kurtosis", "kurtosis_pop", "corr", "covar_pop", "covar_samp", "regr_avgx", "regr_avgy", "regr_intercept"),
    *("regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy"),
    *_LISTS,  # where a function that is blind for their order is around them
    *("histogram", "histogram_exact", "entropy", "bitstring_agg"),  # over tables only: their state cannot be kept
}
_GREATEST = {"arg_max", "argmax", "max_by", "arg_max_null"}
_LEAST = {"arg_min", "argmin", "min_by", "arg_min_null"}
_SORTS = {"list_sort", "array_sort", "list_reverse_sort", "array_reverse_sort"}
# They give the same for a list in any order, as their first argument …
_BLIND = {
    *_SORTS,
    *("len", "length", "array_length", "cardinality", "list_count", "array_count", "list_unique", "array_unique"),
    *("list_min", "array_min", "list_max", "array_max", "list_has_any", "array_has_any"),
    *("list_has_all", "array_has_all"),
    *("contains", "list_contains", "array_contains", "list_has", "array_has"),
}
# … and these the same elements, in an order that follows from the given one.
_THROUGH = {"list_distinct", "array_distinct"}


def settled(node: Node) -> tuple[Node, Callable[[Node], Node]]:
    """The aggregate to compute for this one, and how to read its result: so that ties do not depend on the order.

    `any_value(x)` is the least value. Of the rows with the greatest `t`, `arg_max(x, t)` takes the greatest `x`, and of
    those with the least `t`, `arg_min(x, t)` the least.
    """
    name, given = function_name(node), arguments(node)
    if node.get("order_bys", {}).get("orders"):
        return node, lambda result: result
    if name == "any_value" and len(given) == 1:
        return {**node, **_named("min")}, lambda result: result
    if name not in _GREATEST | _LEAST or len(given) != 2:
        return node, lambda result: result
    value, by = given
    there = [by] if name.endswith("_null") else [by, value]
    conditions = [{"class": "OPERATOR", "type": "OPERATOR_IS_NOT_NULL", "children": [part]} for part in there]
    if "filter" in node:
        conditions.append(node["filter"])
    # Named: of a row() with a fixed-size array in it, taken up from a snapshot, DuckDB 2.0 crashes.
    both = call("struct_pack")
    both["arguments"] = [{"name": n, "expression": {**e, "alias": n}} for n, e in (("by", by), ("value", value))]
    pair = {
        **node,
        **_named("max" if name in _GREATEST else "min"),
        "arguments": [{"expression": both}],
        "filter": conjunction(conditions),
    }
    return pair, lambda result: call("struct_extract", result, text("value"))


def _named(name: str) -> Node:
    return {"function_name": name, "qualified_name": {"path": [name]}}


def refuse_order(node: Node) -> None:
    """Refuse an aggregate, as `settled` gives it, whose result depends on the order of rows."""
    name = function_name(node)
    if name not in _FREE:
        also = " (as json_group_array() does too)" if name == "string_agg" else ""
        raise Refusal(
            f"uses {name}(){also}, whose result depends on the order of rows, and they have none", _remedy(name), node
        )


def refuse_shown_order(tree: Node) -> None:
    """Refuse a list whose order the expression would show."""
    for node in _shown_lists(tree, False):
        raise Refusal(
            f"shows the order of {function_name(node)}(), and rows have none", _remedy(function_name(node)), node
        )


def _shown_lists(tree: Any, blind: bool) -> Iterator[Node]:
    if isinstance(tree, list):
        for item in tree:
            yield from _shown_lists(item, blind)
    elif isinstance(tree, dict):
        name = function_name(tree) if tree.get("class") == "FUNCTION" else ""
        if name in _LISTS and not blind and not tree.get("order_bys", {}).get("orders"):
            yield tree
        if name in _BLIND | _THROUGH:
            first, *others = arguments(tree) or [{}]
            yield from _shown_lists(first, blind or name in _BLIND)
            yield from _shown_lists(others, False)
            return
        for key, value in tree.items():
            if key != "subquery":
                yield from _shown_lists(value, blind and "class" not in tree)


def settle_over_table(catalog: Catalog, node: Node) -> Node:
    """The SELECT over a table with its aggregates settled: there they may have an ORDER BY of their own."""

    def deep(tree: Any) -> Any:
        if isinstance(tree, list):
            return [deep(item) for item in tree]
        if not isinstance(tree, dict):
            return tree
        inner = {key: deep(value) for key, value in tree.items()}
        return _settle_select(catalog, inner) if inner.get("type") == "SELECT_NODE" else inner

    settled_all: Node = deep(node)
    return settled_all


def _settle_select(catalog: Catalog, node: Node) -> Node:
    def change(part: Node) -> Node | None:
        if part.get("class") != "FUNCTION" or function_name(part) not in catalog.aggregates:
            return None
        if part.get("order_bys", {}).get("orders"):
            return None
        aggregate, read = settled({**part, "alias": ""})
        refuse_order(aggregate)
        return {**read(aggregate), "alias": part.get("alias", "")}

    items = []
    for item in node["select_list"]:
        refuse_shown_order(item)
        changed = rewrite(item, change)
        if changed != item and not item.get("alias"):
            changed = {**changed, "alias": catalog.output_name(item)}
        items.append(changed)
    others: Node = {k: rewrite(node[k], change) for k in ("having", "qualify", "modifiers") if k in node}
    for part in others:
        refuse_shown_order(node[part])
    return {**node, "select_list": items, **others}


def _remedy(name: str) -> str:
    if name in ("first", "last", "arbitrary"):
        return "Say which: arg_min(x, time) or arg_max(x, time); any_value(x) where all are the same."
    if name in _LISTS:
        return "Sort it: list_sort(list(x)), or by another column: list_sort(list({'by': time, 'x': x}))."
    if name in ("string_agg", "group_concat", "listagg"):
        return "Sort them first: array_to_string(list_sort(list(x)), ','), or to_json(list_sort(list(x)))."
    if name in ("approx_top_k", "mode"):
        return "Count each value in a step of its own, and take arg_max(value, count) or the first of its table."
    return "Use another aggregate, or one over a sorted list: list_sort(list(x))."
