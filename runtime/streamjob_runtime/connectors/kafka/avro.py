"""Rows to Avro records of Kafka, whose schema a schema registry gets before the first of them."""

import json
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from streamjob_runtime.connectors.kafka.registry import Registry
from streamjob_runtime.connectors.sink_context import SinkContext
from streamjob_runtime.errors import JobError, NotFound
from streamjob_runtime.formats.avro.encode import NoAvro, encode_rows, schema_of
from streamjob_runtime.formats.avro.messages import head
from streamjob_runtime.patience import Caller


class AvroValues:
    """Encodes rows of the columns `columns`. Their schema is a version of the subject `<topic>-value`.

    The record has the name that the subject's newest schema gives it: to a registry another name is another record.
    A subject that is new gives it the topic's.
    """

    def __init__(self, who: str, registry: Registry, caller: Caller, topic: str, columns: pa.Schema) -> None:
        self._who = who
        self._registry = registry
        self._caller = caller
        self._subject = f"{topic}-value"
        self._name = re.sub(r"[^A-Za-z0-9_]|^(?=[0-9])", "_", topic)
        self._columns = columns
        self._head = b""
        self._schema(self._name, "")  # refuses what Avro does not take

    @classmethod
    def from_manifest(cls, config: Any, name: str, columns: pa.Schema | None, context: SinkContext) -> "AvroValues":
        """`columns`: all of the result."""
        assert columns is not None, "a kafka sink of avro must know its columns"
        who = f'sink "{name}"'
        registry = Registry.from_manifest(who, config.schema_registry, context.connections.secrets)
        caller = context.patience(f"{who} (the schema registry at {registry.url})")
        return cls(who, registry, caller, config.topic, _picked(columns, config.value))

    def check(self) -> str:
        """Whether the registry takes the schema, in words. Raises `JobError` if it does not."""
        schema, schema_id = self._find()
        if schema_id is not None:
            return f"its schema is number {schema_id} of {self._registry.url}"
        objections = self._registry.objections(self._subject, schema)
        if objections:
            raise JobError(
                f"{self._who}: the schema of its columns does not go with the subject {self._subject} at "
                f"{self._registry.url}: {objections}. Change the columns, or write to another topic."
            )
        return f"a start will register its schema as {self._subject} at {self._registry.url}: {schema}"

    def open(self) -> None:
        """Register the schema, unless it is there. Waits until the registry answers. Raises `JobError`."""
        self._head = head(self._caller.call(self._registered))

    def encode(self, rows: pa.Table) -> list[bytes]:
        """A record a row; the rows have all columns of the result, or more."""
        return encode_rows(_picked(rows, self._columns.names).cast(self._columns), self._head)

    def close(self) -> None:
        """Let go of connections."""
        self._registry.close()

    def _registered(self) -> int:
        schema, schema_id = self._find()
        if schema_id is not None:
            return schema_id
        self.check()  # says more than a refusal does
        return self._registry.register(self._subject, schema)

    def _find(self) -> tuple[str, int | None]:
        """The schema, and its number if it is there."""
        try:
            newest = json.loads(self._registry.version(self._subject, "latest").text)
        except (NotFound, ValueError):
            return self._schema(self._name, ""), None
        known = isinstance(newest, dict) and newest.get("type") == "record"
        schema = self._schema(newest["name"], newest.get("namespace", "")) if known else self._schema(self._name, "")
        try:
            return schema, self._registry.find(self._subject, schema)
        except NotFound:
            return schema, None

    def _schema(self, name: str, namespace: str) -> str:
        try:
            return schema_of(self._columns, name, namespace)
        except NoAvro as error:
            raise JobError(f"{self._who}: {error}.") from None


def _picked(of: Any, names: Sequence[str]) -> Any:
    """Of a schema or a table the columns of these names, which in SQL ignore case; without names, all."""
    if not names:
        return of
    there = [column.lower() for column in (of.names if isinstance(of, pa.Schema) else of.column_names)]
    places = [there.index(name.lower()) for name in names]
    return pa.schema([of.field(place) for place in places]) if isinstance(of, pa.Schema) else of.select(places)
