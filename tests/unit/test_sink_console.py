import io
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa

from streamjob_runtime.connectors.console.sink import ConsoleSink, TextPrinter, cell
from streamjob_runtime.connectors.sink import Delivery, SinkBatch, Writer

TIME_MS = 1_767_225_602_000  # 2026-01-01T00:00:02Z


def shown(rows: pa.Table, mode: str = "append", limit: int = 20, deleted: pa.Table | None = None) -> str:
    out = io.StringIO()
    sink = ConsoleSink("words", TextPrinter(out), limit)
    writer = Writer("job", 1, lambda: None)
    sink.open(writer)
    sink.write(SinkBatch(42, TIME_MS, rows, mode, writer, deleted=deleted))
    sink.close()
    return out.getvalue()


def test_a_batch_is_shown_as_an_aligned_table_below_its_title() -> None:
    rows = pa.table(
        {
            "word": ["the", "日本", None],
            "n": [1204, 7, None],
            "at": pa.array([TIME_MS, TIME_MS + 1, None], pa.timestamp("ms")),
        }
    )
    assert shown(rows) == (
        "words · batch 42 · 2026-01-01T00:00:02Z · 3 rows\n"
        "word │    n │ at\n"
        "─────┼──────┼───────────────────────────\n"
        "the  │ 1204 │ 2026-01-01T00:00:02\n"
        "日本 │    7 │ 2026-01-01T00:00:02.001000\n"
        "NULL │ NULL │ NULL\n"
        "\n"
    )


def test_only_the_first_rows_are_shown_and_the_title_says_so() -> None:
    lines = shown(pa.table({"n": list(range(134))}), limit=2).splitlines()
    assert lines[0].endswith("· 2 of 134 rows")
    assert lines[1:] == ["n", "─", "0", "1", ""]


def test_nothing_is_shown_without_rows_except_that_a_result_became_empty() -> None:
    empty = pa.table({"n": pa.array([], pa.int64())})
    assert shown(empty) == ""
    assert shown(empty, "complete") == "words · batch 42 · 2026-01-01T00:00:02Z · 0 rows\nn\n─\n\n"


def test_what_is_no_longer_in_the_result_is_shown_with_a_sign() -> None:
    rows, gone = pa.table({"op": ["a", "b"], "n": [1, 2]}), pa.table({"op": ["c"], "n": [3]})
    lines = shown(rows, "update", deleted=gone).splitlines()
    assert lines[0].endswith("· 3 rows")
    assert lines[1:] == ["op │ op │ n", "───┼────┼──", "-  │ c  │ 3", "+  │ a  │ 1", "+  │ b  │ 2", ""]
    assert shown(rows, "update", limit=2, deleted=gone).splitlines()[3:] == ["-  │ c  │ 3", "+  │ a  │ 1", ""]
    assert shown(rows.slice(0, 0), "update", deleted=gone).splitlines()[3:] == ["-  │ c  │ 3", ""]
    assert shown(rows.slice(0, 0), "update", deleted=gone.slice(0, 0)) == ""


def test_it_admits_that_a_batch_may_be_shown_twice() -> None:
    assert ConsoleSink.delivery is Delivery.AT_LEAST_ONCE


def test_a_row_cannot_command_the_terminal() -> None:
    text = shown(pa.table({"a\x1b[31m": ["\x1b[2J\nnext\t\u202e"]}))
    assert "\x1b" not in text
    assert "\\x1b[2J\\nnext\\t\\u202e" in text


def test_cells_are_short_and_say_what_they_hold() -> None:
    assert cell("x" * 100) == "x" * 39 + "…"
    assert cell("日" * 100, 8) == "日日日 …"
    assert cell(True) == "true"
    assert cell(0.1) == "0.1"
    assert cell(float("nan")) == "nan"
    assert cell(Decimal("1E+3")) == "1000"
    assert cell(b"\x00\xff") == "00ff"
    assert cell(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00Z"
    assert cell([{"a": None, "b": [1]}]) == "[{a: NULL, b: [1]}]"


def test_times_beyond_pythons_own_are_shown_too() -> None:
    rows = pa.table({"ns": pa.array([1], pa.timestamp("ns")), "far": pa.array([2**62], pa.timestamp("us"))})
    assert "1970-01-01 00:00:00.000000001" in shown(rows)
