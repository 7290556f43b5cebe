"""Aggregates with DISTINCT: no engine combines their results, so the state is the set of values itself, as a list.

The set of a group grows with the number of its distinct values, and each batch that touches the group writes it anew.
"""

from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.tree import Node, arguments, call, column, conjunction, function_name, text

# They leave NULL out, take one argument, and do not depend on the order of values.
_OF_SETS = {
    *("count", "sum", "sum_no_overflow", "fsum", "kahan_sum", "sumkahan", "product", "avg", "mean", "favg"),
    *("bit_xor", "median", "mad", "stddev", "stddev_pop", "stddev_samp", "var_pop", "var_samp", "variance", "sem"),
    *("skewness", "kurtosis", "kurtosis_pop"),
}
# A value that comes again changes nothing in them.
_THE_SAME = {"min", "max", "bool_and", "bool_or", "bit_and", "bit_or", "any_value", "approx_count_distinct"}


def is_set(node: Node) -> bool:
    """Whether the aggregate is one over distinct values, and kept as their set."""
    return bool(node.get("distinct"))


def without_distinct(node: Node) -> Node:
    """The aggregate, without DISTINCT where that means nothing. Raises `Refusal` where its set is not kept."""
    name = function_name(node)
    if not is_set(node):
        return node
    if name in _THE_SAME and len(arguments(node)) == 1:
        return {**node, "distinct": False}
    if name in _OF_SETS and len(arguments(node)) == 1:
        return node
    remedy = "Leave DISTINCT out."
    if name in ("list", "array_agg"):
        remedy = "Write list_sort(list_distinct(list(x)))."
    raise Refusal(f"has DISTINCT inside {name}(), which cannot be combined over batches", remedy, node)


def set_of(node: Node) -> Node:
    """What a batch adds to the set: its distinct values but NULL."""
    (value,) = arguments(node)
    there: Node = {"class": "OPERATOR", "type": "OPERATOR_IS_NOT_NULL", "children": [value]}
    kept = conjunction([there, *([node["filter"]] if "filter" in node else [])])
    return {**call("list", value), "distinct": True, "filter": kept}


def result_of(node: Node, state: str, place: str) -> Node:
    """The aggregate's result, over the set in the column `place` of the relation `state`."""
    nothing = call("list_value")
    known: Node = {"class": "OPERATOR", "type": "OPERATOR_COALESCE", "children": [column(state, place), nothing]}
    return call("list_aggregate", known, text(function_name(node)))
