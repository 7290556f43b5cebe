"""How far a job is, as its own pages and Kafka's tools say it while it runs; and that none of them tells a secret."""

import json
import re
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka.admin import AdminClient

from support.command import STREAMJOB, Running, running
from support.kafka import KafkaServer
from support.postgres import PostgresServer
from support.runtime import TIMEOUT_S, wait_for

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: lag}}
spec:
  batchInterval: 50ms
  sources:
  - name: events
    kafka: {{bootstrapServers: "{servers}", topic: {topic}, groupId: "{topic}-readers"}}
    format: json
    schema: {{id: BIGINT}}
  pipeline: [{{name: totals, sql: "SELECT id % 2 AS rest, count(*) AS n FROM events GROUP BY id % 2"}}]
  sinks:
  - from: totals
    mode: update
    postgres: {{table: totals, key: [rest], dsnSecretRef: {{name: pg, key: dsn}}, create: true}}
  checkpoint: {{location: ck}}
"""


@pytest.fixture
def topic(kafka: KafkaServer, tmp_path: Path) -> str:
    name = kafka.create_topic(2)
    for partition in (0, 1):
        kafka.produce(name, [json.dumps({"id": i}).encode() for i in range(10)], partition)
    (tmp_path / "job.yaml").write_text(MANIFEST.format(servers=kafka.servers, topic=name))
    return name


def test_an_idle_partition_is_no_lag_and_the_group_knows_it_all(
    kafka: KafkaServer, topic: str, tmp_path: Path, own_postgres: PostgresServer
) -> None:
    dsn = own_postgres.create_schema()
    with running([STREAMJOB, "run", "job.yaml", "--http-port", "0"], tmp_path, {"dsn": dsn}) as process:
        process.until("serving http://")
        wait_for(lambda: committed(kafka, topic) == {0: 10, 1: 10})
        kafka.produce(topic, [json.dumps({"id": i}).encode() for i in range(5)], 0)
        wait_for(lambda: committed(kafka, topic) == {0: 15, 1: 10})
        assert listed(kafka, topic) == {0: 15, 1: 10}
        (source,) = page(process, "/progress")["recentProgress"][-1]["sources"]
        assert source["endOffset"] == source["latestOffset"] == {f"{topic}/0": 15, f"{topic}/1": 10}
        assert source["lag"] == 0
        own_postgres.kill()
        kafka.produce(topic, [b'{"id": 1}'], 1)
        process.until("waiting for a system outside")
        pages = [text(process, path) for path in ("/progress", "/metrics", "/readyz", "/healthz", "/")]
        own_postgres.start()
        wait_for(lambda: committed(kafka, topic) == {0: 15, 1: 11})
        process.send(signal.SIGINT)
        assert process.wait() == 0, process.err
        assert not [page for page in (*pages, process.err, process.out) if own_postgres.password in page]


def committed(server: KafkaServer, topic: str) -> dict[int, int]:
    """Partition -> offset, as the group has it; empty: a server that is new does not know its groups at once."""
    try:
        return {partition: server.committed(f"{topic}-readers", topic, partition) for partition in (0, 1)}
    except KafkaException:
        return {}


def listed(server: KafkaServer, topic: str) -> dict[int, int]:
    """The same, as tools for operators list it.

    To be asked when the answer is known to be there: confluent-kafka 2.16 may crash on one that failed.
    """
    group = f"{topic}-readers"
    tools = AdminClient({"bootstrap.servers": server.servers})
    answer = tools.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(TIMEOUT_S)
    return {p.partition: p.offset for p in answer.topic_partitions}


def page(process: Running, path: str) -> Any:
    return json.loads(text(process, path))


def text(process: Running, path: str) -> str:
    found = re.search(r"serving (http://\S+)/", process.err)
    assert found is not None
    try:
        with urllib.request.urlopen(f"{found[1]}{path}", timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()
