"""A rule between fields as the API server holds it, in CEL: each mirrors one that `streamjob validate` holds.

Who adds a rule adds it twice, side by side: as a function, which finds every mistake of a manifest and says its line,
and as CEL, so that `kubectl apply` refuses it. `tests/e2e/manifests/wrong.yaml` has a wrong manifest for each, and
tests prove that both refuse it.

The API server reckons beforehand what a rule may cost at worst: sizes of lists and texts (bounds of the models) times
what is done with each. A rule over its budget makes it refuse the whole CRD. What is left out for that reason is found
by the operator, which says it in a condition. Only what Kubernetes 1.30 knows is used.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CelRule:
    """One rule. Its texts are CEL, but for `message`."""

    rule: str  # true where all is well; `self` is what stands at its place
    message: str
    says: str = ""  # an expression for a message that names what is wrong; where it fails, `message` is said
    field: str = ""  # the field, from there, that the message is about

    def as_validation(self) -> dict[str, Any]:
        """An entry of `x-kubernetes-validations`."""
        entry = {"rule": self.rule, "message": self.message}
        if self.says:
            entry["messageExpression"] = self.says
        return entry | ({"fieldPath": f".{self.field}"} if self.field else {})


# Where rules stand, from some place down (empty: that place itself) -> the rules there.
CelRules = Mapping[str, tuple[CelRule, ...]]


def placed(*parts: tuple[str, CelRules]) -> CelRules:
    """The rules of all the parts, each seen from the place that its path is from; of one place in their order."""
    found: dict[str, tuple[CelRule, ...]] = {}
    for prefix, rules in parts:
        for path, here in rules.items():
            where = ".".join(part for part in (prefix, path) if part)
            found[where] = found.get(where, ()) + here
    return found


def has_any(fields: Iterable[str]) -> str:
    """Whether one of the fields is given."""
    return " || ".join(f"has(self.{field})" for field in fields)


def values(texts: Iterable[str]) -> str:
    """The texts as a list."""
    return f"[{', '.join(repr(text) for text in texts)}]"


def has_variable(text: str) -> str:
    """Whether the text has a variable, `${NAME}`, so that nothing can be said of it before it is filled."""
    return f"{text}.contains('${{')"


def exactly_one(kinds: Iterable[str], what: str) -> CelRule:
    """A source, table or sink is of one kind."""
    given = ", ".join(f"has(self.{kind})" for kind in kinds)
    return CelRule(
        f"[{given}].exists_one(given, given)", f"a {what} is of one kind; give exactly one of {', '.join(kinds)}"
    )
