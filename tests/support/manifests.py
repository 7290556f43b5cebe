"""The manifests that the API server and `streamjob validate` are both asked about."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

MANIFESTS = Path(__file__).resolve().parents[1] / "e2e" / "manifests"

GOOD: list[dict[str, Any]] = list(yaml.safe_load_all((MANIFESTS / "good.yaml").read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Wrong:
    """A wrong manifest and what is said of it."""

    change: dict[str, Any]
    at: str  # the field that the API server names
    says: str  # its words
    validate: str  # those of `streamjob validate`
    rule: str = ""  # the message of the rule, where the words are others

    def __str__(self) -> str:
        return " ".join(f"{path}={value}"[:60] for path, value in self.change.items())

    @property
    def tree(self) -> dict[str, Any]:
        """The manifest."""
        tree = deepcopy(GOOD[0])
        for path, value in self.change.items():
            _put(tree, path, value)
        return tree


WRONG = [Wrong(**case) for case in yaml.safe_load((MANIFESTS / "wrong.yaml").read_text(encoding="utf-8"))]


def _put(tree: Any, path: str, value: Any) -> None:
    *above, last = [int(p) if p.isdigit() else p for p in path.replace("[", ".").replace("]", "").split(".")]
    for part in above:
        tree = tree[part]
    if value is None:
        del tree[last]
    else:
        tree[last] = value
