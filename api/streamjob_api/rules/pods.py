"""The rules of what a spec says of its pods."""

from collections.abc import Iterator
from typing import Any

from streamjob_api import trees
from streamjob_api.cel import CelRule, CelRules, exactly_one, has_variable
from streamjob_api.durations import format_duration
from streamjob_api.names import GROUP, LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_NAME
from streamjob_api.quantities import parse_quantity
from streamjob_api.texts import LABEL_KEY
from streamjob_api.trees import Broken, Tree
from streamjob_api.words import shown

_OWN_LABELS = (LABEL_NAME, LABEL_INSTANCE, LABEL_MANAGED_BY)
VOLUMES = ("secret", "configMap", "emptyDir", "persistentVolumeClaim", "csi")
_DEFAULT_BACKOFF = {"initial": "1s", "max": "60s"}


def pods(spec: Tree) -> Iterator[Broken]:
    """Every rule that the parts of a spec about its pods break."""
    yield from (broken.below("resources") for broken in resources(trees.mapping(spec.get("resources"))))
    wait = trees.mapping(trees.mapping(spec.get("restart")).get("backoff"))
    yield from (broken.below("restart", "backoff") for broken in backoff(wait))
    template = trees.mapping(spec.get("podTemplate"))
    yield from (broken.below("podTemplate") for broken in pod_template(template))
    for i, item in enumerate(trees.items(template.get("env"))):
        yield from (broken.below("podTemplate", "env", i) for broken in env_var(trees.mapping(item)))
    for i, item in enumerate(trees.items(template.get("volumes"))):
        yield from (broken.below("podTemplate", "volumes", i) for broken in volume(trees.mapping(item)))


def resources(tree: Tree) -> Iterator[Broken]:
    """A pod whose requests are above its limits is refused by Kubernetes."""
    limits = trees.mapping(tree.get("limits"))
    for name, asked in trees.mapping(tree.get("requests")).items():
        if _more(asked, limits.get(name)):
            yield Broken(
                ("requests", name),
                f"{asked} is more than the limit of {limits[name]}",
                "ask for less, or raise limits." + str(name),
            )


_RESOURCES = tuple(
    CelRule(
        f"!has(self.requests) || !has(self.limits) || !has(self.requests.{name}) || !has(self.limits.{name}) || "
        f"{has_variable(f'string(self.requests.{name})')} || {has_variable(f'string(self.limits.{name})')} || "
        f"!quantity(string(self.requests.{name})).isGreaterThan(quantity(string(self.limits.{name})))",
        f"more {label} is requested than the limit allows; ask for less, or raise limits.{label}",
        field=f"requests['{label}']",
    )
    for name, label in (("cpu", "cpu"), ("memory", "memory"), ("ephemeral__dash__storage", "ephemeral-storage"))
)


def backoff(tree: Tree) -> Iterator[Broken]:
    """The first wait is not longer than the longest."""
    initial, longest = (trees.duration(tree.get(k) or default) for k, default in _DEFAULT_BACKOFF.items())
    if initial is not None and longest is not None and initial > longest:
        yield Broken(
            ("initial",),
            f"{format_duration(initial)} is longer than max, {format_duration(longest)}",
            "take less, or raise max",
        )


_BACKOFF = (
    CelRule(
        f"{has_variable('self.initial')} || {has_variable('self.max')} || duration(self.initial) <= duration(self.max)",
        "is longer than max; take less, or raise max",
        says="self.initial + ' is longer than max, ' + self.max + '; take less, or raise max'",
        field="initial",
    ),
)


def env_var(tree: Tree) -> Iterator[Broken]:
    """A variable has one value."""
    if tree.get("value") is not None and tree.get("valueFrom") is not None:
        yield Broken(("valueFrom",), "a variable has a value or a valueFrom, and this has both", "keep one of them")


_ENV = (
    CelRule(
        "!has(self.value) || !has(self.valueFrom)",
        "a variable has a value or a valueFrom, and this has both; keep one of them",
        field="valueFrom",
    ),
)


def volume(tree: Tree) -> Iterator[Broken]:
    """A volume is of one kind, and of one that stays away from the node and from the cluster's credentials."""
    given = [kind for kind in VOLUMES if tree.get(kind) is not None]
    if len(given) != 1:
        yield Broken((), "a volume is of one kind", f"give exactly one of {', '.join(VOLUMES)}")


_VOLUME = (exactly_one(VOLUMES, "volume"),)


def pod_template(tree: Tree) -> Iterator[Broken]:
    """The operator finds its pods by its labels; a variable has one value."""
    for label in trees.mapping(tree.get("labels")):
        if isinstance(label, str) and (label in _OWN_LABELS or label.startswith(f"{GROUP}/")):
            yield Broken(("labels", label), "is a label that the operator sets itself", "leave it out")
    seen: set[str] = set()
    for i, item in enumerate(trees.items(tree.get("env"))):
        name = trees.mapping(item).get("name")
        if isinstance(name, str) and name in seen:
            yield Broken(("env", i, "name"), f'"{shown(name)}" stands twice', "give each variable once")
        seen.add(trees.text(name))


_POD_LABELS = (
    CelRule(
        "!self.exists(name, name.startsWith('streamjob.dev/') || name in "
        "['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/managed-by'])",
        "names a label that the operator sets itself; leave it out",
    ),
)

_LABEL_NAMES = (
    CelRule(
        f"self.all(name, name.matches('{LABEL_KEY}'))",
        "each name must be as Kubernetes has them, such as team or example.com/team",
    ),
)


def _more(asked: Any, limit: Any) -> bool:
    try:
        return parse_quantity(str(asked)) > parse_quantity(str(limit))
    except ValueError:
        return False


PODS_CEL: CelRules = {
    "resources": _RESOURCES,
    "restart.backoff": _BACKOFF,
    "podTemplate.labels": _POD_LABELS + _LABEL_NAMES,
    "podTemplate.annotations": _LABEL_NAMES,
    "podTemplate.nodeSelector": _LABEL_NAMES,
    "podTemplate.env[]": _ENV,
    "podTemplate.volumes[]": _VOLUME,
}
