"""What can be understood of a manifest that has mistakes: enough to look for those of its SQL in the same go."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from streamjob_api import trees
from streamjob_api.base import FIELDS_ONLY
from streamjob_api.fields import fields_of, inner_model
from streamjob_api.models import Step
from streamjob_api.sinks import Sink
from streamjob_api.sources import Source, StaticTable, Watermark
from streamjob_api.systems.registry import SINKS, SOURCES, TABLES
from streamjob_api.trees import Tree
from streamjob_api.words import Path

_M = TypeVar("_M", bound=BaseModel)

_RELATIONS = ("sources", "tables", "pipeline")


@dataclass(frozen=True, slots=True)
class Draft:
    """The parts that a planner looks at, at their own indexes; None: one that cannot be understood."""

    sources: tuple[Source | None, ...]
    tables: tuple[StaticTable | None, ...]
    pipeline: tuple[Step | None, ...]
    sinks: tuple[Sink | None, ...]
    broken: frozenset[str]  # names, in lower case, of relations whose mistake is said already
    complete: bool  # whether every relation's name is known; if not, any other name may be one of them


def draft_of(manifest: Any, mistakes: Sequence[Path]) -> Draft:
    """The draft of a manifest's tree. `mistakes`: the paths of all that is wrong with it."""
    spec = trees.mapping(trees.mapping(manifest).get("spec"))
    of_items: dict[Path, list[Path]] = {}
    for path in mistakes:
        of_items.setdefault(path[:3], []).append(path[3:])

    def items(field: str) -> list[tuple[Any, list[Path]]]:
        """Each item with what is wrong in it."""
        return [(item, of_items.get(("spec", field, i), [])) for i, item in enumerate(trees.items(spec.get(field)))]

    sources = [_source(*item) for item in items("sources")]
    tables = [_table(*item) for item in items("tables")]
    steps = [_step(*item) for item in items("pipeline")]
    names, broken = [], set[str]()
    for part, (item, wrong) in zip(
        (*sources, *tables, *steps), (item for field in _RELATIONS for item in items(field)), strict=True
    ):
        name = trees.text(trees.mapping(item).get("name")).lower()
        if part is None or any(path[:1] == ("name",) for path in wrong):
            broken.add(name)
        names.append(name)
    broken |= {name for name, count in Counter(names).items() if count > 1}
    return Draft(
        tuple(s if s and s.name.lower() not in broken else None for s in sources),
        tuple(t if t and t.name.lower() not in broken else None for t in tables),
        tuple(steps),
        tuple(_sink(*item) for item in items("sinks")),
        frozenset(broken),
        "" not in names and not any(_hides_names(spec, path) for path in mistakes),
    )


def _hides_names(spec: Tree, path: Path) -> bool:
    """Whether the mistake may be that of a whole list: it is no list, too long, or stands under another name."""
    if len(path) > 2:
        return False
    return path[1:] == () or path[1] in _RELATIONS or isinstance(spec.get(str(path[1])), list)


def _source(item: Any, mistakes: list[Path]) -> Source | None:
    tree = trees.mapping(item)
    if len([kind for kind in SOURCES if kind in tree]) != 1:
        return None
    return _validated(
        Source, _without(Source, tree, mistakes, ("maxRecordsPerBatch", "maxBadRecords", "columns", *SOURCES))
    )


def _table(item: Any, mistakes: list[Path]) -> StaticTable | None:
    tree = trees.mapping(item)
    if len([kind for kind in TABLES if kind in tree]) != 1:
        return None
    return _validated(
        StaticTable,
        _without(StaticTable, tree, mistakes, ("columns", "refresh", "onBadRecord", "maxBadRecords", *TABLES)),
    )


def _step(item: Any, mistakes: list[Path]) -> Step | None:
    """A step whose name is wrong has SQL all the same."""
    tree = trees.mapping(item)
    sql = tree.get("sql")
    cut = any(len(path) == 1 and " " in str(path[0]) for path in mistakes)  # by a comma, where it stands without quotes
    if not isinstance(sql, str) or cut or any(path[:1] in ((), ("sql",)) for path in mistakes):
        return None
    marked = None
    if not any(path[:1] == ("watermark",) for path in mistakes):
        marked = _validated(Watermark, trees.mapping(tree.get("watermark")) or None)
    ttl = trees.duration(tree.get("ttl"))
    return Step.model_construct(name=trees.text(tree.get("name")), sql=sql, watermark=marked, ttl=ttl)


def _sink(item: Any, mistakes: list[Path]) -> Sink | None:
    tree = trees.mapping(item)
    if len([kind for kind in SINKS if kind in tree]) != 1:
        return None
    kept = [path for path in mistakes if path not in (("from",), ("mode",))]  # wrong values do not pass validation
    return _validated(Sink, _without(Sink, tree, kept, ("format", *SINKS)))


def _without(model: type[BaseModel], tree: Tree, mistakes: list[Path], aside: Sequence[str]) -> Tree | None:
    """The tree with the wrong ones of the fields `aside` made harmless; None: something else is wrong."""
    mended: dict[str, Any] = dict(tree)
    for path in mistakes:
        if path[:1] == () or path[0] not in aside:
            return None
        field = str(path[0])
        inner = inner_model(fields_of(model)[field].annotation)
        if inner is not None:
            mended[field] = inner.model_construct()
        else:
            mended.pop(field, None)
    return mended


def _validated(model: type[_M], tree: Mapping[str, Any] | None) -> _M | None:
    if tree is None:
        return None
    try:
        return model.model_validate(tree, by_alias=True, by_name=False, context=FIELDS_ONLY)
    except ValidationError:
        return None
