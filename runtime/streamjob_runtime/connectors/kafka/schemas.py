"""The schemas of a registry as a source needs them: parsed, each asked for once."""

from collections.abc import Callable, Sequence
from typing import Any

from streamjob_runtime.connectors.kafka.registry import Registry, Schema
from streamjob_runtime.errors import NotFound
from streamjob_runtime.formats.avro.schema import BadSchema, Node, parse_schema
from streamjob_runtime.patience import Caller
from streamjob_runtime.stores.connections import Secrets


class Schemas:
    """Schemas by their numbers, which never change. A registry that is away is waited for."""

    def __init__(self, registry: Registry, caller: Caller) -> None:
        self._registry = registry
        self._caller = caller
        self._known: dict[int, Node] = {}

    @classmethod
    def from_manifest(
        cls, who: str, registry: Any, secrets: Secrets, patience: Callable[[str], Caller]
    ) -> "Schemas | None":
        """`registry`: a `SchemaRegistry` of the manifest, if it has one. Raises `JobError` if a Secret is missing."""
        if registry is None:
            return None
        opened = Registry.from_manifest(who, registry, secrets)
        return cls(opened, patience(f"the schema registry at {opened.url}"))

    def reach(self, topics: Sequence[str]) -> str:
        """Ask the registry once, so that a wrong address is known before the first record; what to say of it."""
        try:
            if topics:
                self._registry.version(f"{topics[0]}-value", "latest")
            else:
                self._registry.subjects()
        except NotFound:
            pass  # subjects may have other names
        return f"schemas from {self._registry.url}"

    def open(self, topics: Sequence[str]) -> None:
        """`reach`, and wait for a registry that is away."""
        self._caller.call(lambda: self.reach(topics))

    def close(self) -> None:
        """Let go of connections."""
        self._registry.close()

    def find(self, schema_id: int) -> Node:
        """The schema of that number. Raises `BadSchema` if there is none or it is not Avro's."""
        if schema_id not in self._known:
            try:
                self._known[schema_id] = self._caller.call(lambda: self._load(schema_id))
            except NotFound:
                raise BadSchema(f"the schema registry at {self._registry.url} does not have it") from None
        return self._known[schema_id]

    def _load(self, schema_id: int) -> Node:
        return self._parse(self._registry.by_id(schema_id), {}, set())

    def _parse(self, schema: Schema, names: dict[str, Node], seen: set[tuple[str, int]]) -> Node:
        """The schema, after those that it refers to; each of these once."""
        if schema.kind != "AVRO":
            raise BadSchema(f"it is of type {schema.kind} and not AVRO")
        for reference in schema.references:
            if reference not in seen:
                seen.add(reference)
                self._parse(self._registry.version(reference.subject, reference.version), names, seen)
        return parse_schema(schema.text, names)
