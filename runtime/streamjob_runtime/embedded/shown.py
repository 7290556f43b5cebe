# ruff: noqa: S608 - SQL is put together here from names that are quoted.
"""What sinks in update mode have been shown of views: compared with a view as it is now, it says what has changed."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

from streamjob_runtime.embedded.compose import at_time
from streamjob_runtime.embedded.database import Database
from streamjob_runtime.embedded.gone import in_types
from streamjob_runtime.embedded.stored import from_stored, to_stored
from streamjob_runtime.plan.model import MARK, SinkPlan
from streamjob_runtime.plan.tree import quoted

_STATE = "shown:"  # begins their names in a snapshot; no relation's name has a colon
_NOW, _WAS, _NEW, _LEFT = "view:now", "view:was", "view:new", "view:left"


class Change(NamedTuple):
    """What a batch changed for a sink."""

    rows: pa.Table  # to put in place
    deleted: pa.Table  # no longer there, as they were


@dataclass(frozen=True, slots=True)
class ShownView:
    """A view as a sink is shown it."""

    sink: SinkPlan
    sql: str
    below: Collection[str]  # the relations that it follows from


class Views:
    """The rows that each such sink has. They are part of a snapshot: a replay tells what was told."""

    def __init__(self, db: Database, views: Sequence[ShownView]) -> None:
        self._db = db
        self._views = {view.sink.shown: view for view in views}
        self._rows = {name: db.schema(at_time(v.sql, 0)).empty_table() for name, v in self._views.items()}
        self._current: set[str] = set()  # of these, which have what is there now

    def changes(self, batch_time_ms: int, moved: set[str]) -> dict[str, Change]:
        """What changed for each sink in a batch; `moved`: the aggregations that may have changed."""
        found = {}
        for name, view in self._views.items():
            if name in self._current and MARK not in view.sql and not moved & {*view.below}:
                none = self._rows[name].slice(0, 0)
                found[name] = Change(none, none)
                continue
            now = self._db.rows(at_time(view.sql, batch_time_ms))
            found[name] = self._compared(self._rows[name], now, view.sink.deleted_by or ())
            self._rows[name] = now
            self._current.add(name)
        return found

    def look_again(self) -> None:
        """Something else may have changed, such as a static table."""
        self._current.clear()

    def counts(self) -> dict[str, int]:
        """How many rows a snapshot will have, by their name there."""
        return {_STATE + name: rows.num_rows for name, rows in self._rows.items()}

    def snapshot(self) -> dict[str, pa.Table]:
        """The rows as Parquet holds them."""
        return {_STATE + name: to_stored(rows) for name, rows in self._rows.items()}

    def restore(self, state: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
        """Take up the rows of a snapshot; what is left of it.

        A sink that is not in it has been shown nothing, and neither has one whose columns were others.
        """
        for name, rows in self._rows.items():
            there = state.get(_STATE + name)
            if there is not None and there.column_names == rows.column_names:
                with suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
                    # Parquet gives some types back as others of the same values, an ENUM's among them.
                    self._rows[name] = from_stored(there.cast(to_stored(rows).schema), rows.schema)
        self.look_again()
        return {name: rows for name, rows in state.items() if not name.startswith(_STATE)}

    def _compared(self, was: pa.Table, now: pa.Table, key: Sequence[str]) -> Change:
        """What to do so that `was` becomes `now`. Without a key each row is told apart by all that it is."""
        db = self._db
        db.register(_NOW, now)
        db.register(_WAS, was)
        db.keep(_NEW, f"FROM {quoted(_NOW)} EXCEPT ALL FROM {quoted(_WAS)}")
        db.keep(_LEFT, f"FROM {quoted(_WAS)} EXCEPT ALL FROM {quoted(_NOW)}")
        rows, left = f"FROM {quoted(_NEW)}", f"FROM {quoted(_LEFT)}"
        if key:
            # Where several rows have one key, the sink has any of them: all are told again when one of them changes.
            columns = ", ".join(map(quoted, key))
            moved = f"(SELECT {columns} FROM {quoted(_NEW)} UNION ALL SELECT {columns} FROM {quoted(_LEFT)})"
            rows = f"SELECT n.* FROM {quoted(_NOW)} AS n SEMI JOIN {moved} AS m ON {_same(key, 'n', 'm')}"
            one_each = f"SELECT DISTINCT ON ({', '.join(f'b.{quoted(c)}' for c in key)}) b.*"
            left = f"{one_each} FROM {quoted(_LEFT)} AS b ANTI JOIN {quoted(_NOW)} AS n ON {_same(key, 'b', 'n')}"
        change = Change(*(in_types(db.rows(sql), now.schema) for sql in (rows, left)))
        for name in (_NEW, _LEFT):
            db.keep_none(name)
        for name in (_NOW, _WAS):
            db.register(name, now.schema.empty_table())
        return change


def _same(key: Sequence[str], one: str, other: str) -> str:
    return " AND ".join(f"{one}.{quoted(c)} IS NOT DISTINCT FROM {other}.{quoted(c)}" for c in key)
