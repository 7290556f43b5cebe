"""A checkpoint that a release wrote is read by the next: each that is kept is gone on from, to the right results."""

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streamjob_runtime.checkpoint.log import read_log
from streamjob_runtime.checkpoint.records import FORMAT, Boundary, Checkpoint, Commit, Fence, Intent, decode
from streamjob_runtime.connectors.source import OffsetRange, Source
from support import old_checkpoints
from support.checkpoint_jobs import MAKERS, files_source, kafka_source, tcp_source
from support.old_checkpoints import Archive, Json, archives, go_on, load

WRITE_ANEW = (
    "A record or a state is not written as it was. Give it the next number (FORMAT in checkpoint/records.py), still "
    "read the one before, and keep what is written now: PYTHONPATH=tests python -m support.checkpoint_jobs"
)
KEPT = [(version, name) for version, name, _ in archives()]
NEWEST = old_checkpoints.versions()[-1]
JOBS = [(version, name) for version, name in KEPT if not name.startswith("source-")]


@pytest.mark.parametrize(("version", "name"), JOBS)
def test_a_job_goes_on_from_a_checkpoint_of_that_version(version: str, name: str, tmp_path: Path) -> None:
    archive = load(version, name)
    store = archive.objects()
    records = [decode(store.read(entry.key), entry.key) for entry in store.list("log/")]
    assert {r.version for r in records} == {version}
    kinds = {Fence, Commit, Intent} if name == "young" else {Fence, Commit, Intent, Checkpoint, Boundary}
    assert {type(r.body) for r in records} == kinds
    simulation, found = go_on(archive, tmp_path)
    assert found == archive.expected
    assert ("info", "recovered") in simulation.logged
    warnings = [said for level, said in simulation.logged if level == "warning"]
    # The kept event times are: `kept_job`; and some were killed in the middle of a batch.
    known = ("ahead of the clock", "a start has ended in the middle of this batch")
    assert not [said for said in warnings if not any(part in said for part in known)]
    # What it wrote itself behind those records is one log with them.
    assert read_log(simulation.store)[-1].seq > records[-1].seq


@pytest.mark.parametrize("version", [version for version, name in KEPT if name == "source-files"])
def test_a_files_source_goes_on(version: str) -> None:
    archive = load(version, "source-files")
    assert rest(archive, files_source(archive.store)) == archive.expected


@pytest.mark.parametrize("version", [version for version, name in KEPT if name == "source-tcp"])
def test_a_tcp_source_goes_on(version: str) -> None:
    archive = load(version, "source-tcp")
    assert rest(archive, tcp_source(archive.objects())) == archive.expected


@pytest.mark.parametrize("version", [version for version, name in KEPT if name == "source-kafka"])
def test_a_kafka_source_goes_on(version: str) -> None:
    archive = load(version, "source-kafka")
    source = kafka_source()
    source.open(archive.world["state"])
    source.advance(OffsetRange.from_json(archive.world["ranges"][-1]))
    assert source.snapshot() == archive.expected
    source.close()


def rest(archive: Archive, source: Source) -> list[str]:
    """The rows of the range that was logged behind the state, and all that come after it."""
    source.open(archive.world["state"])
    logged = OffsetRange.from_json(archive.world["ranges"][-1])
    source.advance(logged)
    tables = [source.read(logged)]
    while (offsets := source.poll(None, 1 << 50)) is not None:
        source.advance(offsets)
        tables.append(source.read(offsets))
    source.close()
    return [str(value) for value in pa.concat_tables(tables).column("value").to_pylist()]


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_written_today_is_what_is_kept(name: str) -> None:
    """The guard: it fails as soon as a record or a state looks otherwise than under the number that it has."""
    assert (NEWEST, name) in KEPT, WRITE_ANEW
    kept, today = load(NEWEST, name), MAKERS[name]()
    assert shape(today) == shape(kept), WRITE_ANEW


def test_a_number_has_one_format_for_good() -> None:
    assert number(NEWEST) == FORMAT, WRITE_ANEW
    shapes: dict[tuple[int, str], dict[str, Any]] = {}
    for version, name in KEPT:
        looks = shape(load(version, name))
        assert shapes.setdefault((number(version), name), looks) == looks, f"{version}/{name}: {WRITE_ANEW}"


def number(version: str) -> int:
    """The format of a version's records."""
    store = load(version, "word-count").store
    (found,) = {json.loads(data)["format"] for key, data in store.items() if key.startswith("log/")}
    return int(found)


def shape(archive: Archive) -> dict[str, Any]:
    """What is written where, without what differs from run to run: names of fields, types of values, of columns too."""
    found: dict[str, Any] = {"state": fields(archive.world.get("state"))}
    for at, offsets in enumerate(archive.world.get("ranges", [])):
        found[f"range {at}"] = fields(offsets)
    for key, data in sorted(archive.store.items()):
        kind = re.sub(r"[0-9a-f]{16}|[0-9]+|(?<=-)[0-9a-f]{8}(?=\.)", "#", key)
        if key.startswith("log/"):
            record = json.loads(data)
            kind = f"{kind} {record['body']['kind']}"
            # These are of the job, and must stay what they are: or else every job would be refused by them.
            # Behind a hash stands what it is of, for people.
            fingerprints = record["body"].pop("fingerprints", None) or {}
            found[f"{kind} fingerprints"] = {part: text.split(" ")[0] for part, text in fingerprints.items()}
            looks = fields(record)
        elif key.endswith(".parquet"):
            looks = [f"{f.name} {f.type}" for f in pq.read_schema(io.BytesIO(data))]
        elif key.endswith(".json"):
            looks = fields(json.loads(data))
        else:
            looks = data[:4].hex()
        if looks not in found.setdefault(kind, []):
            found[kind].append(looks)
    return {kind: sorted(looks, key=str) if isinstance(looks, list) else looks for kind, looks in found.items()}


def fields(value: Json) -> Json:
    """The types in a JSON value."""
    if isinstance(value, Mapping):
        return {name: fields(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [fields(inner) for inner in value]
    return type(value).__name__
