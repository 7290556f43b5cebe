"""A library that ends the process on a file which no batch names yet: the termination log does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

POISON = "poison"
# A decoder of the test's own, in place of one that a library fails in.
SCRIPT = """
import os, sys
from pathlib import Path
from streamjob_runtime.cli.check import CheckOptions, check_job
from streamjob_runtime.cli.run import RunOptions, run_job
from streamjob_runtime.formats import json_lines

decode = json_lines.JsonDecoder.decode

def ends(self, data, *rest):
    if b"poison" in data:
        os._exit(9)
    return decode(self, data, *rest)

json_lines.JsonDecoder.decode = ends
job, end = Path("job.yaml"), Path("end")
code = run_job(RunOptions(job, termination_log=end)) if sys.argv[1] == "run" else check_job(
    CheckOptions(job, termination_log=end)
)
sys.exit(code)
"""
MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: job}}
spec:
  trigger: availableNow
  sources:
  - {{name: s, files: {{path: {path}}}, format: json, schema: {{k: VARCHAR}}}}
  tables:
  - {{name: t, files: {{path: t/}}, format: json, schema: {{k: VARCHAR}}}}
  pipeline: [{{name: v, sql: SELECT k FROM s JOIN t USING (k)}}]
  sinks: [{{from: v, mode: append, console: {{}}}}]
"""


@pytest.mark.parametrize(
    ("command", "bad", "path", "named"),
    [
        ("run", "in/b", "in/", 'Source "s": the file {}/in/b'),
        ("run", "in/b", "in/, follow: true", 'source "s": in/b from byte 0 on'),
        ("run", "t/b", "in/", "the static table 't': the file b at {}/t"),
        ("check", "t/b", "in/", "the static table 't': the file b at {}/t"),
    ],
    ids=["source", "follow", "table", "check"],
)
def test_what_was_decoded_is_named(tmp_path: Path, command: str, bad: str, path: str, named: str) -> None:
    (tmp_path / "job.yaml").write_text(MANIFEST.format(path=path))
    for name in ("in/a", "in/b", "t/a", "t/b"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"k": POISON if name == bad else "x" * 20}) + "\n")
        os.utime(file, (1e9, 1e9))
    done = subprocess.run([sys.executable, "-P", "-c", SCRIPT, command], cwd=tmp_path, timeout=120, check=False)
    assert done.returncode == 9
    end = json.loads((tmp_path / "end").read_text())
    assert end["reason"] == "EndedInDecoding"
    assert named.format(tmp_path) in end["message"]
