"""A value that is too long for a folder's name: said, with nothing lost, and the job goes on once it is mended."""

import json
import os
from pathlib import Path

import pytest

from streamjob_runtime.cli.run import RunOptions, run_job

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: job}}
spec:
  trigger: availableNow
  sources:
  - {{name: s, files: {{path: in/}}, format: json, schema: {{word: VARCHAR, n: BIGINT}}}}
  pipeline: [{{name: v, sql: "SELECT {word} AS word, n FROM s"}}]
  sinks:
  - {{from: v, mode: append, {sink}: {{path: out/, partitionBy: [word]}}{format}}}
"""


@pytest.mark.parametrize(
    ("sink", "size", "word"),
    [("files, format: json", 305, "x" * 300), ("delta", 605, "é" * 100)],
    ids=["files", "delta"],
)
def test_a_job_stops_with_words_and_goes_on_once_its_pipeline_is_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sink: str, size: int, word: str
) -> None:
    kind, _, format_ = sink.partition(", ")
    (tmp_path / "in").mkdir()
    lines = [{"word": "a", "n": 1}, {"word": word, "n": 2}, {"word": "zzz", "n": 3}]
    (tmp_path / "in" / "a").write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.utime(tmp_path / "in" / "a", (1e9, 1e9))
    job = tmp_path / "job.yaml"

    def run(expression: str) -> int:
        end = f", {format_}" if format_ else ""
        job.write_text(MANIFEST.format(word=expression, sink=kind, format=end))
        return run_job(RunOptions(job, termination_log=tmp_path / "end"))

    for _ in range(2):
        assert run("word") == 78
        shown = f'"v.{kind}": the column "word" of partitionBy has {{}}, whose folder would have a name of {size} bytes'
        assert shown.format("a value") in json.loads((tmp_path / "end").read_text())["message"]
        assert shown.format(f"the value '{word[:40]}'…") in capsys.readouterr().err
        assert not list((tmp_path / "out").rglob("part-*"))
    assert run("left(word, 40)") == 0
    assert len(list((tmp_path / "out").rglob("*part-*"))) == 3
