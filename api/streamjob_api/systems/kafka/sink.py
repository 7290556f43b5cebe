"""Kafka as a sink: a record a row."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from streamjob_api import trees
from streamjob_api.base import Bool
from streamjob_api.cel import CelRule, CelRules, placed
from streamjob_api.systems.kafka.connection import CONNECTION_CEL, KafkaConnection, KafkaTopic, connection
from streamjob_api.systems.kinds import SinkKind
from streamjob_api.systems.named_columns import each_once, each_once_cel
from streamjob_api.texts import ColumnName
from streamjob_api.trees import MAX_COLUMNS, Broken, Tree

_ENVELOPE = "says in JSON what became of each row"


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
    envelope: Bool = Field(
        False,
        description="With format `json`: whether a record says what became of its row, as Debezium has it: "
        '`{"op": "c", "before": null, "after": {…}}` of a row to put in place, and `"op": "d"` with the row `before` '
        "of one that is no longer in the result.",
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
    kafka, whole = trees.mapping(item.get("kafka")), item.get("mode") == "complete"
    if kafka.get("envelope") is True and (item.get("format") != "json" or whole):
        yield Broken(("kafka", "envelope"), _ENVELOPE, "leave it out, or take format json and mode append or update")
    given, value = item.get("format"), kafka.get("value")
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
        CelRule(
            "!has(self.kafka) || !has(self.kafka.envelope) || !self.kafka.envelope || "
            "(has(self.format) && self.format == 'json' && self.mode != 'complete')",
            f"{_ENVELOPE}; leave it out, or take format json and mode append or update",
            field="kafka.envelope",
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
