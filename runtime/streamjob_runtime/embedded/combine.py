"""How states are put together in SQL: what the engine exports by itself, sets of distinct values as lists."""

from streamjob_runtime.plan.model import Aggregation


def two(step: Aggregation, state: str, one: str, other: str) -> str:
    """The state of the rows of both; `one` and `other` are expressions for the column `state`."""
    if state in step.sets:
        return f"list_distinct(list_concat({one}, {other}))"
    if state in step.tops:
        return f"list_slice(list_sort(list_concat({one}, {other})), 1, {step.tops[state]})"
    return f"combine({one}, {other})"


def many(step: Aggregation, state: str) -> str:
    """The state of the rows of a whole group of states, under the column's own name."""
    if state in step.sets:
        return f"list_distinct(flatten(list({state}))) AS {state}"
    if state in step.tops:
        return f"list_slice(list_sort(flatten(list({state}))), 1, {step.tops[state]}) AS {state}"
    return f"combine_aggr({state}) AS {state}"
