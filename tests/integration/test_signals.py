"""What a job says of its systems while they are away: every one of them, within seconds, and how far behind it is."""

import json
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from support.command import STREAMJOB, Running, running
from support.kafka import KafkaServer
from support.postgres import PostgresServer
from support.runtime import wait_for

HEAD = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: job}}
spec:
  batchInterval: 100ms
  checkpoint: {{location: ck}}
"""
KAFKA = (
    HEAD
    + """
  sources:
  - {{name: made, rate: {{rowsPerSecond: 20}}}}
  - {{name: events, kafka: {{bootstrapServers: "{servers}", topic: {events}}}, format: text}}
  pipeline:
  - {{name: numbers, sql: "SELECT value FROM made"}}
  sinks:
  - {{from: numbers, kafka: {{bootstrapServers: "{servers}", topic: {out}}}, format: json}}
  - {{from: events, files: {{path: out/}}, format: json}}
"""
)
POSTGRES = (
    HEAD
    + """
  sources:
  - {{name: events, kafka: {{bootstrapServers: "{servers}", topic: {events}}}, format: text}}
  pipeline:
  - {{name: rows, sql: "SELECT value FROM events"}}
  sinks:
  - {{from: rows, postgres: {{table: {table}, dsnSecretRef: {{name: pg, key: dsn}}}}}}
"""
)
WITHIN_S = 20  # "seconds" on a machine that does much else; what is waited for shows without it only after a minute


class Job:
    """A running job, as its probes and pages show it."""

    def __init__(self, process: Running) -> None:
        self.process = process
        process.until("serving http://")
        found = re.search(r"serving (http://\S+)/", process.err)
        assert found is not None
        self._url = found[1]

    def ask(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self._url + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    @property
    def ready(self) -> tuple[int, str]:
        status, body = self.ask("/readyz")
        return status, json.loads(body)["message"]

    @property
    def status(self) -> Any:
        return json.loads(self.ask("/progress")[1])["status"]

    @property
    def troubles(self) -> list[str]:
        return [trouble["what"] for trouble in self.status["troubles"]]

    @property
    def lag(self) -> tuple[int | None, int | None]:
        for source in self.status["sources"]:
            return source["lag"], source["lagMs"]
        return None, None


@contextmanager
def job(folder: Path, manifest: str, **environ: str) -> Iterator[Job]:
    (folder / "job.yaml").write_text(manifest)
    with running([STREAMJOB, "run", "job.yaml", "--http-port", "0"], folder, environ) as process:
        yield Job(process)


def test_a_kafka_that_is_away_is_seen_at_source_and_sink(own_kafka: KafkaServer, tmp_path: Path) -> None:
    events, out = own_kafka.create_topic(), own_kafka.create_topic()
    own_kafka.produce(events, [b"x"])
    with job(tmp_path, KAFKA.format(servers=own_kafka.servers, events=events, out=out)) as made:
        wait_for(lambda: made.ready[0] == 200 and "batch=5 " in made.process.err)
        made.process.send(signal.SIGSTOP)
        own_kafka.settle()  # see there: a transaction that is about to end would be lost with the broker
        own_kafka.kill()  # it refuses connections
        made.process.send(signal.SIGCONT)
        wait_for(lambda: made.ready[0] == 503, WITHIN_S)
        wait_for(lambda: {what.split(" (")[0] for what in made.troubles} == {'source "events"', 'sink "numbers.kafka"'})
        status, message = made.ready
        assert status == 503 and 'source "events"' in message and 'sink "numbers.kafka"' in message
        assert re.search(r"^streamjob_trouble 1.0$", made.ask("/metrics")[1], re.M)
        assert re.search(r'^streamjob_source_connected\{source="events"\} 0.0$', made.ask("/metrics")[1], re.M)
        own_kafka.start()
        wait_for(lambda: made.ready[0] == 200 and not made.troubles)
        made.process.send(signal.SIGINT)
        assert made.process.wait() == 0, made.process.err


def test_a_source_that_is_refused_is_trouble_while_nothing_else_is(own_kafka: KafkaServer, tmp_path: Path) -> None:
    events = own_kafka.create_topic()
    own_kafka.produce(events, [b"x"])
    manifest = KAFKA.format(servers=own_kafka.servers, events=events, out="none")
    manifest = re.sub(
        r"(?m)^  - \{from: numbers.*$", "  - {from: numbers, files: {path: numbers/}, format: json}", manifest
    )
    with job(tmp_path, manifest) as made:
        wait_for(lambda: made.ready[0] == 200 and any(tmp_path.glob("out/*.json")))
        with own_kafka.frozen():
            wait_for(lambda: made.ready[0] == 503, WITHIN_S)
            assert made.troubles == ['source "events"']
        wait_for(lambda: made.ready[0] == 200)


def test_lag_grows_while_a_sink_is_away_or_does_not_answer_and_a_slow_statement_is_no_trouble(
    kafka: KafkaServer, own_postgres: PostgresServer, tmp_path: Path
) -> None:
    dsn = own_postgres.create_schema()
    with psycopg.connect(dsn, autocommit=True) as made_by_hand:
        made_by_hand.execute("CREATE TABLE slow (value text)")
        made_by_hand.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql "
            "AS $$ BEGIN PERFORM pg_sleep(9); RETURN NULL; END $$"
        )
        made_by_hand.execute("CREATE TRIGGER slow AFTER INSERT ON slow FOR EACH STATEMENT EXECUTE FUNCTION slow()")
    events = kafka.create_topic()
    kafka.produce(events, [b"x"] * 3)
    manifest = POSTGRES.format(servers=kafka.servers, events=events, table="slow")
    own_postgres.kill()
    with job(tmp_path, manifest, dsn=dsn) as made:
        wait_for(lambda: made.lag[0] == 3)  # before the first batch
        assert made.ready[0] == 503
        kafka.produce(events, [b"x"] * 2)
        wait_for(lambda: made.lag[0] == 5 and (made.lag[1] or 0) > 1000)
        assert re.search(r'^streamjob_source_lag_records\{source="events"\} 5.0$', made.ask("/metrics")[1], re.M)
        own_postgres.start()
        # A batch of 9 seconds, in which nothing comes from the server: what is produced meanwhile waits for its end.
        wait_for(lambda: made.ready[0] == 200)
        kafka.produce(events, [b"x"])
        ready = set[int]()

        def read_all() -> bool:
            ready.add(made.ready[0])
            return made.lag[0] == 0 and "batch=0 " in made.process.err

        wait_for(read_all)
        assert ready == {200}
        with own_postgres.frozen():
            wait_for(lambda: made.ready[0] == 503, WITHIN_S)
            assert made.troubles[0].startswith('sink "rows.postgres"')
        wait_for(lambda: made.ready[0] == 200)
