"""Half a million events on a Kafka topic, and what SQL makes of them, reckoned without the engine."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import duckdb
from confluent_kafka import Producer

from support.kafka import KafkaServer

EVENTS, PARTITIONS, ADS, CAMPAIGNS = 500_000, 4, 300, 12
_A_TRANSACTION = 12_500
_CALL_S = 60

# An event comes each 1.2 ms, by up to 8 s later than it happened: less than the watermark's delay of 12 s, so that none
# is late. The factors are odd, and so the values wander over all that there are, the same ones each time.
_EVENTS = f"""
CREATE TABLE events AS
SELECT
    i AS id,
    (i * 7919 + i // 97 * 31) % {ADS} AS ad,
    CASE i * 31 % 7 WHEN 0 THEN 'click' WHEN 1 THEN 'buy' ELSE 'view' END AS kind,
    (i * 104729 % 100003)::BIGINT AS price,
    TIMESTAMP '2026-01-01' + to_microseconds(1000 * (10_000 + i * 12 // 10 - i * 48611 % 8000)) AS event_time,
FROM range({EVENTS}) AS made(i);
CREATE TABLE ads AS
SELECT range AS ad, 'campaign ' || range % {CAMPAIGNS} AS campaign FROM range({ADS}) WHERE range % 10 > 0;
"""

# A step of the job is given beside each. Prices are whole numbers: sums have one value, in whatever order.
_EXPECTED = {
    # SELECT id, campaign, price FROM events JOIN ads USING (ad) WHERE kind = 'view' AND price % 4 = 0
    "dear": "SELECT id, campaign, price FROM events JOIN ads USING (ad) WHERE kind = 'view' AND price % 4 = 0",
    # … GROUP BY campaign, tumble(event_time, INTERVAL '10 seconds')
    "windows": """
        SELECT campaign, make_timestamp(epoch_us(event_time) // 10_000_000 * 10_000_000) AS start, count(*), sum(price)
        FROM events JOIN ads USING (ad) WHERE kind = 'view' GROUP BY ALL""",
    # … GROUP BY ad
    "totals": "SELECT ad, count(*), sum(price), max(event_time) FROM events WHERE kind <> 'click' GROUP BY ad",
}
_FINAL = "start + INTERVAL '10 seconds' <= (SELECT max(event_time) - INTERVAL '12 seconds' FROM events)"

PIPELINE = """
  sources:
  - name: events
    kafka: {{bootstrapServers: "{servers}", topic: {events}}}
    format: json
    schema: {{id: BIGINT, ad: BIGINT, kind: VARCHAR, price: BIGINT, event_time: TIMESTAMP}}
    watermark: {{column: event_time, delay: 12s}}
    maxRecordsPerBatch: {a_batch}
  tables:
  - {{name: ads, files: {{path: ads.json}}, format: json, schema: {{ad: BIGINT, campaign: VARCHAR}}}}
  pipeline:
  - name: dear
    sql: SELECT id, campaign, price FROM events JOIN ads USING (ad) WHERE kind = 'view' AND price % 4 = 0
  - name: windows
    sql: |
      SELECT campaign, window_start, count(*) AS n, sum(price)::BIGINT AS total
      FROM events JOIN ads USING (ad)
      WHERE kind = 'view'
      GROUP BY campaign, tumble(event_time, INTERVAL '10 seconds')
  - name: totals
    sql: |
      SELECT ad, count(*) AS n, sum(price)::BIGINT AS total, max(event_time) AS newest
      FROM events WHERE kind <> 'click' GROUP BY ad
"""

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Expected:
    """What a job that counts each event once has written when it has read them all; rows in their order."""

    dear: Rows  # id, campaign, price
    windows: Rows  # campaign, window_start, n, total: of every window
    final: Rows  # those that the watermark has passed
    totals: Rows  # ad, n, total, newest


class AdEvents:
    """The events; the same ones each time."""

    def __init__(self) -> None:
        self._database = duckdb.connect()
        self._database.execute("SET TimeZone = 'UTC'")
        self._database.execute(_EVENTS)

    def expected(self) -> Expected:
        """Reckoned over all events at once, in plain SQL."""
        rows = {name: self._rows(f"SELECT * FROM ({query}) ORDER BY ALL") for name, query in _EXPECTED.items()}
        final = self._rows(f"SELECT * FROM ({_EXPECTED['windows']}) WHERE {_FINAL} ORDER BY ALL")
        assert 50_000 < len(rows["dear"]) < EVENTS and len(rows["totals"]) == ADS
        assert CAMPAIGNS * 40 < len(final) < len(rows["windows"])
        return Expected(rows["dear"], rows["windows"], final, rows["totals"])

    def ads(self) -> str:
        """The static table, as lines of JSON."""
        return "\n".join(row[0] for row in self._rows("SELECT to_json(ads)::VARCHAR FROM ads ORDER BY ad"))

    def produce(self, server: KafkaServer) -> str:
        """Put the events to a new topic, in transactions, of which some are aborted; the topic's name."""
        topic = server.create_topic(PARTITIONS)
        producer = server.transactional("ad-events")
        for partition in range(PARTITIONS):
            values = self._rows(
                "SELECT json_object('id', id, 'ad', ad, 'kind', kind, 'price', price, 'event_time', "
                "strftime(event_time, '%Y-%m-%d %H:%M:%S.%g')), ad::VARCHAR "
                f"FROM events WHERE ad % {PARTITIONS} = {partition} ORDER BY id"
            )
            records = [{"value": value.encode(), "key": key.encode()} for value, key in values]
            for start in range(0, len(records), _A_TRANSACTION):
                self._put(producer, topic, partition, records[start : start + 100], commit=False)
                self._put(producer, topic, partition, records[start : start + _A_TRANSACTION], commit=True)
        return topic

    def _put(self, producer: Producer, topic: str, partition: int, records: list[Any], commit: bool) -> None:
        producer.begin_transaction()
        assert producer.produce_batch(topic, [dict(record) for record in records], partition=partition) == len(records)
        if commit:
            producer.commit_transaction(_CALL_S)
        else:
            producer.flush(_CALL_S)
            producer.abort_transaction(_CALL_S)

    def _rows(self, query: str) -> Rows:
        return self._database.execute(query).fetchall()


def differences(found: Rows, wanted: Rows) -> str:
    """What is missing and what is there too often, in a few words; empty: the same rows."""
    have, want = Counter(found), Counter(wanted)
    missing, beyond = want - have, have - want
    if not missing and not beyond:
        return ""
    return (
        f"{missing.total()} of {len(wanted)} rows are missing, such as {list(missing)[:3]}; "
        f"{beyond.total()} are there that should not be, such as {list(beyond)[:3]}"
    )
