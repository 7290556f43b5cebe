"""What users of other engines write is told what it is called here."""

import pytest

from support.queries import problems

NO_WINDOW = "Use update or complete, or group by tumble() or hop() over a column with a watermark, and not by"
TUMBLE = "GROUP BY tumble(time, INTERVAL '1 minute')"


@pytest.mark.parametrize(
    ("sql", "said", "clause", "remedy"),
    [
        ("SELECT k, count(*) FROM events GROUP BY k, window(t, '1 minute')", "has window()", "window(", TUMBLE),
        ("SELECT k FROM events GROUP BY k, session_window(t, '5 minutes')", "calls session_window()", "",
         "GROUP BY session(time"),
        ("SELECT * FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(t), INTERVAL '1' MINUTE))",
         "has a window as other engines write it", "TABLE(TUMBLE(", TUMBLE),
        ("SELECT * FROM TABLE(SESSION(TABLE events, DESCRIPTOR(t), INTERVAL '1' MINUTE))", "has a session window", "",
         "GROUP BY session(time"),
        ("SELECT * FROM tumble(events, t, INTERVAL '1 minute')", "reads from the table function tumble", "", TUMBLE),
        ("SELECT k, TUMBLE_START(t, INTERVAL '1 minute') FROM events GROUP BY k", "calls tumble_start()", "",
         "window_start and window_end are columns"),
        ("SELECT k, count(*) FROM events GROUP BY k, HOP_END(t, INTERVAL '1' MINUTE, INTERVAL '5' MINUTE)",
         "calls hop_end()", "", "window_start and window_end are columns"),
        ("SELECT k, count(*) FROM events WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY k EMIT CHANGES",
         "has a window as other engines write it", "WINDOW TUMBLING (", TUMBLE),
        ("SELECT k, count(*) FROM events GROUP BY k EMIT CHANGES", "has EMIT", "EMIT CHANGES", "the sink's mode"),
        ("SELECT k, count(*) FROM events GROUP BY k\nEMIT FINAL", "has EMIT", "EMIT FINAL", "the sink's mode"),
        ("CREATE TABLE x (t TIMESTAMP, WATERMARK FOR t AS t - INTERVAL '5' SECOND)", "is not a SELECT", "", ""),
        ("SELECT k FROM events, WATERMARK FOR t AS t", "has WATERMARK FOR", "WATERMARK FOR", "watermark: {column"),
        ("SELECT date_bin(INTERVAL '1 minute', t) FROM events", "calls date_bin()", "", TUMBLE),
        ("SELECT nvl(k, '') FROM events", "calls nvl()", "", "coalesce(x, y)"),
        ("SELECT k, collect_set(n) FROM events GROUP BY k", "calls collect_set()", "", "list_sort(list_distinct("),
        ("SELECT k, latest_by_offset(n) FROM events GROUP BY k", "calls latest_by_offset()", "", "arg_max(x, time)"),
    ],
)  # fmt: skip
def test_another_engines_words(sql: str, said: str, clause: str, remedy: str) -> None:
    (found,) = problems({"v": sql}, [("v", "update")])
    assert said in found.message or (said == "is not a SELECT" and "WATERMARK FOR" in found.message)
    assert remedy in found.remedy
    if clause:
        assert found.clause == clause


def test_words_in_texts_and_comments_are_no_words() -> None:
    sql = "SELECT 'EMIT CHANGES' AS a -- WATERMARK FOR\nFROM events /* window( */ WHER n > 1"
    (found,) = problems({"v": sql})
    assert found.message.startswith("The step v cannot be read: syntax error")


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT k, summ(n) AS s FROM events GROUP BY k", "calls summ(), which is no function|Did you mean sum?"),
        ("SELECT summ(n) AS s FROM events", "calls summ(), which is no function|Did you mean sum?"),
        ("SELECT k, cuont(*) FROM events GROUP BY k", "calls cuont(), which is no function|Did you mean count?"),
        ("SELECT k, n FROM events WHERE", "cannot be read: something is missing after WHERE|"),
        ("SELECT k, (n FROM events", 'cannot be read: syntax error at or near "FROM"|'),
        ("SELECT k FROM events WHERE k = 'a",
         "has a text that does not end|Close it with ', and write '' for a ' in it."),
        ('SELECT k FROM "events', 'has a name that does not end|Close it with ", and write "" for a " in it.'),
        ('SELECT n FROM events WHERE k = "view"', "names the column view, which is not there|Did you mean k? "
         "A text stands in single quotes: 'view'."),
        ("SELECT ", "has a SELECT without columns|Write them, or *. In YAML a # behind a space begins a comment: put "
         "SQL that has one below | ."),
        ("-- SELECT 1", "has no statements|A step is one SELECT; write a step for each."),
        ("SELECT at FROM events", 'cannot be read: syntax error after "at"|'
         'at is a reserved word; if a column is called so, write it in quotes: "at".'),
        ("SELECT date_trunc('minute', t) AS m, count(*) AS c FROM events GROUP BY m", f"|{NO_WINDOW} "
         "date_trunc('minute', t), which is no window."),
        ("SELECT time_bucket(INTERVAL '1 minute', t) AS m, count(*) AS c FROM events GROUP BY m", f"|{NO_WINDOW} "
         "time_bucket(CAST('1 minute' AS INTERVAL), t), which is no window."),
    ],
)  # fmt: skip
def test_words_that_help(sql: str, said: str) -> None:
    (found,) = problems({"v": sql})
    message, remedy = said.split("|", 1)
    assert found.message.endswith(message or "never become final")
    assert found.remedy == remedy


DEEP = {
    "a chain": "SELECT " + " || ".join(["k"] * 1000) + " AS x FROM events",
    "calls": "SELECT " + "abs(" * 400 + "n" + ")" * 400 + " AS x FROM events",
    "subqueries": "SELECT * FROM " + "(SELECT * FROM " * 400 + "events" + ")" * 400,
    "types": "SELECT n::" + "STRUCT(a " * 600 + "INT" + ")" * 600 + " AS x FROM events",
}


@pytest.mark.parametrize("sql", DEEP.values(), ids=DEEP)
def test_what_is_nested_too_deep_is_refused(sql: str) -> None:
    (found,) = problems({"v": sql})
    assert found.message == "The step v is nested too deep"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + " || ".join(["k"] * 200) + " AS x FROM events",
        "SELECT sum(" + " + ".join(["n"] * 150) + ") AS x FROM events",
        "SELECT k FROM events WHERE " + " OR ".join(f"n = {i}" for i in range(1000)),
        "SELECT " + "(" * 300 + "n" + ")" * 300 + " AS x FROM events",
    ],
    ids=["a chain", "in an aggregate", "alternatives", "brackets"],
)
def test_what_people_write_is_not_too_deep(sql: str) -> None:
    assert problems({"v": sql}, [("v", "update")]) == []


def test_calls_that_multiply_are_refused() -> None:
    sql = "SELECT k, " + "wavg(" * 12 + "n" + ", n)" * 12 + " AS x FROM events GROUP BY k"
    (found,) = problems({"v": sql}, [("v", "update")])
    assert found.message == "The step v is too long once its calls are written out"
