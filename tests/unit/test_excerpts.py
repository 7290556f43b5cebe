"""What stands in a record is shown in the log, and in a status only where the manifest allows it."""

import json
import os
import pickle
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamjob_runtime.cli.exit import without_excerpts
from streamjob_runtime.cli.run import RunOptions, run_job
from streamjob_runtime.connectors.delta.errors import translate
from streamjob_runtime.connectors.delta.place import Place
from streamjob_runtime.connectors.postgres.dsn import Dsn
from streamjob_runtime.connectors.postgres.errors import from_statement
from streamjob_runtime.errors import JobError
from streamjob_runtime.excerpts import Excerpt, said

SECRET = "hunter2"
MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: job}}
spec:
  trigger: availableNow
  {allowed}
  sources:
  - {{name: s, files: {{path: in/}}, format: {format}{schema}}}
  {tables}
  pipeline: [{{name: v, sql: "SELECT {sql} AS x FROM {source}"}}]
  sinks: [{{from: v, mode: append, console: {{}}}}]
"""
TABLE = "tables: [{name: t, files: {path: t/}, format: json, schema: {k: VARCHAR, n: BIGINT}}]"
JSON = '{"n":1}\n{"n":"hunter2"}\n'


def parquet(texts: list[str]) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(pa.table({"n": texts}), out)
    return out.getvalue().to_pybytes()


def job(
    folder: Path, content: str | bytes, format_: str, sql: str = "n", allowed: bool = False, table: str = ""
) -> int:
    there = {"in/a": content, **({"t/a": table} if table else {})}
    for name, data in there.items():
        (folder / name).parent.mkdir()
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
        os.utime(folder / name, (1e9, 1e9))
    schema = "" if format_ == "text" else ", schema: {n: " + ("TIME" if "TIME" in sql else "BIGINT") + "}"
    (folder / "job.yaml").write_text(
        MANIFEST.format(
            allowed="excerptsInStatus: true" if allowed else "",
            format=format_,
            schema=schema,
            sql=sql.removeprefix("TIME "),
            tables=TABLE if table else "",
            source="s JOIN t USING (n)" if table else "s",
        )
    )
    return run_job(RunOptions(folder / "job.yaml", termination_log=folder / "end"))


@pytest.mark.parametrize(
    ("content", "format_", "sql", "table", "where"),
    [
        (JSON, "json", "n", "", '/in/a, line 2: field "n": a string stands where an integer is declared.'),
        ("n\n1\nhunter2\n", "csv", "n", "", '/in/a, line 3: column "n": a value is no int64.'),
        (parquet(["1", "hunter2"]), "parquet", "n", "", '/in/a, line 1: column "n" is string in the file and int64'),
        ('{"n":"hunter2"}\n', "json", "TIME n", "", "The source s has a value in the column n, which is not a TIME."),
        ("hunter2\n", "text", "CAST(value AS BIGINT)", "", "The batch failed: Conversion Error "),
        ('{"n":1}\n', "json", "k", JSON, "The static table 't': record 1 of the file a at "),
    ],
    ids=["json", "csv", "parquet", "declared", "cast", "table"],
)
def test_it_says_where_and_what_and_leaves_the_record_to_the_log(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str | bytes,
    format_: str,
    sql: str,
    table: str,
    where: str,
) -> None:
    assert job(tmp_path, content, format_, sql, table=table) == 78
    message = json.loads((tmp_path / "end").read_text())["message"]
    assert where in message and message.endswith(" The pod's log says more.")
    assert SECRET not in message
    assert SECRET in capsys.readouterr().err


def test_the_manifest_may_allow_it(tmp_path: Path) -> None:
    assert job(tmp_path, JSON, "json", allowed=True) == 78
    message = json.loads((tmp_path / "end").read_text())["message"]
    assert 'It begins: {"n":"hunter2"} Correct the file' in message and "log" not in message


def test_a_text_that_is_put_together_otherwise_loses_what_was_read() -> None:
    value = Excerpt(SECRET, "a value")
    error = JobError(f"It is {value}: ", said("the column ", Excerpt(SECRET)), ".")
    assert (str(error), error.words.bare) == ("It is a value: the column hunter2.", "It is a value: the column ….")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.words) == (JobError, str(error), error.words)


def test_what_was_not_raised_on_purpose_may_hold_anything() -> None:
    try:
        int(SECRET)
    except ValueError as error:
        shown = without_excerpts(error)
    assert shown.startswith("ValueError in test_what_was_not_raised_on_purpose_may_hold_anything, line ")
    assert SECRET not in shown


def test_what_a_database_says_of_a_row_is_for_the_log() -> None:
    class Broken(psycopg.errors.UniqueViolation):
        def __str__(self) -> str:
            return f"duplicate key value, Key (k)=({SECRET})"

    error = from_statement(Broken(), Dsn({}, "h/d"), "t")
    assert SECRET in str(error) and SECRET not in error.words.bare
    assert "does not take the rows (SQLSTATE 23505): " in error.words.bare


def test_what_the_client_of_delta_says_of_a_row_is_for_the_log() -> None:
    with pytest.raises(JobError) as caught, translate(Place("/t", {})):
        raise pa.ArrowInvalid(f"{SECRET} does not fit")
    assert SECRET in str(caught.value) and SECRET not in caught.value.words.bare
