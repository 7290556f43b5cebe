"""Types in a step's SQL: what no relation may have, wherever it is written."""

from collections.abc import Sequence

from streamjob_runtime.plan.kinds import KNOWN, first_but
from streamjob_runtime.plan.model import Column
from streamjob_runtime.plan.problems import Refusal
from streamjob_runtime.plan.tree import Node, arguments, function_name, walk

_TAKE_A_TYPE = {"from_json", "from_json_strict", "json_transform", "json_transform_strict"}
_STAY_AS_THEY_ARE = "Keep it as JSON or VARCHAR."


def check_types(query: Node) -> None:
    """Refuse VARIANT where a text names it, and collations that a column would have."""
    for part in walk(query):
        name = function_name(part)
        if name in _TAKE_A_TYPE:
            _check_structure(name, part)
        if part["type"] == "SELECT_NODE":
            _refuse_collations(part)


def check_columns(columns: Sequence[Column], at: Node) -> None:
    """Refuse the columns of a relation that are of a type that SQL of a job may not have."""
    for column in columns:
        if first_but(column.type, KNOWN) is not None:
            message = f"has the column {column.name} of type {column.type}, which SQL of a job may not"
            raise Refusal(message, "Leave it out, or cast it: CAST(… AS VARCHAR).", at)


def _check_structure(name: str, call: Node) -> None:
    structures = arguments(call)[1:]
    if any(s.get("literal", {}).get("kind") != "STRING" for s in structures):
        remedy = "Write it as one: '[\"BIGINT\"]'."
        raise Refusal(f"calls {name}() with a structure that is no plain text", remedy, call)
    if any("variant" in str(s["literal"].get("text", "")).lower() for s in structures):
        raise Refusal(f"has the type VARIANT in {name}(), which SQL of a job may not", _STAY_AS_THEY_ARE, call)


def _refuse_collations(select: Node) -> None:
    # Of texts that are equal by a collation, a group would show the one that came first.
    for part in walk([select["select_list"], select.get("group_expressions", [])], into_subqueries=False):
        if part["type"] == "COLLATE":
            raise Refusal(
                "gives a column a collation, and which of several equal texts it shows would depend on their order",
                "Compare in WHERE or ORDER BY, or take a text that is the same for all: lower(x), strip_accents(x).",
                part,
            )
