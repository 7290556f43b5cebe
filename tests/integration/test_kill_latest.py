"""A job that begins now, killed at any step of its first run: what comes from its first moment on is read."""

import json
import signal
from pathlib import Path

import pytest

from streamjob_runtime.engine.steps import Step
from support.kafka import KafkaServer
from support.runtime import Runtime, wait_for

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: latest}}
spec:
  batchInterval: 10ms
  trigger: {trigger}
  sources:
  - {{name: events, kafka: {{bootstrapServers: "{servers}", {events}, {start}}}, format: text}}
  pipeline: [{{name: rows, sql: "SELECT value FROM events"}}]
  sinks: [{{from: rows, files: {{path: out/}}, format: json}}]
  checkpoint: {{location: ck, interval: 50ms}}
"""
STEPS = [Step.FENCED, Step.RECOVERED, Step.POLLED, Step.INTENDED, Step.COMPUTED, Step.WRITTEN, Step.COMMITTED]


def written(folder: Path) -> list[str]:
    return sorted(json.loads(line)["value"] for f in folder.glob("out/*.json") for line in f.read_text().splitlines())


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_what_comes_after_the_first_fence_is_not_skipped(kafka: KafkaServer, tmp_path: Path, step: Step) -> None:
    topic = kafka.create_topic(2)
    for partition in (0, 1):
        kafka.produce(topic, [b"before"] * 3, partition)
    manifest = tmp_path / "job.yaml"

    def write(trigger: str) -> None:
        given = {"servers": kafka.servers, "events": f"topic: {topic}", "start": "startFrom: latest"}
        manifest.write_text(MANIFEST.format(trigger=trigger, **given))

    write("processingTime")
    killed = Runtime(manifest, {}, (step, 0))
    wait_for(lambda: (tmp_path / "ck" / "log" / "000000000000").exists())
    kafka.produce(topic, [b"1", b"2"], 1)
    assert killed.wait() == -signal.SIGKILL, killed.err
    kafka.produce(topic, [b"3", b"4"], 0)
    write("availableNow")
    again = Runtime(manifest, {})
    assert again.wait() == 0, again.err
    assert written(tmp_path) == ["1", "2", "3", "4"]


def test_another_topic_before_the_first_batch_has_a_beginning_of_its_own(kafka: KafkaServer, tmp_path: Path) -> None:
    wrong, right = kafka.create_topic(), kafka.create_topic()
    kafka.produce(right, [b"before"] * 3)
    manifest = tmp_path / "job.yaml"

    def killed(topic: str, step: Step) -> None:
        given = {"servers": kafka.servers, "events": f"topic: {topic}", "start": "startFrom: latest"}
        manifest.write_text(MANIFEST.format(trigger="availableNow", **given))
        runtime = Runtime(manifest, {}, (step, 0))
        assert runtime.wait() == -signal.SIGKILL, runtime.err

    killed(wrong, Step.RECOVERED)
    killed(right, Step.RECOVERED)
    kafka.produce(right, [b"1"])
    killed(right, Step.FENCED)
    kafka.produce(right, [b"2"])
    again = Runtime(manifest, {})
    assert again.wait() == 0, again.err
    assert written(tmp_path) == ["1", "2"]
