"""kill -9 of a job that reads lines over TCP: a line that was polled is in the output once, whatever comes after."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamjob_runtime.engine.steps import Step
from support.runtime import Runtime, wait_for
from support.sources import LineServer

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: tcp-killed}}
spec:
  batchInterval: 50ms
  sources:
  - {{name: lines, tcp: {{host: 127.0.0.1, port: {port}}}, format: text}}
  sinks:
  - {{from: lines, mode: append, files: {{path: out/}}, format: json}}
  checkpoint: {{location: checkpoint/}}
"""


@pytest.fixture
def server() -> Iterator[LineServer]:
    made = LineServer()
    yield made
    made.stop()


@pytest.mark.parametrize("step", [Step.POLLED, Step.INTENDED, Step.COMPUTED, Step.WRITTEN, Step.COMMITTED])
def test_a_polled_line_is_written_once(server: LineServer, tmp_path: Path, step: Step) -> None:
    manifest = tmp_path / "job.yaml"
    manifest.write_text(MANIFEST.format(port=server.port))

    def written() -> list[str]:
        parts = sorted((tmp_path / "out").glob("*.json"))
        return [json.loads(row)["value"] for part in parts for row in part.read_text().splitlines()]

    killed = Runtime(manifest, {}, (step, 1))
    again = None
    try:
        server.send(b"one\ntwo\n")
        wait_for(lambda: len(written()) == 2)
        server.send(b"three\nfour\nfive\n")  # in one packet: polled together, and killed with that batch
        assert killed.wait() == -signal.SIGKILL, killed.err
        again = Runtime(manifest, {})
        wait_for(lambda: len(written()) >= 5)
        server.send(b"six\n")
        wait_for(lambda: len(written()) >= 6)
        again.send(signal.SIGTERM)
        assert again.wait() == 0, again.err
        assert written() == ["one", "two", "three", "four", "five", "six"]
    finally:
        killed.end()
        if again:
            again.end()
