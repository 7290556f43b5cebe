"""What is measured: two jobs, and their input files, which are the same bytes on every machine."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

FILES_PER_BATCH = 8
BIG_BATCHES = 16
TEN_ROW_BATCHES = 80
EMPTY_BATCHES = 30
FEW_BATCHES = 8
_CONTENT = "2"  # changes with the content, so that older inputs are made again
_MTIME = 1_750_000_000  # the files' time: one that is written just now would be waited for

Random = np.random.Generator
Texts: TypeAlias = "pa.Array[Any]"  # not subscriptable at run time
_compute: Any = pc  # takes more than its type stubs say


@dataclass(frozen=True)
class Workload:
    """A job, and how a file of its input is made."""

    name: str
    unit: str
    big_rows: int  # in a file, at scale 1
    keys: tuple[str, ...]  # the columns of a result, for the comparison
    write: Callable[[Random, int, float, float], Texts]  # randomness, rows, first second, seconds -> lines


@dataclass(frozen=True)
class Batches:
    """A folder of files, all read in the order of their times, so many a batch."""

    folder: Path
    files_per_batch: int
    rows: tuple[int, ...]  # of each batch


@dataclass(frozen=True)
class Inputs:
    """A workload's files."""

    big: Batches
    small: Batches  # ten rows a batch, then none
    few: Batches  # ten rows a batch
    ads: Path  # the static table: ad_id, campaign_id


def make(workload: Workload, root: Path, scale: float) -> Inputs:
    """The workload's inputs below `root`, made unless they are there."""
    folder = root / f"{workload.name}-{scale:g}-v{_CONTENT}"
    rows = max(1, round(workload.big_rows * scale))
    inputs = Inputs(
        Batches(folder / "big", FILES_PER_BATCH, (rows * FILES_PER_BATCH,) * BIG_BATCHES),
        Batches(folder / "small", 1, (10,) * TEN_ROW_BATCHES + (0,) * EMPTY_BATCHES),
        Batches(folder / "few", 1, (10,) * FEW_BATCHES),
        folder / "ads.parquet",
    )
    if folder.exists():
        return inputs
    making = folder.with_name(f"{folder.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    for name in ("big", "small", "few"):
        (making / name).mkdir(parents=True)
    for n in range(FILES_PER_BATCH * BIG_BATCHES):
        # A batch has ten seconds of events.
        seconds = 10 / FILES_PER_BATCH
        _write(making / "big", n, workload.write(np.random.default_rng([1, n]), rows, n * seconds, seconds))
    for n in range(TEN_ROW_BATCHES):
        lines = workload.write(np.random.default_rng([2, n]), 10, n, 1.0)
        _write(making / "small", n, lines)
        if n < FEW_BATCHES:
            _write(making / "few", n, lines)
    for n in range(TEN_ROW_BATCHES, TEN_ROW_BATCHES + EMPTY_BATCHES):
        _write(making / "small", n, pa.array([], "str"))
    pq.write_table(_ads(), making / "ads.parquet")
    making.rename(folder)
    return inputs


def _write(folder: Path, number: int, lines: Texts) -> None:
    path = folder / f"{number:05d}.txt"
    path.write_text("".join(f"{line}\n" for line in lines.to_pylist()))
    # Both engines read by time: one second apart is one order for both.
    os.utime(path, (_MTIME + number, _MTIME + number))


def _words(random: Random, rows: int, first: float, seconds: float) -> Texts:
    """Lines of ten words, of a vocabulary of 10,000 in which a few words are frequent, as in a language."""
    del first, seconds
    letters = np.random.default_rng(0).integers(97, 123, (10_000, 9), dtype=np.uint8)
    vocabulary = pa.array([bytes(w[: 3 + i % 7]).decode() for i, w in enumerate(letters)])
    rank = np.exp(random.random((10, rows)) * np.log(len(vocabulary))).astype(np.int64) - 1
    lines: Texts = _compute.binary_join_element_wise(*(_pick(vocabulary, r) for r in rank), " ")
    return lines


def _pick(values: Texts, positions: npt.NDArray[np.int64]) -> Texts:
    return values.take(pa.array(positions, pa.int64()))


def _ids(kind: int, count: int) -> Texts:
    numbers = np.random.default_rng([3, kind]).integers(0, 2**32, (count, 4), dtype=np.uint32)
    return pa.array(
        [f"{a:08x}-{b >> 16:04x}-{b & 65535:04x}-{c >> 16:04x}-{c & 65535:04x}{d:08x}" for a, b, c, d in numbers]
    )


def _ads() -> pa.Table:
    """A thousand ads of a hundred campaigns."""
    campaigns = _ids(1, 100)
    return pa.table({"ad_id": _ids(0, 1000), "campaign_id": _pick(campaigns, np.arange(1000) // 10)})


def _events(random: Random, rows: int, first: float, seconds: float) -> Texts:
    """Events of the Yahoo streaming benchmark, in the order of their time."""

    def one_of(values: Texts) -> Texts:
        return _pick(values, random.integers(0, len(values), rows))

    micros = ((first + np.arange(rows) * seconds / rows) * 1000).astype(np.int64) * 1000 + _MTIME * 1_000_000
    times = _compute.strftime(pa.array(micros, pa.timestamp("us")).cast(pa.timestamp("ms")), "%Y-%m-%d %H:%M:%S")
    fields = {
        "user_id": one_of(_ids(2, 10_000)),
        "page_id": one_of(_ids(3, 1000)),
        "ad_id": one_of(_ids(0, 1000)),
        "ad_type": one_of(pa.array(["banner", "modal", "sponsored-search", "mail", "mobile"])),
        "event_type": one_of(pa.array(["view", "click", "purchase"])),
        "event_time": times,
        "ip_address": one_of(pa.array([f"10.{n % 7}.{n % 250}.{n % 97}" for n in range(1000)])),
    }
    pairs: list[Texts | str] = []
    for i, (name, values) in enumerate(fields.items()):
        pairs += [f'{"{" if i == 0 else ", "}"{name}": "', values, '"']
    lines: Texts = _compute.binary_join_element_wise(*pairs, "}", "")
    return lines


WORD_COUNT = Workload("word-count", "lines", 125_000, ("word",), _words)
AD_VIEWS = Workload("ad-views", "events", 50_000, ("campaign_id", "window_start"), _events)
