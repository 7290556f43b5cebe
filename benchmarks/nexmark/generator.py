"""The events of the Nexmark benchmark: persons who sell, their auctions, and bids, 1 : 3 : 46 of each fifty.

The benchmark is that of Tucker, Tufte, Papadimos and Maier (NEXMark, a benchmark for queries over data streams), known
by the versions of Apache Beam and Flink, whose proportions, numbers and shapes of values these are. All is computed
by column here, and follows from the seed alone.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

PERSONS, AUCTIONS, BIDS = 1, 3, 46
ROUND = PERSONS + AUCTIONS + BIDS
BEGIN = datetime(2026, 1, 1, 7, 59, 30, tzinfo=UTC)  # soon it is daytime (q14)

_FIRST_ID = 1000  # of persons and of auctions
_FIRST_CATEGORY, _CATEGORIES = 10, 5
_ACTIVE_PERSONS, _OPEN_AUCTIONS = 1000, 100  # of the newest, those who act and are bid for
_LEAD = 10  # ids that are not there yet, and are named all the same
_HOT = 100  # one of so many is a hot person or auction …
_HOT_AUCTIONS, _HOT_BIDDERS, _HOT_SELLERS = 2, 4, 4  # … whom all but one of so many choose
_HOT_CHANNELS = ("Google", "Facebook", "Baidu", "Apple")
_CHANNELS = 10_000
_PERSON_BYTES, _AUCTION_BYTES, _BID_BYTES = 200, 500, 100  # of a whole event; `extra` fills it up
_STATES = ("AZ", "CA", "ID", "OR", "WA", "WY")
_CITIES = ("Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent")
_FIRST_NAMES = ("Ada", "Bruno", "Clara", "David", "Edith", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Karla")
_LAST_NAMES = ("Adler", "Berg", "Conrad", "Dorn", "Ernst", "Frank", "Graf", "Hahn", "Imhof")

_compute: Any = pc  # takes more than its type stubs say

Random: TypeAlias = np.random.Generator
Numbers: TypeAlias = "npt.NDArray[np.int64]"
Texts: TypeAlias = "pa.Array[Any]"  # not subscriptable at run time


@dataclass(frozen=True, slots=True)
class Events:
    """The events of a while. A row's place among all of them is in `order`, by kind."""

    person: pa.Table
    auction: pa.Table
    bid: pa.Table
    order: dict[str, Numbers]  # kind -> the place of each row among the events as they arrive, ascending


def events(part: int, rounds: int, per_second: int, disorder: int = 0, seed: int = 1) -> Events:
    """The `part`-th part (from 0) of the events: so many rounds of fifty, `per_second` events a second of event time.

    `disorder`: an event may arrive after so many that are later than it, within the part.
    """
    random = np.random.default_rng([seed, part])
    first = part * rounds * ROUND
    number = np.arange(first, first + rounds * ROUND, dtype=np.int64)
    micros = number * 1_000_000 // per_second // 1000 * 1000 + round(BEGIN.timestamp() * 1_000_000)
    within = number % ROUND
    kinds = {"person": within < PERSONS, "auction": (within >= PERSONS) & (within < PERSONS + AUCTIONS)}
    kinds["bid"] = ~kinds["person"] & ~kinds["auction"]
    arrival = np.argsort(number + random.integers(0, disorder + 1, len(number)), kind="stable")
    place = np.empty_like(number)
    place[arrival] = np.arange(len(number))
    made = {"person": _persons, "auction": _auctions, "bid": _bids}
    tables, order = {}, {}
    for kind, chosen in kinds.items():
        table = made[kind](random, number[chosen], micros[chosen], per_second)
        by_arrival = np.argsort(place[chosen], kind="stable")
        tables[kind] = table.take(pa.array(by_arrival, pa.int64()))
        order[kind] = place[chosen][by_arrival]
    return Events(**tables, order=order)


def end(part: int, rounds: int, per_second: int) -> datetime:
    """An upper bound of the event times of the parts before `part`."""
    return BEGIN + timedelta(seconds=part * rounds * ROUND / per_second)


def side_input() -> pa.Table:
    """The static table of q13: a value for each key."""
    keys = np.arange(10_000)
    return pa.table({"key": keys, "value": pa.array([f"value {k}" for k in keys])})


def _persons(random: Random, number: Numbers, micros: Numbers, per_second: int) -> pa.Table:
    rows = len(number)
    names = _joined(" ", _one_of(random, _FIRST_NAMES, rows), _one_of(random, _LAST_NAMES, rows))
    cards = [_padded(random.integers(0, 10_000, rows)) for _ in range(4)]
    columns = {
        "id": _last_person(number) + _FIRST_ID,
        "name": names,
        "emailAddress": _joined(
            "@", _letters(random, rows, 7), _joined(".", _letters(random, rows, 5), _same("com", rows))
        ),
        "creditCard": _joined(" ", *cards),
        "city": _one_of(random, _CITIES, rows),
        "state": _one_of(random, _STATES, rows),
        "dateTime": _times(micros),
        "extra": _extra(random, rows, _PERSON_BYTES - 70),
    }
    return pa.table(columns)


def _auctions(random: Random, number: Numbers, micros: Numbers, per_second: int) -> pa.Table:
    rows = len(number)
    hot = _last_person(number) // _HOT * _HOT
    seller = np.where(random.integers(0, _HOT_SELLERS, rows) > 0, hot, _a_person(random, number))
    initial = _prices(random, rows)
    open_us = _OPEN_AUCTIONS * ROUND * 1_000_000 // AUCTIONS // per_second
    expires = micros + 1000 * random.integers(1, max(2 * open_us // 1000, 1) + 1, rows)
    columns = {
        "id": _last_auction(number) + _FIRST_ID,
        "itemName": _letters(random, rows, 15),
        "description": _letters(random, rows, 75),
        "initialBid": initial,
        "reserve": initial + _prices(random, rows),
        "dateTime": _times(micros),
        "expires": _times(expires),
        "seller": seller + _FIRST_ID,
        "category": random.integers(0, _CATEGORIES, rows) + _FIRST_CATEGORY,
        "extra": _extra(random, rows, _AUCTION_BYTES - 140),
    }
    return pa.table(columns)


def _bids(random: Random, number: Numbers, micros: Numbers, per_second: int) -> pa.Table:
    rows = len(number)
    last = _last_auction(number)
    oldest = np.maximum(last - _OPEN_AUCTIONS, 0)
    cold = oldest + random.integers(0, last - oldest + 1 + _LEAD)
    auction = np.where(random.integers(0, _HOT_AUCTIONS, rows) > 0, last // _HOT * _HOT, cold)
    hot = _last_person(number) // _HOT * _HOT + 1  # not the hot seller
    bidder = np.where(random.integers(0, _HOT_BIDDERS, rows) > 0, hot, _a_person(random, number))
    channel, url = _channels()
    chosen = np.where(
        random.integers(0, 2, rows) > 0,
        random.integers(0, len(_HOT_CHANNELS), rows),
        random.integers(len(_HOT_CHANNELS), len(channel), rows),
    )
    columns = {
        "auction": auction + _FIRST_ID,
        "bidder": bidder + _FIRST_ID,
        "price": _prices(random, rows),
        "channel": channel.take(pa.array(chosen, pa.int64())),
        "url": url.take(pa.array(chosen, pa.int64())),
        "dateTime": _times(micros),
        "extra": _extra(random, rows, _BID_BYTES - 32),
    }
    return pa.table(columns)


def _last_person(number: Numbers) -> Numbers:
    """The newest person at each event, from 0."""
    return number // ROUND


def _last_auction(number: Numbers) -> Numbers:
    """The newest auction at each event, from 0; of an auction its own."""
    return number // ROUND * AUCTIONS + np.clip(number % ROUND - PERSONS, 0, AUCTIONS - 1)


def _a_person(random: Random, number: Numbers) -> Numbers:
    persons = _last_person(number) + 1
    active = np.minimum(persons, _ACTIVE_PERSONS)
    return persons - active + random.integers(0, active + _LEAD)


def _prices(random: Random, rows: int) -> Numbers:
    return np.round(10.0 ** (random.random(rows) * 6) * 100).astype(np.int64)


def _channels() -> tuple[Texts, Texts]:
    """Every channel and its address, the hot ones first. Nine of ten others have a channel_id in it."""
    random = np.random.default_rng(0)
    count = len(_HOT_CHANNELS) + _CHANNELS
    folders = [_letters(random, count, 5) for _ in range(3)]
    ids = random.integers(0, 2**31, count)
    ids[: len(_HOT_CHANNELS)] = -1
    ids[random.integers(0, 10, count) == 0] = -1
    query = pa.array(["item.htm?query=1" + (f"&channel_id={i}" if i >= 0 else "") for i in ids])
    names = [*_HOT_CHANNELS, *(f"channel-{i}" for i in range(_CHANNELS))]
    return pa.array(names), _joined("/", _same("https://www.nexmark.com", count), *folders, query)


def _times(micros: Numbers) -> Texts:
    return pa.array(micros, pa.timestamp("us"))


def _extra(random: Random, rows: int, size: int) -> Texts:
    """Letters, a fifth more or less than `size`."""
    return _letters(random, rows, size, size // 5)


def _letters(random: Random, rows: int, size: int, about: int = 0) -> Texts:
    """Texts of `size` letters, `about` more or less."""
    lengths = random.integers(size - about, size + about + 1, rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    letters = random.integers(97, 123, int(offsets[-1]), dtype=np.uint8)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets.tobytes()), pa.py_buffer(letters.tobytes()))


def _padded(numbers: Numbers) -> Texts:
    return pa.array([f"{n:04d}" for n in numbers], pa.string())


def _one_of(random: Random, values: tuple[str, ...], rows: int) -> Texts:
    return pa.array(values).take(pa.array(random.integers(0, len(values), rows), pa.int64()))


def _same(value: str, rows: int) -> Texts:
    return pa.repeat(value, rows)


def _joined(by: str, *texts: Texts) -> Texts:
    joined: Texts = _compute.binary_join_element_wise(*texts, by)
    return joined
