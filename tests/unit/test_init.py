"""`streamjob init` writes a manifest that is valid and runs, whatever the sample's columns are called."""

import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamjob_api.manifest import load_manifest
from streamjob_runtime.cli.init import write_manifest
from streamjob_runtime.cli.problems import look
from streamjob_runtime.cli.sample import look_into
from streamjob_runtime.errors import JobError

CSV = """\
id,zip,price,ok,day,at,seen,order,"a b",note
1,01234,1.5,true,2026-01-01,2026-01-01 10:00:00,2026-01-01T10:00:00Z,3,x,
2,10115,2,FALSE,2026-01-02,2026-01-01T10:00:01.25,2026-01-01T10:00:00+02:00,4,,
"""
CSV_TYPES = {
    "id": "BIGINT",
    "zip": "VARCHAR",
    "price": "DOUBLE",
    "ok": "BOOLEAN",
    "day": "DATE",
    "at": "TIMESTAMP",
    "seen": "TIMESTAMP WITH TIME ZONE",
    "order": "BIGINT",
    "a b": "VARCHAR",
    "note": "VARCHAR",
}


def written(sample: Path, out: Path) -> dict[str, str]:
    """The schema of the manifest that is written; it has no mistakes."""
    assert write_manifest(sample, out) == 0
    loaded = load_manifest(out)
    assert loaded.job is not None and look(loaded).problems == []
    return dict(loaded.job.spec.sources[0].schema_ or {})


def test_a_csv_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "2026 Orders.csv").write_text(CSV)
    out = tmp_path / "job.yaml"
    assert written(tmp_path / "in" / "2026 Orders.csv", out) == CSV_TYPES
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{out}: valid"
    assert said[-1] == f"Look at the types in {out}, then: streamjob run {out}"
    job = load_manifest(out).job
    assert job is not None
    assert (job.metadata.name, job.spec.sources[0].name) == ("rows-2026-orders", "rows_2026_orders")
    assert job.spec.sources[0].config.path == "in/*.csv"
    assert job.spec.sources[0].watermark is not None and job.spec.sources[0].watermark.column == "at"
    assert '"at"' in job.spec.pipeline[0].sql and '"a b"' in job.spec.pipeline[0].sql


def test_json_lines(tmp_path: Path) -> None:
    records = [
        {"id": 1, "amount": 1.5, "on": True, "tags": ["a"], "t": "2026-01-01T10:00:00Z", "mixed": 1, "none": None},
        {"id": 2, "amount": 2, "on": False, "tags": [], "t": "2026-01-01T10:00:01Z", "mixed": "x"},
        {"id": None, "more": {"a": 1}, "big": 1 << 70},
    ]
    sample = tmp_path / "events.jsonl"
    sample.write_text("\n".join(map(json.dumps, records)) + "\n")
    assert written(sample, tmp_path / "out.yaml") == {
        "id": "BIGINT",
        "amount": "DOUBLE",
        "on": "BOOLEAN",
        "tags": "VARCHAR",
        "t": "TIMESTAMP WITH TIME ZONE",
        "mixed": "VARCHAR",
        "none": "VARCHAR",
        "more": "VARCHAR",
        "big": "VARCHAR",
    }


def test_a_parquet_file_has_its_own_types(tmp_path: Path) -> None:
    sample = tmp_path / "x.parquet"
    price = pa.array([Decimal("1.50"), None], pa.decimal128(10, 2))
    pq.write_table(pa.table({"i": pa.array([1, 2], pa.int32()), "price": price, "l": [["a"], []]}), sample)
    assert written(sample, tmp_path / "job.yaml") == {"i": "INTEGER", "price": "DECIMAL(10,2)", "l": "VARCHAR[]"}


def test_a_manifest_that_is_there_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    out = tmp_path / "job.yaml"
    out.write_text("mine")
    assert write_manifest(tmp_path / "a.csv", out) == 78
    assert out.read_text() == "mine"
    assert capsys.readouterr().err == f"streamjob: {out} is there already; give another one with --out.\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "x", "is of no kind that is known here; give a file that ends in .csv, "),
        ("a.csv", "", "has no records from which to guess columns"),
        ("a.csv", "a,a\n1,2\n", "cannot be read as csv: its header line names a column twice"),
        ("a.json", "[1]\n", "cannot be read as json: a line holds something else than an object"),
        ("a.json", "{", "cannot be read as json: "),
        ("a.parquet", "no", "cannot be read as parquet: "),
    ],
)
def test_what_cannot_be_guessed_is_said(name: str, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(JobError) as caught:
        look_into(tmp_path / name)
    assert said in str(caught.value)
