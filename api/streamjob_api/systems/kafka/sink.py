"""Kafka as a sink: a record a row."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from streamjob_api import trees
from streamjob_api.cel import CelRule, CelRules, placed
from streamjob_api.systems.kafka.connection import CONNECTION_CEL, KafkaConnection, KafkaTopic, connection
from streamjob_api.systems.kinds import SinkKind
from streamjob_api.systems.named_columns import each_once, each_once_cel
from streamjob_api.texts import ColumnName
from streamjob_api.trees import MAX_COLUMNS, Broken, Tree


class KafkaSink(KafkaConnection):
    """Writes a record a row to a topic."""

    topic: KafkaTopic = Field(description="The topic. It must be there.")
    key: tuple[ColumnName, ...] = Field(
        (),
        max_length=16,
        description="The columns of the record's key: of one its text, or its bytes; of several a JSON object. Left "
        "out: no key.",
    )
    value: tuple[ColumnName, ...] = Field(
        (), max_length=1000, description="The columns of the record's value. Left out: all of them."
    )
    delivery: Literal["exactlyOnce", "atLeastOnce"] = Field(
        "exactlyOnce",
        description="`exactlyOnce`: a transaction a batch, so that readers with `read_committed` see each row once; "
        "`atLeastOnce`: without transactions, so that a batch that is written again after a crash is there twice.",
    )


def _sink(item: Tree) -> Iterator[Broken]:
    yield from connection(item)
    yield from each_once(item, "kafka", "key")
    yield from each_once(item, "kafka", "value")
    given, value = item.get("format"), trees.mapping(item.get("kafka")).get("value")
    names = [name for name in trees.items(value, MAX_COLUMNS) if isinstance(name, str)]
    if given in ("text", "raw") and len(names) > 1:
        yield Broken(("kafka", "value"), f"{given} is the value of one column", "name one, or take format json")


# That none of a thousand columns of `value` stands twice is over the API server's budget.
_CEL: CelRules = {
    "": (
        CelRule(
            "!has(self.kafka) || !has(self.kafka.value) || self.kafka.value.size() < 2 || !has(self.format) || "
            "self.format in ['json', 'avro']",
            "text and raw are the value of one column; name one, or take format json",
            field="kafka.value",
        ),
    ),
    "kafka": (each_once_cel("key"),),
}

SINK = SinkKind(
    model=KafkaSink,
    columns=("key", "value"),
    chosen_by="value",
    tells_deletions=True,
    written="Kafka messages",
    formats=("json", "avro", "text", "raw"),
    rules=_sink,
    cel=placed(("", _CEL), ("", CONNECTION_CEL)),
)
