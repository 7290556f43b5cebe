"""`streamjob validate` says every mistake at once: those of the manifest's form and those of its SQL."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from streamjob_api.manifest import parse_manifest
from streamjob_runtime.cli.bounded import Limits, Stopped, bounded
from streamjob_runtime.cli.check import CheckOptions, check_job
from streamjob_runtime.cli.problems import look
from streamjob_runtime.cli.run import RunOptions, run_job
from streamjob_runtime.cli.validate import validate_files
from streamjob_runtime.errors import JobError

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
    return [str(p).split(":", 1)[1] for p in look(parse_manifest(HEAD + body, "job.yaml")).problems]


def paths(body: str) -> list[str]:
    return [p.path for p in look(parse_manifest(HEAD + body, "job.yaml")).problems]


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
        "14:50: spec.pipeline[1].sql: The step w has ORDER BY on a stream, which never ends (`n`). "
        "Group the rows first; a table can be ordered. "
        "Of the first rows of a stream: ORDER BY … LIMIT 10.",
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


def written(file: Path, body: str) -> Path:
    file.write_text(HEAD + body)
    return file


def test_every_file_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, empty, binary, two = (tmp_path / name for name in ("good.yaml", "empty.yaml", "binary.yaml", "two.yaml"))
    written(good, "  sources:\n" + EVENTS + "  sinks: [{from: events, console: {}}]\n")
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


STEPS = """
  sources:
  - name: events
    queue: {}
    schema: {k: VARCHAR, n: BIGINT, at: TIMESTAMP, end: TIMESTAMP}
    watermark: {column: at, delay: 10s}
  tables:
  - {name: names, files: {path: names.csv}, format: csv, schema: {k: VARCHAR, name: VARCHAR}}
  pipeline:
  - {name: named, sql: "WITH x AS (SELECT k, n FROM events) SELECT x.k, name FROM x JOIN names USING (k)"}
  - {name: totals, sql: 'SELECT k, sum(n) AS s FROM events GROUP BY k'}
  - {name: total, sql: 'SELECT count(*) AS c FROM named'}
  - {name: top, sql: 'SELECT * FROM totals ORDER BY s DESC LIMIT 3'}
  - {name: large, sql: 'SELECT * FROM totals WHERE s > 10'}
  - {name: windows, sql: 'SELECT k, count(*) AS c FROM events GROUP BY k, tumble("at", INTERVAL 10 SECOND)'}
  - {name: sliding, sql: 'SELECT count(*) AS c FROM events GROUP BY hop("at", INTERVAL 1 MINUTE, INTERVAL 1 HOUR)'}
  - {name: recent, sql: "SELECT k, max(n) AS m FROM events WHERE batch_time > now() - INTERVAL '1 hour' GROUP BY k"}
  - {name: typed, sql: 'SELECT CAST(n AS DECIMAL(9, 2)) AS d, count(*) AS c FROM events GROUP BY d'}
  - {name: zoned, sql: 'SELECT count(*) AS c FROM events GROUP BY tumble(CAST("at" AS TIMESTAMPTZ), INTERVAL 1 HOUR)'}
  - {name: people, sql: 'SELECT upper(name) AS name FROM names'}
  sinks:
  - {from: windows, mode: append, queue: {}}
  - {from: sliding, mode: complete, console: {}}
""".lstrip("\n")


def test_it_says_what_each_step_becomes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path / "job.yaml", STEPS)
    assert validate_files([file]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{file}:8:57: spec.sources[0].schema.end: warning: end is a reserved word of SQL. In a step write the column "
        'in double quotes: "end".',
        f"{file}:26:27: spec.sinks[1].mode: warning: sliding keeps all its windows for good, as this sink writes the "
        "whole table: here late rows are counted and not dropped, and no window leaves the state. For final windows "
        "take append, for those that changed update.",
        f"{file}: valid",
        "  named: a stream of the new rows of events with names; can be written in append or update mode",
        "  totals: a table with a row for each k of events; each group stays for good: the number of keys must be "
        "bounded; can be written in update or complete mode",
        "  total: a table with one row of named; it holds that row only; can be written in update or complete mode",
        "  top: a view of totals as a whole, computed anew when a batch changes these; can be written in update or "
        "complete mode",
        "  large: a table that shows totals row by row; each group stays for good: the number of keys must be bounded; "
        "can be written in update or complete mode",
        '  windows: a table with a row for each k and window tumble("at", 10s) of events; a window is final, and '
        "leaves, when the watermark (10s behind the newest at) has reached its end; can be written in append, update "
        "or complete mode",
        '  sliding: a table with a row for each window hop("at", 1m, 1h) of events; its windows stay for good, as '
        "spec.sinks[1] writes the whole table; can be written in append, update or complete mode",
        "  recent: a table with a row for each k of events; rows count for 1h, and a group without any leaves; can be "
        "written in update or complete mode",
        "  typed: a table with a row for each CAST(n AS DECIMAL(9, 2)) of events; each group stays for good: the "
        "number of keys must be bounded; can be written in update or complete mode",
        '  zoned: a table with a row for each window tumble(CAST("at" AS TIMESTAMPTZ), 1h) of events; its '
        "windows stay for good, as they are over no column with a watermark; can be written in update or complete mode",
        "  people: rows of names, which change when that is read again; can be written in complete mode",
    ]


def test_it_names_groups_without_their_types(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(
        tmp_path / "job.yaml",
        """
  sources:
  - name: events
    queue: {}
    schema: {k: "STRUCT(a INTEGER, b VARCHAR)", "my key": "DECIMAL(9, 2)", t: TIMESTAMP WITH TIME ZONE}
    watermark: {column: t, delay: 10s}
  pipeline:
  - {name: windows, sql: "SELECT k, count(*) AS c FROM events GROUP BY k, tumble(t, INTERVAL 10 SECOND)"}
  - {name: groups, sql: 'SELECT count(*) AS c FROM events GROUP BY k, t, "my key"'}
  sinks:
  - {from: windows, queue: {}}
""".lstrip("\n"),
    )
    assert validate_files([file]) == 0
    _, windows, groups = capsys.readouterr().out.splitlines()
    assert windows.startswith("  windows: a table with a row for each k and window tumble(t, 10s) of events; ")
    assert groups.startswith('  groups: a table with a row for each k, t and "my key" of events; ')


def test_it_says_that_a_job_has_one_watermark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(
        tmp_path / "job.yaml",
        """
  sources:
  - {name: a, queue: {}, schema: {t: TIMESTAMP}, watermark: {column: t, delay: 10s}}
  - {name: b, queue: {}, schema: {t: TIMESTAMP}}
  pipeline:
  - {name: p, sql: "SELECT t AS u FROM b", watermark: {column: u, delay: 1m}}
  - {name: w, sql: "SELECT count(*) AS n FROM a GROUP BY tumble(t, INTERVAL 1 HOUR)"}
  sinks: [{from: w, mode: append, queue: {}}]
""".lstrip("\n"),
    )
    assert validate_files([file]) == 0
    (said,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  w: ")]
    lowest = "the lowest of the job's: 10s behind the newest t of a, 1m behind the newest u of p"
    assert f"when the watermark ({lowest}) has reached its end" in said


SMALL = Limits(cpu_s=10, memory=700 << 20)


def test_what_sql_computes_from_constants_has_bounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Little memory at a time, so that it is the time that ends it, also beside all that this process holds.
    computed = " + ".join(f"len(repeat('{i}', 4000000))" for i in range(100))
    limits = Limits(cpu_s=1, memory=8 << 30)
    steps = f'  - {{name: u, sql: SELECT k FROM events}}\n  - {{name: v, sql: "SELECT {computed} AS x FROM events"}}\n'
    body = "  sources:\n" + EVENTS + "  pipeline:\n" + steps + SINK
    file = written(tmp_path / "job.yaml", body)
    assert validate_files([file], limits) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line == (
        f"{file}:9:20: spec.pipeline[1].sql: To plan this takes more than 1 seconds of processor time. Leave out "
        "what it computes from constants, or make it smaller."
    )
    # As the check pod of a cluster does it, before it looks at anything else.
    assert check_job(CheckOptions(file), limits=limits) == 78
    assert capsys.readouterr().err.splitlines() == [line]
    # And a start, of which nothing is there yet.
    assert run_job(RunOptions(file), limits=limits) == 78
    assert capsys.readouterr().err.splitlines() == [line]
    assert list(tmp_path.iterdir()) == [file]


def test_work_in_a_process_of_its_own_gives_its_result_or_why_it_was_stopped() -> None:
    def large(at_step: Callable[[int], None]) -> int:
        at_step(7)
        return len(bytearray(2 * SMALL.memory))

    def wrong(_: Callable[[int], None]) -> None:
        raise JobError("wrong")

    def dies(_: Callable[[int], None]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    assert bounded(lambda _: ["x" * 200_000], SMALL) == ["x" * 200_000]
    with pytest.raises(Stopped) as caught:
        bounded(large, SMALL)
    assert (caught.value.at, caught.value.why) == (7, "more than 700 MiB of memory")
    with pytest.raises(JobError, match="wrong"):
        bounded(wrong, SMALL)
    with pytest.raises(Stopped):
        bounded(dies, SMALL)


def test_a_token_has_its_own_place(tmp_path: Path) -> None:
    steps = "  pipeline:\n  - name: v\n    sql: |\n      SELECT k,\n             n +\n      FROM events\n"
    assert said("  sources:\n" + EVENTS + steps + SINK) == [
        '12:7: spec.pipeline[0].sql: The step v cannot be read: syntax error at or near "FROM".'
    ]


def test_a_reserved_word_says_how_to_quote_it() -> None:
    source = "  sources: [{name: events, queue: {}, schema: {at: TIMESTAMP, order: BIGINT, k: VARCHAR}}]\n"
    for sql, column, word in [
        ("SELECT k, at FROM events", 40, "at"),
        ("SELECT order FROM events", 37, "order"),
        ("SELECT k FROM events WHERE order > 1", 57, "order"),
        ("SELECT k FROM events GROUP BY at", 60, "at"),
        ("SELECT max(at) FROM events", 41, "at"),
    ]:
        steps = f"  pipeline: [{{name: v, sql: {sql}}}]\n".replace("sql: ", "sql: '").replace("}]", "'}]")
        assert said(source + steps.replace(", at", ", at") + SINK) == [
            f"6:{column}: spec.pipeline[0].sql: The step v names the column {word}, which is a reserved word. "
            f'Write it in quotes: "{word}".'
        ], sql
