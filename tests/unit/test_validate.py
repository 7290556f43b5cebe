"""`streamjob validate` says every mistake at once: those of the manifest's form and those of its SQL."""

from pathlib import Path

import pytest

from streamjob_api.manifest import parse_manifest
from streamjob_runtime.cli.problems import all_problems
from streamjob_runtime.cli.validate import validate_files

HEAD = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: job}
spec:
""".lstrip()
EVENTS = "  - {name: events, queue: {}, schema: {k: VARCHAR, n: BIGINT}}\n"
SINK = "  sinks: [{from: v, console: {}}]\n"


def said(body: str) -> list[str]:
    """The problems of a manifest with this spec, each as `line: path: text`; the spec begins with line 5."""
    return [str(p).split(":", 1)[1] for p in all_problems(parse_manifest(HEAD + body, "job.yaml"))]


def paths(body: str) -> list[str]:
    return [p.path for p in all_problems(parse_manifest(HEAD + body, "job.yaml"))]


def test_mistakes_of_form_and_of_sql_are_said_together_in_the_order_of_their_lines() -> None:
    assert said(
        "  checkpoint: {interval: 3s}\n"
        "  sources:\n" + EVENTS + "  pipeline:\n"
        "  - name: v\n"
        "    sql: |\n"
        "      SELECT\n"
        "        nn\n"
        "      FROM events\n"
        "  - {name: w, sql: SELECT k FROM events ORDER BY n}\n"
        "  sinks:\n"
        "  - {from: v, console: {rows: 0}}\n"
        "  trigge: availableNow\n"
    ) == [
        "5:26: spec.checkpoint.interval: 3s is 1.5 times the batchInterval of 2s; "
        "it must be a whole multiple, 5 to 10 times; take 10s, or leave it out",
        "12:9: spec.pipeline[0].sql: The step v names the column nn, which is not there. Did you mean n?",
        "14:20: spec.pipeline[1].sql: The step w has ORDER BY on a stream, which never ends (`n`). "
        "Group the rows first; a table can be ordered.",
        "16:31: spec.sinks[0].console.rows: 0 is too small; take 1 to 10000",
        '17:3: spec.trigge: unknown field; did you mean "trigger"?',
    ]


def test_a_mistake_that_breaks_only_a_rule_does_not_hide_the_sql() -> None:
    body = "  trigger: availableNow\n  sources:\n  - {name: lines, tcp: {host: h, port: 1}, format: text}\n"
    assert paths(body + "  pipeline: [{name: v, sql: SELECT valu FROM lines}]\n" + SINK) == [
        "spec.sources[0].tcp",
        "spec.pipeline[0].sql",
    ]


SOURCES = {
    "a watermark column not there": "{name: bad, queue: {}, schema: {k: INT}, watermark: {column: z, delay: 0s}}",
    "no schema": "{name: bad, files: {path: in/}, format: json}",
    "a misspelt schema": "{name: bad, queue: {}, shema: {k: INT}}",
    "a misspelt watermark": "{name: bad, queue: {}, schema: {k: INT, t: TIMESTAMP}, watermrk: {column: t, delay: 1s}}",
    "two kinds": "{name: bad, queue: {}, rate: {}}",
    "no kind": "{name: bad, format: text}",
    "a type of another SQL": "{name: bad, queue: {}, schema: {k: VARCHARR}}",
    "a type that is no text": "{name: bad, queue: {}, schema: {k: [INT]}}",
    "a name that is no text": "{name: [bad], queue: {}, schema: {k: INT}}",
    "no name": "{queue: {}, schema: {k: INT}}",
    "a misspelt name": "{nmae: bad, queue: {}, schema: {k: INT}}",
    "no object": "bad",
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_what_reads_a_broken_source_is_not_blamed(source: str) -> None:
    found = paths(
        "  sources:\n  - " + source + "\n" + EVENTS + "  pipeline:\n"
        "  - {name: first, sql: 'SELECT k, zz FROM bad'}\n"
        "  - {name: second, sql: 'WITH x AS (SELECT zz FROM first) SELECT zz FROM x JOIN events ON true'}\n"
        "  - {name: v, sql: 'SELECT z FROM events'}\n"
        "  sinks: [{from: v, console: {}}, {from: second, mode: complete, console: {}}]\n"
    )
    of_form, of_sql = found[:-1], found[-1]
    assert of_form and all(path.startswith("spec.sources[0]") for path in of_form)
    assert of_sql == "spec.pipeline[2].sql"


@pytest.mark.parametrize(
    "kind", ["tcp: {host: h, port: x}, format: text", "files: {pat: x}, format: text", "tcp: , format: text"]
)
def test_where_a_sources_rows_come_from_says_nothing_about_their_columns(kind: str) -> None:
    body = "  sources: [{name: lines, " + kind + ", maxRecordsPerBatch: 0}]\n"
    found = paths(body + "  pipeline: [{name: v, sql: SELECT valu FROM lines}]\n" + SINK)
    assert found[-1] == "spec.pipeline[0].sql"
    assert len(found) >= 3


def test_a_table_is_known_though_its_files_are_wrong() -> None:
    table = "  tables: [{name: ads, files: {}, format: csv, schema: {k: VARCHAR}, refresh: 1ms}]\n"
    step = "  pipeline: [{name: v, sql: SELECT kk FROM events JOIN ads USING (k)}]\n"
    assert paths("  sources:\n" + EVENTS + table + step + SINK) == [
        "spec.tables[0].files.path",
        "spec.tables[0].refresh",
        "spec.pipeline[0].sql",
    ]


@pytest.mark.parametrize("list_", ["tables: {ads: x}", "tabels: [{name: ads}]"])
def test_any_name_may_be_that_of_a_list_that_is_wrong(list_: str) -> None:
    steps = "  pipeline: [{name: v, sql: SELECT k FROM ads}, {name: w, sql: SELECT z FROM events}]\n"
    found = paths("  sources:\n" + EVENTS + f"  {list_}\n" + steps + SINK)
    assert found == [f"spec.{list_.split(':')[0]}", "spec.pipeline[1].sql"]


def test_a_name_that_nothing_has_is_said_beside_other_mistakes() -> None:
    steps = "  pipeline: [{name: v, sql: SELECT k FROM evnts}]\n"
    assert paths("  batchIntervl: 2s\n  sources:\n" + EVENTS + steps + SINK) == [
        "spec.batchIntervl",
        "spec.pipeline[0].sql",
    ]


def test_a_step_whose_name_is_wrong_has_its_sql_checked_and_is_no_ones_mistake() -> None:
    assert paths(
        "  sources:\n" + EVENTS + "  pipeline:\n"
        "  - {name: v, sql: SELECT k FROM events}\n"
        "  - {name: v, sql: SELECT z FROM events}\n"
        "  - {name: 3, sql: SELECT z FROM events}\n"
        "  - {name: last, sql: SELECT anything FROM v}\n" + SINK
    ) == ["spec.pipeline[1].name", "spec.pipeline[1].sql", "spec.pipeline[2].name", "spec.pipeline[2].sql"]


def test_sql_that_a_comma_has_cut_is_not_read_but_said_to_be_cut() -> None:
    step = "  pipeline: [{name: v, sql: SELECT k, n FROM events}]\n"
    assert said("  sources:\n" + EVENTS + step + SINK) == [
        '7:39: spec.pipeline[0]["n FROM events"]: is no field but the end of a text: within { } a comma ends it; '
        "put the whole text in quotes"
    ]


def test_a_sink_is_planned_too_and_each_field_blamed_once() -> None:
    assert (
        paths(
            "  sources:\n" + EVENTS + "  sinks:\n"
            "  - {from: events, mode: complete, console: {rows: x}}\n"  # complete does not fit a stream
            "  - {from: events, mode: update, files: {path: a/, partitionBy: [z]}, format: json}\n"
            "  - {from: events, mod: complete, console: {}}\n"
            "  - {from: nothing, console: {}}\n"
            "  - {from: events, mode: all, console: {}}\n"
        )
        == [
            "spec.sinks[0].mode",
            "spec.sinks[0].console.rows",
            "spec.sinks[1].mode",
            "spec.sinks[1].files.partitionBy[0]",
            "spec.sinks[2].mod",
            "spec.sinks[3].from",
            "spec.sinks[4].mode",
        ]
    )


def test_names_that_sql_takes_for_one_are_said_to_be(tmp_path: Path) -> None:
    other = "  - {name: EVENTS, queue: {}, schema: {k: VARCHAR}}\n"
    assert paths("  sources:\n" + EVENTS + other + "  pipeline: [{name: v, sql: SELECT k FROM events}]\n" + SINK) == [
        "spec.sources[1].name"
    ]


def test_every_file_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, empty, binary, two = (tmp_path / name for name in ("good.yaml", "empty.yaml", "binary.yaml", "two.yaml"))
    good.write_text(HEAD + "  sources:\n" + EVENTS + "  sinks: [{from: events, console: {}}]\n")
    empty.write_text("")
    binary.write_bytes(b"\x00\xff\xfe")
    two.write_text(good.read_text() + "---\n" + good.read_text())
    assert validate_files([good]) == 0
    assert validate_files([good, empty, binary, two]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{good}: valid",
        f"{good}: valid",
        f"{empty}:1:1: holds no StreamJob; write apiVersion: streamjob.dev/v1alpha1 and kind: StreamJob",
        f"{binary}:1:2: is not UTF-8 text; save it as UTF-8",
        f"{two}:9:1: holds a second StreamJob; give each its own file",
    ]
