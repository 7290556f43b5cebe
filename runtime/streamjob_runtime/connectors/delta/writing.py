"""How rows get into a table: one commit, with what says which batch it is."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from streamjob_runtime.connectors.delta.keys import last_of_each
from streamjob_runtime.connectors.delta.look import columns_for, schema_to_make
from streamjob_runtime.connectors.delta.place import Place
from streamjob_runtime.connectors.delta.table import arrow_schema
from streamjob_runtime.connectors.shared.marker import Marker
from streamjob_runtime.errors import JobError
from streamjob_runtime.formats import times


class Marks:
    """The marker of one sink in a table: two application transactions, for the batch and for the start that wrote it.

    Of two commits that rest on one version of the table and name the same application, the table takes one: so the
    epoch, which every commit of the sink names, lets nobody in who looked before another's commit. An older number is
    no reason for the table to refuse a commit: who writes looks first.
    """

    def __init__(self, job_id: str, step: str) -> None:
        self._batch = f"streamjob/{job_id}/{step}"
        self._epoch = f"{self._batch}/epoch"

    def read(self, table: DeltaTable) -> Marker | None:
        """What the table has of this sink; batch -1: none yet."""
        batch, epoch = table.transaction_version(self._batch), table.transaction_version(self._epoch)
        return None if batch is None and epoch is None else Marker(-1 if batch is None else batch, epoch or 0)

    def of(self, batch_id: int | None, epoch: int) -> CommitProperties:
        """What a commit carries; without a batch it only says who writes now."""
        # Without a time, no table's delta.setTransactionRetentionDuration ever forgets them.
        marks = [Transaction(self._epoch, epoch)]
        if batch_id is not None:
            marks.append(Transaction(self._batch, batch_id))
        return CommitProperties(app_transactions=marks)


def make_table(place: Place, rows: pa.Schema, partition_by: Sequence[str]) -> None:
    """Make the table; an error if there is one. Call it within `translate`, as all below."""
    names = {name.lower(): name for name in rows.names}
    DeltaTable.create(
        place.url,
        schema_to_make(rows),
        mode="error",
        partition_by=[names[name.lower()] for name in partition_by],
        storage_options=dict(place.options),
        # Tried again, the library would put our columns in place of those that somebody else has just made.
        commit_properties=CommitProperties(max_commit_retries=0),
    )


def announce(table: DeltaTable, marks: CommitProperties) -> None:
    """A commit without rows."""
    table.create_write_transaction(
        [],
        mode="append",
        schema=table.schema(),
        partition_by=table.metadata().partition_columns,
        commit_properties=marks,
    )


def write_rows(
    table: DeltaTable,
    rows: pa.Table,
    mode: str,
    key: Sequence[str],
    marks: CommitProperties,
    deleted: pa.Table | None = None,
) -> None:
    """Write a batch; `table` is the new version afterwards. In update mode `deleted` are rows that are to go.

    Raises `JobError` for a time that Delta does not have.
    """
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        if what := times.no_number(column) or times.too_far(column):
            raise JobError(times.refusal(name, what, "Delta"))
    schema = arrow_schema(table)
    names = columns_for(schema, rows.schema)
    if mode == "update":
        gone = rows.num_rows * [False]
        if deleted is not None:
            rows, gone = pa.concat_tables([deleted, rows]), [*(deleted.num_rows * [True]), *gone]
        flag = _free_name(schema)
        flagged = last_of_each(rows.append_column(flag, pa.array(gone, pa.bool_())), _there(rows.schema, key))
        fitted = _fitted(flagged.drop_columns([flag]), schema, names).append_column(flag, flagged.column(flag))
        _merge(table, fitted, key, flag, marks)
        return
    write_deltalake(
        table,
        _fitted(rows, schema, names, fill=True),
        mode="append" if mode == "append" else "overwrite",
        commit_properties=marks,
    )


def _free_name(schema: pa.Schema) -> str:
    """A name that no column has."""
    name = "deleted"
    while name in (there.lower() for there in schema.names):
        name += "_"
    return name


def _merge(table: DeltaTable, rows: pa.Table, key: Sequence[str], flag: str, marks: CommitProperties) -> None:
    """Put the rows in place by their key; those that the column `flag` says so of go."""
    values = rows.drop_columns([flag])
    there = f"NOT source.{flag}"
    same = " AND ".join(f"(target.{quoted} IS NOT DISTINCT FROM source.{quoted})" for quoted in _quoted(values, key))
    (
        table.merge(rows, same, source_alias="source", target_alias="target", commit_properties=marks)
        .when_matched_update({quoted: f"source.{quoted}" for quoted in _quoted(values, values.column_names)}, there)
        .when_matched_delete(f"source.{flag}")
        .when_not_matched_insert({quoted: f"source.{quoted}" for quoted in _quoted(values, values.column_names)}, there)
        .execute()
    )


def _quoted(rows: pa.Table, columns: Sequence[str]) -> list[str]:
    return ['"' + name.replace('"', '""') + '"' for name in _there(rows.schema, columns)]


def _there(schema: pa.Schema, columns: Sequence[str]) -> list[str]:
    names = {name.lower(): name for name in schema.names}
    return [names[column.lower()] for column in columns]


def _fitted(rows: pa.Table, schema: pa.Schema, names: Mapping[str, str], fill: bool = False) -> pa.Table:
    """The rows with the table's columns and types; `fill`: NULL in those that they do not have."""
    fields = [field for field in schema if fill or field.name in names]
    columns = [
        rows.column(names[field.name]).cast(field.type)
        if field.name in names
        else pa.chunked_array([pa.nulls(rows.num_rows, field.type)])
        for field in fields
    ]
    return pa.table(columns, schema=pa.schema(fields))
