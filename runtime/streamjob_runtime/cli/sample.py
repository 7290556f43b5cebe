"""Columns and types guessed from the first records of a file."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamjob_runtime.errors import JobError

FORMATS = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
}
_READ = 4 << 20  # bytes of a text
_RECORDS = 1000
_DATE = r"\d{4}-\d\d-\d\d"
_TIME = r"\d\d:\d\d:\d\d(\.\d{1,9})?"
# In this order: the first that all values fit. A number with a zero before it is a text: it may be a number of a house.
_TEXTS = {
    "BIGINT": re.compile(r"-?(0|[1-9]\d{0,17})"),
    "DOUBLE": re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?"),
    "BOOLEAN": re.compile(r"true|false", re.IGNORECASE),
    "DATE": re.compile(_DATE),
    "TIMESTAMP": re.compile(rf"{_DATE}[T ]{_TIME}"),
    "TIMESTAMP WITH TIME ZONE": re.compile(rf"{_DATE}[T ]{_TIME}(Z|[-+]\d\d:?\d\d)"),
    "TIME": re.compile(_TIME),
}
_OF_TEXT = ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIME")


@dataclass(frozen=True, slots=True)
class Sample:
    """What was found in a file."""

    format: str
    columns: Mapping[str, str]  # name -> SQL type


def look_into(file: Path) -> Sample:
    """The columns of a CSV with a header line, of JSON lines, or of a Parquet file. Raises `JobError`."""
    format_ = FORMATS.get(file.suffix.lower())
    if format_ is None:
        raise JobError(f"{file} is of no kind that is known here; give a file that ends in {', '.join(FORMATS)}.")
    try:
        columns = _parquet(file) if format_ == "parquet" else _text(file, format_)
    except (OSError, ValueError) as error:
        raise JobError(f"{file} cannot be read as {format_}: {error}.") from error
    if not columns:
        raise JobError(f"{file} has no records from which to guess columns.")
    return Sample(format_, columns)


def _text(file: Path, format_: str) -> dict[str, str]:
    with file.open("rb") as stream:
        data = stream.read(_READ + 1)
    text = data.decode("utf-8-sig", errors="strict" if len(data) <= _READ else "ignore")
    lines = text.splitlines()[: -1 if len(data) > _READ else None]  # the last one may be cut
    return _csv("\n".join(lines)) if format_ == "csv" else _json(lines)


def _csv(text: str) -> dict[str, str]:
    rows = csv.reader(io.StringIO(text))
    names = next(rows, [])
    values: dict[str, list[str]] = {name: [] for name in names}
    if len(values) < len(names):
        raise ValueError("its header line names a column twice")
    for _, row in zip(range(_RECORDS), rows, strict=False):
        for name, value in zip(names, row, strict=False):
            if value:
                values[name].append(value)
    return {name: _of_texts(found, _TEXTS) for name, found in values.items()}


def _json(lines: Iterable[str]) -> dict[str, str]:
    values: dict[str, list[Any]] = {}
    for line in [line for line in lines if line.strip()][:_RECORDS]:
        record = json.loads(line)
        if not isinstance(record, dict):
            raise ValueError("a line holds something else than an object")
        for name, value in record.items():
            values.setdefault(name, [])
            if value is not None:
                values[name].append(value)
    return {name: _of_json(found) for name, found in values.items()}


def _of_json(values: list[Any]) -> str:
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return "BOOLEAN"
    if kinds == {int} and all(abs(value) < 1 << 63 for value in values):
        return "BIGINT"
    if float in kinds and kinds <= {int, float}:
        return "DOUBLE"
    if kinds == {str}:
        return _of_texts(values, _OF_TEXT)
    return "VARCHAR"  # which takes objects and lists as their JSON text


def _of_texts(values: list[str], kinds: Iterable[str]) -> str:
    return next((k for k in kinds if values and all(_TEXTS[k].fullmatch(v) for v in values)), "VARCHAR")


def _parquet(file: Path) -> dict[str, str]:
    import pyarrow.parquet as pq

    from streamjob_runtime.plan.catalog import Catalog

    catalog = Catalog()
    try:
        return {column.name: column.type for column in catalog.columns_of_arrow(pq.read_schema(file))}
    finally:
        catalog.close()
