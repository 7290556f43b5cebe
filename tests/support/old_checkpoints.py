"""Checkpoints that releases wrote, kept in `tests/fixtures/checkpoints/<version>/`: an archive a job or source.

An archive holds all that a test needs to go on from it, whatever becomes of the jobs that wrote it: the objects at the
checkpoint location (`store/`), the manifest, the world outside (`world.json`), and what must come out
(`expected.json`).
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from streamjob_api.models import StreamJob
from support.memory import MemoryStore
from support.simulate import Simulation, job_of

BEGIN_MS = 1_700_000_000_000  # the simulated clock of what is kept

FOLDER = Path(__file__).parent.parent / "fixtures" / "checkpoints"
_BEGIN = datetime(2026, 1, 1)
_DATE = (2026, 1, 1, 0, 0, 0)  # of every entry, so that the same content gives the same archive

Json = Any
Script = list[dict[str, list[dict[str, Any]]]]  # at each wait of the loop: source -> rows; `t` in seconds


@dataclass(frozen=True)
class Archive:
    """What an archive holds. `manifest` is empty where a source alone wrote it."""

    store: Mapping[str, bytes]
    world: Mapping[str, Json]
    expected: Json
    manifest: str = ""
    files: Mapping[str, str] = field(default_factory=dict)  # beside the manifest

    def to_bytes(self) -> bytes:
        """The archive's bytes, the same for the same content."""
        entries = {f"store/{key}": data for key, data in self.store.items()}
        entries |= {f"files/{name}": text.encode() for name, text in self.files.items()}
        entries["world.json"] = json.dumps(self.world, indent=1).encode()
        entries["expected.json"] = json.dumps(self.expected, indent=1).encode()
        entries["job.yaml"] = self.manifest.encode()
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, data in sorted(entries.items()):
                archive.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_DEFLATED)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Archive":
        """The inverse of `to_bytes`."""
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}

        def below(folder: str) -> dict[str, bytes]:
            return {name.removeprefix(folder): data for name, data in entries.items() if name.startswith(folder)}

        files = {name: data.decode() for name, data in below("files/").items()}
        world, expected = json.loads(entries["world.json"]), json.loads(entries["expected.json"])
        return cls(below("store/"), world, expected, entries["job.yaml"].decode(), files)

    def objects(self) -> MemoryStore:
        """The checkpoint location, in a store of its own."""
        return filled(self.store)


def archives() -> Iterator[tuple[str, str, Path]]:
    """Version, name and place of every archive, in order."""
    for path in sorted(FOLDER.glob("*/*.zip")):
        yield path.parent.name, path.stem, path


def versions() -> list[str]:
    """The versions whose archives are kept, the oldest first."""
    found = {version for version, _, _ in archives()}
    return sorted(found, key=lambda version: tuple(int(part) for part in version.split(".")))


def load(version: str, name: str) -> Archive:
    """An archive that is kept."""
    return Archive.from_bytes((FOLDER / version / f"{name}.zip").read_bytes())


def filled(objects: Mapping[str, bytes]) -> MemoryStore:
    """A store with these objects."""
    store = MemoryStore()
    for key, data in objects.items():
        store.create(key, data)
    return store


def contents(store: MemoryStore) -> dict[str, bytes]:
    """Every object of a store."""
    return {entry.key: store.read(entry.key) for entry in store.list()}


def kept_job(manifest: str) -> StreamJob:
    """The manifest's job, in which rows may be ahead of the clock: event times of what is kept are."""
    job = job_of(manifest)
    far = {"max_ahead": timedelta(days=36_500)}
    sources = tuple(
        s.model_copy(update={"watermark": s.watermark.model_copy(update=far)}) if s.watermark else s
        for s in job.spec.sources
    )
    return job.model_copy(update={"spec": job.spec.model_copy(update={"sources": sources})})


def go_on(archive: Archive, folder: Path) -> tuple[Simulation, Json]:
    """Start the archive's job on its checkpoint and let the rest arrive; what its sinks were given from there on."""
    simulation = restarted(archive, folder)
    assert simulation.run()
    return simulation, given(simulation)


def restarted(archive: Archive, folder: Path) -> Simulation:
    """The archive's job and its world, about to start; `folder` is where the files of its manifest are put."""
    for name, text in archive.files.items():
        (folder / name).write_text(text)
    world = archive.world
    job, after = kept_job(archive.manifest), rows_of(world["after"])
    simulation = Simulation(job, after, archive.objects(), 1, base_dir=folder, begin_ms=BEGIN_MS)
    simulation.clock.advance(world["now_ms"] / 1000 - simulation.clock.monotonic())
    for arrived in rows_of(world["before"]):
        for source, rows in arrived.items():
            simulation.inputs[source].put(rows)
    return simulation


def given(simulation: Simulation) -> Json:
    """What the sinks were given, as JSON: sink -> batch -> rows, these in an order of their own.

    Of a sink that is told of deletions also these, by another name.
    """
    queues = simulation.outputs.items()
    gone = [(f"{sink} deleted", queue.deleted()) for sink, queue in queues if queue.deleted()]
    return {
        sink: {str(batch): sorted(json.dumps(row, default=str) for row in rows.to_pylist()) for batch, rows in found}
        for sink, found in [*((sink, queue.batches()) for sink, queue in queues), *gone]
    }


def rows_of(script: Script) -> Script:
    """The script with times in place of seconds."""
    return [{source: [_timed(row) for row in rows] for source, rows in arriving.items()} for arriving in script]


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "t": _BEGIN + timedelta(seconds=row["t"])} if "t" in row else row
