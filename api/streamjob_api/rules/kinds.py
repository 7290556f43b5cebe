"""The rules of what a source, a table or a sink is, whatever it is: it is of one kind, and that kind's rules hold."""

import difflib
from collections.abc import Iterable, Iterator, Mapping

from streamjob_api.cel import CelRules, placed
from streamjob_api.systems.kinds import SinkKind, SourceKind, TableKind
from streamjob_api.trees import Broken, Tree

_NO_KINDS = (
    "name",
    "format",
    "schema",
    "columns",
    "watermark",
    "maxRecordsPerBatch",
    "from",
    "mode",
    "refresh",
    "onBadRecord",
    "maxBadRecords",
)

_Kinds = Mapping[str, SourceKind] | Mapping[str, TableKind] | Mapping[str, SinkKind]


def exactly_one(tree: Tree, kinds: Iterable[str], what: str) -> Iterator[Broken]:
    """A `what` is of one of the kinds."""
    present = [kind for kind in kinds if tree.get(kind) is not None]
    empty = [kind for kind in kinds if kind in tree and tree[kind] is None]
    if len(present) > 1:
        yield Broken(
            (present[1],), f"a {what} is of one kind, and this has {' and '.join(present)}", "keep one of them"
        )
    elif not present and empty:
        yield Broken((empty[0],), "has no value", f"write {empty[0]}: {{}} or its fields")
    elif not present and not any(difflib.get_close_matches(str(key), kinds) for key in tree if key not in _NO_KINDS):
        # A misspelt kind is reported as an unknown field already.
        yield Broken((), f"a {what} needs a kind", f"give one of {', '.join(kinds)}")


def of_kinds(tree: Tree, kinds: _Kinds) -> Iterator[Broken]:
    """The rules of each kind that is given, as an object."""
    for name, kind in kinds.items():
        if isinstance(tree.get(name), Mapping):
            yield from kind.rules(tree)


def of_kinds_cel(kinds: _Kinds) -> CelRules:
    """The same for the API server."""
    return placed(*(("", kind.cel) for kind in kinds.values()))
