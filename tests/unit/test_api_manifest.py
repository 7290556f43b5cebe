import gzip
from pathlib import Path

import pytest

from streamjob_api.manifest import MAX_BYTES, load_manifest, parse_manifest

GOOD = """\
# A comment.
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: words}
spec:
  sources:
  - name: lines
    tcp: {host: localhost, port: 9999}
    format: text
  pipeline:
  - name: words
    sql: |
      SELECT unnest(split(value, ' ')) AS word

      FROM lines
  - {name: plain, sql: SELECT * FROM words}
  sinks:
  - {from: words, console: {}}
"""
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nzzz: {a: 1, a: 2}\n"


def told(text: str) -> list[str]:
    return [str(problem) for problem in parse_manifest(text, "job.yaml").problems]


def test_a_good_file_gives_the_job(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(GOOD, encoding="utf-8")
    loaded = load_manifest(file)
    assert loaded.problems == []
    assert loaded.job is not None
    assert loaded.job.metadata.name == "words"
    assert loaded.job.spec.pipeline[0].sql.startswith("SELECT unnest")
    assert loaded.file == str(file)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(GOOD, encoding="utf-8-sig")
    assert load_manifest(file).job is not None


@pytest.mark.parametrize(
    "text", [f"{CONFIG_MAP}---\n{GOOD}", f"{GOOD}---\n{CONFIG_MAP}", f"---\n---\n{GOOD}---\n- 5\n"]
)
def test_documents_of_other_kinds_are_passed_over(text: str) -> None:
    loaded = parse_manifest(text, "job.yaml")
    assert loaded.problems == []
    assert loaded.job is not None


def test_lines_are_those_of_the_file_and_not_of_the_document() -> None:
    text = f"{CONFIG_MAP}---\n" + GOOD.replace("port: 9999", "prot: 9999")
    assert told(text) == [
        "job.yaml:13:5: spec.sources[0].tcp.port: is missing; give the server's port",
        'job.yaml:13:28: spec.sources[0].tcp.prot: unknown field; did you mean "port"?',
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n", CONFIG_MAP, "just text", "- a\n- b\n", "{}"])
def test_a_file_without_a_job(text: str) -> None:
    hint = "write apiVersion: streamjob.dev/v1alpha1 and kind: StreamJob"
    assert told(text) == [f"job.yaml:1:1: holds no StreamJob; {hint}"]


def test_a_file_with_two_jobs() -> None:
    assert told(f"{GOOD}---\n{GOOD}") == ["job.yaml:21:1: holds a second StreamJob; give each its own file"]


def test_a_field_that_stands_twice() -> None:
    text = GOOD.replace("    format: text\n", "    format: text\n    format: json\n")
    assert told(text) == ["job.yaml:10:5: spec.sources[0].format: stands twice, first in line 9; keep one of them"]


def test_names_that_yaml_reads_as_something_else() -> None:
    text = GOOD.replace("format: text", "format: json\n    schema: {on: BIGINT, 1.5: BIGINT, id: BIGINT}")
    assert told(text) == [
        'job.yaml:10:14: spec.sources[0].schema.on: YAML reads on as true or false; write it in quotes: "on"',
        'job.yaml:10:26: spec.sources[0].schema["1.5"]: YAML reads 1.5 as a number; write it in quotes: "1.5"',
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("spec:\n", "spec:\n\tx: 1\n", "job.yaml:6:1: is not valid YAML: a tab stands here; indent with spaces"),
        (
            "{name: words}",
            "{name: words",
            "job.yaml:4:11: is not valid YAML: the { here is not closed; close it with }",
        ),
        ("words}", "words\x07}", "job.yaml:4:23: is not valid YAML: the character U+0007 is not allowed; remove it"),
        ("name: words}", 'name: "\\U99999999"}', "is not valid YAML"),
        ("name: words}", "name: !!python/name:os.system x}", "is not supported; write the value plainly"),
        ("name: words}", "name: !!int x}", "job.yaml:4:18: metadata.name: does not fit its tag !!int"),
        ("name: words}", "? {a: b} : c}", "metadata: has a field whose name is not a text; write names plainly"),
        ("name: words}", "<<: {name: words}}", 'metadata["<<"]: merge keys are not supported; write the fields out'),
    ],
)
def test_what_yaml_does_not_allow(old: str, new: str, message: str) -> None:
    assert any(message in said for said in told(GOOD.replace(old, new)))


INDENTED = """\
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: words}
spec:
  sources:
  - name: lines
    tcp: {host: localhost, port: 9999}
    format: text
  pipeline:
  - name: words
    sql: |
      SELECT value
      FROM lines
  sinks:
  - {from: words, console: {}}
"""
NO_LEVEL = "and no line above it is; indent it by"
OUTSIDE = "this line is outside of the text that begins in line 11; indent it by more than 4 spaces"
QUOTES = "put it in quotes"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "    format",
            "   format",
            f"8:4: |this line is indented by 3 spaces, {NO_LEVEL} 2, as line 6 or by 4, as line 7",
        ),
        ("    format", "     format", f"8:6: |this line is indented by 5 spaces, {NO_LEVEL} 4, as line 7"),
        ("  sinks", " sinks", f"14:2: |this line is indented by 1 space, {NO_LEVEL} 0, as line 4 or by 2, as line 10"),
        ("      FROM", "  FROM", f"13:3: |{OUTSIDE}"),
        ("      SELECT value\n      FROM", "    SELECT value\n    FROM", f"12:5: |{OUTSIDE}"),
        ("kind: S", "kind:S", "2:1: |a space is missing after the colon; write kind: StreamJob"),
        ("format: text", "format:text", "8:5: |a space is missing after the colon; write format: text"),
        ("- name: words", "-name: words", '10:3: |a space is missing after the -; begin each item with "- "'),
        ("localhost", '"localhost', "7:17: |a text in quotes does not end; close it"),
        ("9999}", "9999", "7:10: |the { here is not closed; close it with }"),
        ("9999}", "9999}}", "7:39: |a } stands here that belongs to nothing; take it away"),
        ("localhost", "%x", f"7:17: |a text cannot begin with %; {QUOTES}"),
        ("localhost", "*x", f"7:17: |a text cannot begin with *; {QUOTES}"),
        (
            "|\n      SELECT value\n",
            "SELECT value::int,\n      y: 3\n",
            "12:7: |this line is indented deeper than the one above, which has a value already; indent it as line 11; "
            "or put a text of several lines below |",
        ),
        ("{from: words, console: {}}", "from: words: x", "15:16: |a second colon stands in this line"),
        (
            "text",
            "json\n    schema: {a: INT[]}",
            "9:20: |a [ stands here within {; put a text that has , [ ] { } in it in quotes",
        ),
    ],
)
def test_what_is_no_yaml_is_said_in_words_that_help(old: str, new: str, said: str) -> None:
    place, words = said.split("|", 1)
    (found,) = told(INDENTED.replace(old, new))
    assert found.startswith(f"job.yaml:{place}is not valid YAML: {words}")


@pytest.mark.parametrize(
    ("schema", "column", "kind"),
    [
        ("{a: DECIMAL(10,2)}", 17, "DECIMAL(10, 2)"),
        ("{id: BIGINT, a: DECIMAL(10, 2), b: INT}", 29, "DECIMAL(10, 2)"),
        ("{a: STRUCT(x INT, y DECIMAL(3, 1))}", 17, "STRUCT(x INT, y DECIMAL(3, 1))"),
    ],
)
def test_a_type_that_a_comma_has_cut_is_said_once_and_how_to_write_it(schema: str, column: int, kind: str) -> None:
    text = INDENTED.replace("format: text", f"format: json\n    schema: {schema}")
    assert told(text) == [
        f"job.yaml:9:{column}: spec.sources[0].schema.a: is cut at its comma: within {{ }} a comma ends a text; "
        f'put it in quotes: "{kind}"'
    ]


@pytest.mark.parametrize(
    ("more", "least"),
    [
        ("".join(f"  x{i}: 1\n" for i in range(3000)), 100),
        ("".join(f"  suspend: {i}\n" for i in range(3000)), 1),
        ("".join(f"  y{i}: 1\n" for i in range(30_000)), 1),
        ("  tables:\n" + "  - {sql: a}\n" * 15_000, 1),
    ],
    ids=["unknown fields", "a field many times", "more fields than are read", "more items than are read"],
)
def test_many_mistakes_end_after_some_hundred(more: str, least: int) -> None:
    assert least <= len(told(INDENTED + more)) <= 250


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "kind: &k [*k]",
        "[" * 100_000,
        "a: " + "{a: " * 1000,
        "\n".join(" " * i + "a:" for i in range(200)),
    ],
    ids=["aliases that multiply", "an alias that holds itself", "brackets", "braces", "indents"],
)
def test_bombs_are_refused(text: str) -> None:
    said = told(text)
    assert len(said) == 1
    assert "nested more than 50 deep" in said[0] or "holds more than 20000 values" in said[0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    missing, folder, large, latin = (tmp_path / name for name in ("missing", "folder", "large", "latin"))
    folder.mkdir()
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    latin.write_bytes(b"a: 1\nb: \xe4\n")
    said = {file.name: str(load_manifest(file).problems[0]) for file in (missing, folder, large, latin)}
    assert said == {
        "missing": f"{missing}: cannot be read; No such file or directory",
        "folder": f"{folder}: cannot be read; Is a directory",
        "large": f"{large}: is larger than 3 MiB; a manifest is a short text: is this the right file?",
        "latin": f"{latin}:2:4: is not UTF-8 text; save it as UTF-8",
    }


@pytest.mark.parametrize(
    ("path", "word", "place"),
    [
        ("spec.pipeline[0].sql", None, (12, 10)),
        ("spec.pipeline[0].sql", "SELECT", (13, 7)),
        ("spec.pipeline[0].sql", "word", (13, 43)),
        ("spec.pipeline[0].sql", "FROM", (15, 7)),
        ("spec.pipeline[1].sql", "FROM", (16, 33)),
        ("spec.pipeline[0].name", None, (11, 11)),
        ("spec.pipeline[0]", None, (11, 5)),
        ("spec.sinks[0].mode", None, (18, 5)),
        ("spec.sinks[9].from", None, (17, 3)),
        ("status.phase", None, (2, 1)),
        ("", None, (2, 1)),
    ],
)
def test_a_path_has_a_place(path: str, word: str | None, place: tuple[int, int]) -> None:
    loaded = parse_manifest(GOOD, "job.yaml")
    assert loaded.job is not None
    sql = loaded.job.spec.pipeline[int(path.split("[")[1][0])].sql if word else ""
    assert loaded.locate(path, sql, sql.index(word) if word else None) == place


SQL = "SELECT 'it''s', value\nFROM lines\nWHERE x"
WRITTEN = {
    "a block": ("|\n      SELECT 'it''s', value\n      FROM lines\n      WHERE x", (15, 13)),
    "a folded block": (">-\n      SELECT 'it''s', value\n      FROM lines\n\n      WHERE x", (16, 13)),
    "a deeper block": ("|2\n        SELECT 'it''s', value\n      FROM lines\n      WHERE x", (15, 13)),
    "a plain text": ("SELECT 'it''s', value\n     FROM lines\n     WHERE x", (14, 12)),
    "a text in quotes": ("'SELECT ''it''''s'', value FROM\n     lines WHERE x'", (13, 18)),
    "a text with escapes": ("\"SELECT 'it''s', value\n\n     FROM lines WHERE x\"", (14, 23)),
}


@pytest.mark.parametrize(("written", "place"), WRITTEN.values(), ids=WRITTEN)
def test_a_word_of_a_text_has_its_place_however_the_text_is_written(written: str, place: tuple[int, int]) -> None:
    block = GOOD[GOOD.index("|\n") : GOOD.index("  - {name: plain")]
    loaded = parse_manifest(GOOD.replace(block, written + "\n"), "job.yaml")
    assert loaded.job is not None
    sql = loaded.job.spec.pipeline[0].sql
    assert sql.split() == SQL.split()
    assert loaded.locate("spec.pipeline[0].sql", sql, sql.index("x", sql.index("WHERE"))) == place


def test_behind_a_variable_the_line_is_still_that_of_the_word() -> None:
    block = GOOD[GOOD.index("|\n") : GOOD.index("  - {name: plain")]
    text = GOOD.replace(block, "|\n      SELECT ${WHAT}, no\n\n      FROM lines\n")
    loaded = parse_manifest(text, "job.yaml", {"WHAT": "upper(value)"})
    assert loaded.job is not None
    sql = loaded.job.spec.pipeline[0].sql
    assert loaded.locate("spec.pipeline[0].sql", sql, sql.index("upper")) == (13, 7)
    assert loaded.locate("spec.pipeline[0].sql", sql, sql.index("FROM")) == (15, 7)


def test_a_broken_manifest_has_places_too() -> None:
    loaded = parse_manifest(GOOD.replace("format: text", "format: txt"), "job.yaml")
    assert loaded.job is None
    assert loaded.locate("spec.pipeline[0].sql", "SELECT", 0) == (13, 7)


def test_a_list_far_too_long_is_one_problem() -> None:
    sinks = ", ".join("{from: words, console: {}}" for _ in range(500))
    text = GOOD[: GOOD.index("  sinks:")] + f"  sinks: [{sinks}]\n"
    assert told(text) == ["job.yaml:17:3: spec.sinks: has too many items; take at most 32"]


def test_a_compressed_manifest_is_read_like_a_plain_one_and_never_becomes_too_long(tmp_path: Path) -> None:
    packed, damaged, long = (tmp_path / f"{name}.yaml" for name in ("packed", "damaged", "long"))
    packed.write_bytes(gzip.compress(GOOD.encode()))
    damaged.write_bytes(b"\x1f\x8b" + b"no such thing")
    long.write_bytes(gzip.compress(b"#" * (MAX_BYTES + 1)))
    assert load_manifest(packed).job == parse_manifest(GOOD, "job.yaml").job is not None
    assert load_manifest(packed).locate("spec.sinks[0].mode") == (18, 5)
    assert "is compressed, and damaged" in str(load_manifest(damaged).problems[0])
    assert "is larger than 3 MiB" in str(load_manifest(long).problems[0])
