"""A manifest with variables: what its values become, and what is said of those that have none."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from streamjob_api.manifest import parse_manifest
from streamjob_api.names import AS_IS
from streamjob_runtime.cli.main import main

TEXT = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: job}
spec:
  batchInterval: ${INTERVAL:-2s}
  suspend: ${SUSPEND:-false}
  sources:
  - name: lines
    tcp:
      host: ${HOST}
      port: ${PORT:-9999}
    format: text
  # a comment with ${NOTHING}
  pipeline:
  - name: v
    sql: |
      SELECT value, '$${literal}' AS l
      FROM lines WHERE value <> '${SKIP:-}'
  sinks: [{from: v, console: {}}]
"""


def test_values_are_filled_and_have_the_types_that_yaml_gives_them() -> None:
    job = parse_manifest(TEXT, "job.yaml", {"HOST": "h", "PORT": "70", "SUSPEND": "true"}).job
    assert job is not None
    assert job.spec.suspend is True
    assert (job.spec.sources[0].config.host, job.spec.sources[0].config.port) == ("h", 70)
    assert job.spec.pipeline[0].sql == "SELECT value, '${literal}' AS l\nFROM lines WHERE value <> ''\n"


def test_a_variable_without_a_value_is_an_error_at_its_line() -> None:
    (said,) = map(str, parse_manifest(TEXT, "job.yaml", {"HOSTS": "h"}).problems)
    assert said.startswith(
        'job.yaml:11:13: spec.sources[0].tcp.host: the variable HOST has no value; did you mean "HOSTS"'
    )


def test_a_wrong_value_is_said_where_the_variable_stands() -> None:
    (said,) = map(str, parse_manifest(TEXT, "job.yaml", {"HOST": "h", "PORT": "http"}).problems)
    assert said.startswith("job.yaml:12:13: spec.sources[0].tcp.port: must be a whole number")


def test_a_value_in_quotes_stays_a_text() -> None:
    text = TEXT.replace("name: job}", 'name: job, labels: {version: "${VERSION}"}}')
    job = parse_manifest(text, "job.yaml", {"HOST": "h", "VERSION": "5"}).job
    assert job is not None
    assert job.metadata.labels == {"version": "5"}


def test_without_variables_values_are_as_they_are_written() -> None:
    text = TEXT.replace("${INTERVAL:-2s}", "2s").replace("${SUSPEND:-false}", "false").replace("${PORT:-9999}", "9999")
    job = parse_manifest(text.replace("${HOST}", "h"), "job.yaml").job
    assert job is not None
    assert "'$${literal}'" in job.spec.pipeline[0].sql


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOST", "of the environment")
    written = tmp_path / "job.yaml"
    written.write_text(TEXT + "---\nkind: Secret\nstringData: {port: '${PORT:-9999}'}\n")
    return written


def test_render_prints_every_document_as_a_cluster_takes_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(main, ["render", "--set", "HOST=h", "--set", "SKIP=a=b", str(file)])
    assert done.exit_code == 0, done.output
    job, secret = yaml.safe_load_all(done.output)
    assert job["spec"]["sources"][0]["tcp"] == {"host": "h", "port": 9999}
    assert secret["stringData"] == {"port": "9999"}
    file.write_text(done.output)
    monkeypatch.setenv(AS_IS, "1")
    again = CliRunner().invoke(main, ["render", str(file)])
    assert list(yaml.safe_load_all(again.output)) == [job, secret]
    assert "'${literal}'" in job["spec"]["pipeline"][0]["sql"] and "<> 'a=b'" in job["spec"]["pipeline"][0]["sql"]


def test_what_is_no_setting_is_refused(file: Path) -> None:
    for wrong in ("HOST", "a b=1", "=1", "1A=1"):
        done = CliRunner().invoke(main, ["render", "--set", wrong, str(file)])
        assert done.exit_code == 2
        assert "is not NAME=value" in done.output


def test_no_variable_stays_as_it_is_behind_a_hundred_that_are_replaced() -> None:
    many = "\n".join(f"      c{i}: ${{C{i}}}" for i in range(100))
    text = TEXT.replace("    format: text\n", f"    format: json\n    schema:\n{many}\n", 1).replace("SKIP:-", "SKIP")
    parts = [("parts.yaml", "sources: {lines: {schema: {value: VARCHAR}}}")]
    problems = parse_manifest(text, "job.yaml", {"HOST": "h"}, parts).problems
    assert problems, "SKIP has no value, and neither has too much else"
