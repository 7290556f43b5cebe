"""What the resource knows of a system: one of these for each that it can be, a source, a static table or a sink.

All rules are about the whole item (the source, the table, the sink), so their paths begin with the kind's own name.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from streamjob_api.base import Part
from streamjob_api.cel import CelRule, CelRules
from streamjob_api.trees import Rules, Tree

Format = Literal["text", "json", "csv", "avro", "parquet", "raw"]
FORMATS: tuple[str, ...] = get_args(Format)


def no_rules(_: Tree) -> tuple[()]:
    """The rules of a kind whose fields go with all others."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKind:
    """A source of this kind. One without formats brings rows: of its own `columns`, or else of the `schema`."""

    model: type[Part]
    formats: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)  # name -> SQL type
    metadata: Mapping[str, str] = field(default_factory=dict)  # name -> SQL type, of what its field `metadata` may name
    header: bool = False  # whether CSV has a header line unless its field `header` says no
    ends: bool = True  # whether all that is there at the start is an amount, as `availableNow` needs it
    rules: Rules = no_rules
    cel: CelRules = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableKind:
    """A static table of this kind. One without formats brings its own columns."""

    model: type[Part]
    formats: tuple[str, ...] = ()
    header: bool = False  # as that of a source
    rules: Rules = no_rules
    cel: CelRules = field(default_factory=dict)


def path_of(fields: Tree) -> str | None:
    """The place of a kind that writes below its field `path`. A slash at the end does not make another one."""
    path = fields.get("path")
    return path.rstrip("/") if isinstance(path, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """What no two sinks of a kind may write."""

    field: str  # of the kind, which the message is about
    place: Callable[[Tree], Hashable | None]  # from the kind's fields; equal: the same; None: it cannot be said
    message: str  # behind the name of the first sink
    hint: str
    cel: CelRule  # about the spec


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkKind:
    """A sink of this kind."""

    model: type[Part]
    formats: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()  # its fields that name columns of the rows
    chosen_by: str = ""  # the one of these that, where it is given, says which columns are written beside the others
    written: str = ""  # what its rows become, for messages; `{format}` stands for the format
    in_process: bool = False  # whether rows are shown or handed over as they are, and written nowhere
    by_key: str = ""  # what keeps a row until one with its key comes, in mode update, for messages; empty: nothing does
    tells_deletions: bool = False  # whether in mode update it takes rows that are no longer in the result, as such
    # Kinds of SQL types that it holds beside those that any format does, and that it does not.
    more_types: frozenset[str] = frozenset()
    less_types: frozenset[str] = frozenset()
    nested_is_json: bool = False  # whether its nested values become JSON, but for lists of single values
    alone: Alone | None = None
    rules: Rules = no_rules
    cel: CelRules = field(default_factory=dict)
