"""A plan: what to keep, and how each relation follows from the others. Plain data, no engine in it but SQL text.

In SQL texts the relations stand under their own names, quoted; `NOW` stands for the batch's time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# Stands in SQL texts for the batch's time. No manifest may contain this character.
MARK = "\ue000"
NOW = f'"{MARK}"()'
# Stands in the delta of sessions for the time by which rows are told apart: those before it are late.
IN_TIME_CALL = f"{MARK}in time"
IN_TIME = f'"{IN_TIME_CALL}"()'


def state_table(name: str) -> str:
    """The name of an aggregation's state in an engine's database."""
    return f"state:{name}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column and its SQL type."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Relation:
    """Something that can be read by name: a source, a static table, a step or a part of a step."""

    name: str
    kind: Literal["stream", "table"]
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """A source's declared columns."""

    name: str
    format: str | None  # None: typed rows of their own (rate, queue)
    columns: tuple[Column, ...]
    watermark_column: str | None
    metadata: tuple[str, ...] = ()  # those of the columns that the format has nothing to do with
    computed: str = ""  # SELECT of the columns with the event time beside them, where that is none of them


@dataclass(frozen=True, slots=True)
class Projection:
    """A relation that follows from others as a whole: a SELECT over a batch's rows or over tables."""

    name: str
    sql: str
    inputs: tuple[str, ...]
    watermark_column: str | None = None


@dataclass(frozen=True, slots=True)
class EventWindow:
    """Windows over event time, aligned to the epoch or `offset_us` behind it. Their start is the state's column `w`.

    With a `zone` all of it is meant in local time there, and `w` is the local time of the start, a TIMESTAMP.
    """

    size_us: int
    slide_us: int  # equal to the size: tumbling
    type: str  # of the start: TIMESTAMP or TIMESTAMP WITH TIME ZONE
    watermarked: bool  # the event time is the watermark's column of a source or a step
    # What was not always there stands in no `repr`, which fingerprints are made of: `alignment` says it.
    offset_us: int = field(default=0, repr=False)  # at least 0, less than the slide
    zone: str = field(default="", repr=False)
    of_batches: bool = field(default=False, repr=False)  # over batch time: no row is late
    session: bool = field(default=False, repr=False)  # ends when no row has come for `size_us`
    # Rows that are not late are later than the watermark less this. A state means the same whatever it is.
    lag_us: int = field(default=0, repr=False)

    @property
    def ends(self) -> bool:
        """Whether windows become final at all."""
        return self.watermarked or self.of_batches

    @property
    def alignment(self) -> str:
        """Where windows begin, in words; "": at whole multiples of the slide since 1970."""
        if self.session:
            return "with their first row"
        offset = f"offset {self.offset_us}us" if self.offset_us else ""
        return " ".join(filter(None, [self.zone and f"in {self.zone}", offset]))


@dataclass(frozen=True, slots=True)
class RollingWindow:
    """The batches of the last while, by batch time."""

    length_ms: int
    inclusive: bool  # `>=`: a batch exactly that old still counts


@dataclass(frozen=True, slots=True)
class Aggregation:
    """A table that is kept up to date: one row of aggregate states for each combination of keys.

    The state's columns are the keys `k0`, `k1` …, with an event window its start `w` as the last key, then the
    aggregate states `a0`, `a1` …, and of a session the time of its last row, `e`.
    """

    name: str
    # SELECT of a batch's keys and states. With an event window `w` is the pane's start, and `n` the number of rows; of
    # sessions, `f` and `e` are the times of the pane's first and last row.
    delta: str
    inputs: tuple[str, ...]
    keys: int  # without the window's start
    aggregates: int
    stored: tuple[str, ...]  # the state's columns, keys first, as expressions for the rows of a snapshot
    restored: tuple[str, ...]  # the same back, over the rows of a snapshot
    result: str  # SELECT of the relation's rows from the state, read as `s`
    items: tuple[str, ...]  # its columns as expressions over `s`, with aliases; for rows that changed
    having: str | None  # which rows are in it
    event_window: EventWindow | None
    rolling: RollingWindow | None
    each: tuple[str, ...]  # the keys, and `window` with how it is written, for people
    fingerprint: str  # a hash that says whether a state is this aggregation's, and behind a space the parts as JSON
    tied: tuple[str, ...]  # the aggregates whose states not every version of the engine reads as what they are
    ttl_ms: int | None = None  # how long a group stays that no row touches, by batch time; None: for good
    sets: frozenset[str] = frozenset()  # the state columns that are lists of distinct values
    tops: Mapping[str, int] = field(default_factory=dict)  # those that are sorted lists -> of so many values at most

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The state's key columns."""
        keys = tuple(f"k{i}" for i in range(self.keys))
        return (*keys, "w") if self.event_window else keys

    @property
    def state_columns(self) -> tuple[str, ...]:
        """The state's aggregate columns."""
        return tuple(f"a{i}" for i in range(self.aggregates))

    @property
    def snapshot_columns(self) -> str:
        """The columns of a snapshot's rows, as SQL over the state."""
        columns = (*self.key_columns, *self.state_columns)
        return ", ".join(f"{sql} AS {name}" for sql, name in zip(self.stored, columns, strict=True))


@dataclass(frozen=True, slots=True)
class JoinSide:
    """One side of a join of streams: the rows that wait for a match.

    All expressions are over its own columns, `c0`, `c1` …, which no column of the other side is called.
    """

    sql: str  # SELECT of a batch's rows
    columns: tuple[str, ...]
    stored: tuple[str, ...]  # the columns as expressions for the rows of a snapshot
    restored: tuple[str, ...]  # the same back, over the rows of a snapshot
    keys: tuple[str, ...]  # a row with NULL in one of them has no match
    ends: tuple[str, ...]  # TIMESTAMPs: once the watermark has reached one, or one is NULL, no match can come any more
    late: tuple[str, ...]  # TIMESTAMPs: a row of which the watermark of the batch before has reached one is late
    shown_alone: bool  # a row that found no match comes out without


@dataclass(frozen=True, slots=True)
class StreamJoin:
    """A join of two streams. Its rows have the columns of both sides; of a semi or anti join those of the left one."""

    name: str
    kind: Literal["INNER", "LEFT", "RIGHT", "FULL", "SEMI", "ANTI"]
    left: JoinSide
    right: JoinSide
    condition: str  # over `l` and `r`
    inputs: tuple[str, ...]
    fingerprint: str  # as an aggregation's
    of: tuple[str, str]  # what it joins, for people


@dataclass(frozen=True, slots=True)
class FinalRows:
    """A stream: the rows of a windowed result, as they become final."""

    name: str
    of: str
    operators: tuple[str, ...]  # the aggregations that the result follows from

    @property
    def inputs(self) -> tuple[str, ...]:
        """What it follows from."""
        return (self.of,)


@dataclass(frozen=True, slots=True)
class DistinctRows:
    """A stream: the rows of another, each once."""

    name: str
    of: str
    columns: tuple[str, ...]
    stored: tuple[str, ...]  # the state's columns `c0`, `c1` … as expressions for the rows of a snapshot
    restored: tuple[str, ...]  # the same back, over the rows of a snapshot
    end: str | None  # TIMESTAMP over them: once the watermark has reached it the row cannot come again; None: never
    fingerprint: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """What it follows from."""
        return (self.of,)


Step = Projection | Aggregation | StreamJoin | FinalRows | DistinctRows


@dataclass(frozen=True, slots=True)
class SinkPlan:
    """What a sink is given."""

    relation: str
    mode: Literal["append", "update", "complete"]
    # The aggregation whose changed rows it gets, or those whose final rows; empty: a stream, or all rows.
    operators: tuple[str, ...]
    as_text: tuple[str, ...] = ()  # columns that it gets as text
    wide_integers: tuple[str, ...] = ()  # columns with a HUGEINT in them, which must fit into a decimal of 38 digits
    # update: the columns by which rows that are no longer in the result are told apart; None: it is not told of any
    deleted_by: tuple[str, ...] | None = None
    only_new: bool = False  # update: of the changed groups it is given the rows that were not there before
    shown: str = ""  # update, of a view: the name by which what the sink has been shown is kept; "": it need not be


@dataclass(frozen=True, slots=True)
class Plan:
    """A pipeline that can be run."""

    relations: Mapping[str, Relation]
    sources: tuple[SourcePlan, ...]
    tables: tuple[Relation, ...]
    steps: tuple[Step, ...]  # each reads only what stands before it
    sinks: tuple[SinkPlan, ...]
