"""The models and the registry of systems know the same kinds."""

from collections.abc import Mapping

import pytest

from streamjob_api.base import Part, Ruled
from streamjob_api.fields import inner_model
from streamjob_api.models import StreamJob
from streamjob_api.sinks import Sink
from streamjob_api.sources import Source, StaticTable
from streamjob_api.systems.kinds import SinkKind, SourceKind, TableKind
from streamjob_api.systems.registry import SINKS, SOURCES, TABLES
from support.manifests import GOOD

Kinds = Mapping[str, SourceKind] | Mapping[str, TableKind] | Mapping[str, SinkKind]
# The other fields of these that are objects.
NO_KINDS = {"watermark"}


@pytest.mark.parametrize(("model", "kinds"), [(Source, SOURCES), (StaticTable, TABLES), (Sink, SINKS)])
def test_the_models_have_a_field_for_each_kind(model: type[Ruled], kinds: Kinds) -> None:
    found = {name: inner_model(field.annotation) for name, field in model.model_fields.items()}
    parts = {name: part for name, part in found.items() if part is not None and name not in NO_KINDS}
    assert list(parts.items()) == [(name, kind.model) for name, kind in kinds.items()]
    assert all(f"`{name}`" in (model.__doc__ or "") for name in kinds)


def field_of(kind: SourceKind | TableKind, name: str) -> bool:
    assert issubclass(kind.model, Part)
    return name in kind.model.model_fields


def test_what_a_kind_says_of_its_fields_is_there() -> None:
    for source in SOURCES.values():
        assert field_of(source, "header") == source.header
        assert field_of(source, "metadata") == bool(source.metadata)
    for table in TABLES.values():
        assert field_of(table, "header") == table.header
    for sink in SINKS.values():
        assert sink.alone is None or sink.alone.field in sink.model.model_fields


def test_what_is_left_out_is_no_field_that_was_given() -> None:
    """A model's defaults meet the same rules as a manifest's fields."""
    for tree in GOOD:
        assert StreamJob.model_validate(StreamJob.model_validate(tree).model_dump(exclude_none=True)).spec is not None
