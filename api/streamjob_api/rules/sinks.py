"""The rules of one sink that need more than one of its fields."""

from collections.abc import Iterator

from streamjob_api import trees
from streamjob_api.cel import CelRule, exactly_one, has_any, placed, values
from streamjob_api.rules import kinds
from streamjob_api.systems.kinds import FORMATS, SinkKind
from streamjob_api.systems.registry import SINKS
from streamjob_api.trees import Broken, Tree

_WITH_FORMAT = {name: kind for name, kind in SINKS.items() if kind.formats}


def sink(tree: Tree) -> Iterator[Broken]:
    """The rules of one sink."""
    yield from kinds.exactly_one(tree, SINKS, "sink")
    name = trees.kind(tree, SINKS)
    if name is not None:
        yield from _format(tree, name, SINKS[name])
    yield from kinds.of_kinds(tree, SINKS)


def _format(tree: Tree, name: str, kind: SinkKind) -> Iterator[Broken]:
    given, allowed = tree.get("format"), kind.formats
    if not allowed:
        if given is not None:
            yield Broken(("format",), f"a {name} sink has no format", "leave it out")
    elif given is None:
        yield Broken(("format",), f"a {name} sink needs a format", f"take one of {', '.join(allowed)}")
    elif given in FORMATS and given not in allowed:
        yield Broken(("format",), f"{given} cannot be written to {name}", f"take one of {', '.join(allowed)}")


_FORMAT = (
    *(
        CelRule(
            f"!has(self.{name}) || (has(self.format) && self.format in {values(kind.formats)})",
            f"a {name} sink needs a format; take one of {', '.join(kind.formats)}",
            field="format",
        )
        for name, kind in _WITH_FORMAT.items()
    ),
    CelRule(
        f"{has_any(_WITH_FORMAT)} || !has(self.format)",
        f"only a {' or '.join(_WITH_FORMAT)} sink has a format; leave it out",
        field="format",
    ),
)

SINK_CEL = placed(("", {"": (exactly_one(SINKS, "sink"), *_FORMAT)}), ("", kinds.of_kinds_cel(SINKS)))
