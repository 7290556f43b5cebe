"""A manifest of which another file replaces sources, static tables and sinks."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from streamjob_api.manifest import LoadedManifest, parse_manifest
from streamjob_runtime.cli.main import main

TEXT = """\
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: views}
spec:
  variablesFrom: [{configMapRef: {name: env}}]
  sources:
  - name: events
    kafka:
      bootstrapServers: ${KAFKA}
      topic: events
    format: json
    schema: {id: BIGINT, at: TIMESTAMP}
    watermark: {column: at, delay: 10s}
  - {name: lines, tcp: {host: h, port: 1}, format: text}
  tables:
  - {name: ads, delta: {path: "s3://ref/ads"}, refresh: 1h}
  pipeline:
  - {name: counts, sql: "SELECT id, count(*) AS n FROM events JOIN ads USING (id) GROUP BY id"}
  sinks:
  - {from: counts, mode: update, kafka: {bootstrapServers: "${KAFKA}", topic: counts}, format: json}
  - {from: lines, files: {path: out/}, format: json}
  - {from: lines, files: {path: out2/}, format: json}
"""
LAPTOP = """\
sources:
  events: {files: {path: "${DIR:-samples/}"}}
tables:
  ads: {files: {path: ads.csv}, format: csv, schema: {id: BIGINT}}
sinks:
  counts.kafka: {console: {}}
  lines.files.2:
    files: {path: other/}
"""


def load(*replacements: str, text: str = TEXT, **variables: str) -> LoadedManifest:
    others = [(f"{i}.yaml", replacement) for i, replacement in enumerate(replacements)]
    return parse_manifest(text, "job.yaml", variables, others)


def spec_of(loaded: LoadedManifest) -> dict[str, Any]:
    assert loaded.problems == []
    (document,) = loaded.documents
    return dict(document["spec"])


def test_what_an_entry_says_counts_and_the_rest_stays() -> None:
    loaded = load(LAPTOP)
    spec, before = spec_of(loaded), yaml.safe_load(TEXT)["spec"]
    kept = {k: v for k, v in before["sources"][0].items() if k != "kafka"}
    assert spec["sources"] == [{**kept, "files": {"path": "samples/"}}, before["sources"][1]]
    ads = {"name": "ads", "refresh": "1h", "format": "csv", "schema": {"id": "BIGINT"}, "files": {"path": "ads.csv"}}
    assert spec["tables"] == [ads]
    assert spec["sinks"] == [
        {"from": "counts", "mode": "update", "console": {}},
        before["sinks"][1],
        {"from": "lines", "files": {"path": "other/"}, "format": "json"},
    ]
    assert loaded.job is not None and loaded.job.spec.sink_names == ("counts.console", "lines.files", "lines.files.2")


def test_a_variable_that_is_replaced_needs_no_value() -> None:
    assert load(LAPTOP).job is not None
    (said,) = load("sources: {events: {files: {path: in/}}}").problems
    assert said.path == "spec.sinks[0].kafka.bootstrapServers", "only the sink still has one"


def test_a_field_is_taken_away_by_null_and_a_kind_is_not() -> None:
    loaded = load("sources: {lines: {format: raw}, events: {watermark: null}}", KAFKA="k:1")
    assert "watermark" not in spec_of(loaded)["sources"][0]
    assert spec_of(loaded)["sources"][1] == {"name": "lines", "tcp": {"host": "h", "port": 1}, "format": "raw"}
    (said,) = load("sinks: {counts.kafka: {console: }}", KAFKA="k:1").problems
    assert str(said) == "0.yaml:1:24: spec.sinks[0].console: has no value; write console: {} or its fields"


def test_one_file_after_the_other() -> None:
    second = "sinks: {counts.console: {console: {rows: 3}}}"
    assert spec_of(load(LAPTOP, second))["sinks"][0]["console"] == {"rows": 3}
    assert load(second, LAPTOP, KAFKA="k:1").job is None, "there is no such sink yet"


@pytest.mark.parametrize(
    ("replacement", "said"),
    [
        (
            "sources:\n  evnts: {files: {path: in/}}\n",
            '0.yaml:2:3: sources.evnts: there is no source "evnts" in the manifest; did you mean "events"?',
        ),
        (
            "sinks:\n  counts.postgres: {console: {}}\n",
            '0.yaml:2:3: sinks["counts.postgres"]: there is no sink "counts.postgres" in the manifest; '
            "there are counts.kafka, lines.files, lines.files.2",
        ),
        ("pipeline: {counts: {}}", "0.yaml:1:1: pipeline: cannot be replaced; what can be are sources, tables, sinks"),
        ("sink: {}", '0.yaml:1:1: sink: cannot be replaced; did you mean "sinks"?'),
        ("sources: [{name: events}]", "0.yaml:1:1: sources: must be an object, not a list; write sources: {NAME: {…}}"),
        ("sources: {events: 5}", "0.yaml:1:11: sources.events: must be an object with fields, not the number 5"),
        ("sources: {events: {name: e}}", "0.yaml:1:20: sources.events.name: is not replaced: steps go by it"),
        ("5", "0.yaml:1:1: must be an object with sources, tables, sinks, not the number 5"),
        ("", "0.yaml:1:1: holds 0 documents; write one"),
        ("a: {}\n---\nb: {}\n", "0.yaml:1:1: holds 2 documents; write one"),
        ("sources: {", "0.yaml:1:"),
        ("sources: {events: {files: {path: '${NOWHERE}'}}}", "0.yaml:1:34: sources.events.files.path: the variable"),
        ("sources: {events: {files: {path: in/, pth: a}}}", "0.yaml:1:39: spec.sources[0].files.pth: unknown field"),
        (
            "sources:\n  events:\n    files: {path: in/}\n    format: jsn\n",
            "0.yaml:4:13: spec.sources[0].format: must be one of",
        ),
    ],
)
def test_what_is_wrong_is_said_where_it_stands(replacement: str, said: str) -> None:
    found = [str(problem) for problem in load(replacement, KAFKA="k:1").problems]
    assert found and found[0].startswith(said), found


def test_a_manifest_that_is_wrong_itself_is_told_so() -> None:
    for old, new in (("  sources:\n", "  sources: 5\n  pipelin:\n"), ("name: events", "nme: events")):
        loaded = load(LAPTOP, text=TEXT.replace(old, new), KAFKA="k:1")
        assert loaded.job is None and any(problem.file == "job.yaml" for problem in loaded.problems)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "job.yaml").write_text(TEXT)
    (tmp_path / "laptop.yaml").write_text(LAPTOP)
    return str(tmp_path / "job.yaml"), str(tmp_path / "laptop.yaml")


def test_render_gives_a_cluster_values_alone(files: tuple[str, str]) -> None:
    job, laptop = files
    done = CliRunner().invoke(main, ["render", "--replace", laptop, "--set", "DIR=s3://in/", job])
    assert done.exit_code == 0, done.output
    spec = yaml.safe_load(done.output)["spec"]
    assert spec["sources"][0]["files"] == {"path": "s3://in/"} and spec["sinks"][0]["console"] == {}
    assert "variablesFrom" not in spec, "the operator looks for no variables in what has none"


def test_validate_says_the_plan_with_the_replaced_parts(files: tuple[str, str]) -> None:
    job, laptop = files
    done = CliRunner().invoke(main, ["validate", "--replace", laptop, job])
    assert done.exit_code == 0, done.output
    assert f"{job}: valid" in done.output
    Path(laptop).write_text(LAPTOP.replace("schema: {id: BIGINT}", "schema: {it: BIGINT}"))
    done = CliRunner().invoke(main, ["validate", "--replace", laptop, job])
    assert done.exit_code == 1 and f"{job}:18:" in done.output, "a step that does not fit what was replaced"
