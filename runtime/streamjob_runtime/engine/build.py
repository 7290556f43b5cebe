"""From a manifest to the loop that runs it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from importlib.metadata import version

from streamjob_api.models import StreamJob
from streamjob_runtime.checkpoint.fit import Meaning
from streamjob_runtime.checkpoint.identity import full_name
from streamjob_runtime.connectors.open import open_sink, open_source, open_table
from streamjob_runtime.connectors.shared.bad_records import BadRecords
from streamjob_runtime.connectors.sink_context import SinkContext
from streamjob_runtime.connectors.source import Source
from streamjob_runtime.connectors.source_context import SourceContext
from streamjob_runtime.connectors.table import TableContext
from streamjob_runtime.embedded.open import open_query
from streamjob_runtime.engine.bad_records import Aside, BadRecordRule
from streamjob_runtime.engine.batch import NamedSink
from streamjob_runtime.engine.loop import Loop, LoopSettings, Parts
from streamjob_runtime.engine.surroundings import Surroundings
from streamjob_runtime.engine.tables import StaticTable, StaticTables
from streamjob_runtime.engine.trouble import TroubleBoard
from streamjob_runtime.patience import SILENT_S, Caller, Patient
from streamjob_runtime.query import Query
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.proof import prove_atomic_create
from streamjob_runtime.stores.retrying import RetryingStore

_SLOW_DISK_S = 30.0  # a write to a disk that does much else may take seconds, and a mounted file system may hang


def build(job: StreamJob, store: Store, around: Surroundings) -> Loop:
    """The loop of a job whose log lies in `store`. Plans the query and proves the store.

    Raises `JobError` for whatever is wrong with the job.
    """
    settings, parts = assemble(job, store, around)
    prove_atomic_create(parts.store, around.rng)
    return Loop(settings, parts, around)


def assemble(job: StreamJob, store: Store, around: Surroundings) -> tuple[LoopSettings, Parts]:
    """What a loop is made of. Asks no system outside but for the columns of tables that do not declare them.

    Raises `JobError`: the SQL is wrong, or a credential is missing.
    """
    spec = job.spec
    progress = around.progress
    progress.update(job_name=job.metadata.name, started_ms=around.clock.now_ms())
    progress.update(interval_ms=_ms(spec.batch_interval), moved=around.clock.monotonic())
    board = TroubleBoard(progress, around.clock, around.say)

    def patient(store: Store, what: str) -> Store:
        silent_s = SILENT_S if "://" in store.url else _SLOW_DISK_S
        made = RetryingStore(store, around.clock, around.rng, around.give_up, board.listener(what), what, silent_s)
        board.watch(made.patient)
        return made

    def patience(what: str) -> Caller:
        made = Patient(around.clock, around.rng, around.give_up, board.listener(what), what)
        board.watch(made)
        return made

    context = TableContext(
        around.connections, patient, patience, around.base_dir, decoding=around.decoding, say=around.say
    )
    contents = {t.name: open_table(t, context) for t in spec.tables}
    undeclared = {t.name: contents[t.name].schema() for t in spec.tables if not t.schema_}
    query = open_query(spec, table_schemas=undeclared, scratch=around.scratch)
    for name, of in contents.items():
        of.take_columns(query.table_schemas[name])
    tables = [
        StaticTable(
            t.name,
            contents[t.name],
            _ms(t.refresh) if t.refresh else None,
            partial(query.table_misfits, t.name) if t.on_bad_record == "drop" else None,
            t.bad_record_limit,
        )
        for t in spec.tables
    ]
    bad_records = {
        s.name: BadRecords(s.on_bad_record in ("drop", "deadLetter"), query.source_misfits(s.name))
        for s in spec.sources
    }
    store = patient(store, f"the checkpoint store {store.url}")
    return _settings(job, query), Parts(
        store,
        query,
        StaticTables(tables, store, query.set_table, around.say),
        lambda epoch: _sources(job, query, store, epoch, around, patient, patience, bad_records),
        _sinks(
            job,
            query,
            SinkContext(
                around.connections,
                patient,
                around.base_dir,
                around.print_rows,
                around.outputs,
                patience,
                moves=lambda: progress.update(moved=around.clock.monotonic()),
            ),
        ),
        Aside(
            bad_records, {s.name: BadRecordRule(s.bad_record_limit, s.dead_letters) for s in spec.sources}, around.say
        ),
    )


def _settings(job: StreamJob, query: Query) -> LoopSettings:
    spec = job.spec
    return LoopSettings(
        job_name=full_name(job.metadata.namespace, job.metadata.name),
        version=version("streamjob"),
        interval_ms=_ms(spec.batch_interval),
        batches_per_checkpoint=spec.batches_per_checkpoint,
        retained=spec.checkpoint.retained,
        available_now=spec.trigger == "availableNow",
        backpressure=spec.backpressure is not None and spec.backpressure.enabled,
        limits={s.name: s.max_records_per_batch for s in spec.sources},
        delays_ms={name: _ms(mark.delay) for name, mark in spec.watermarks.items()},
        max_ahead_ms={name: _ms(mark.max_ahead) for name, mark in spec.watermarks.items()},
        meaning=Meaning(
            # A source's offsets mean nothing to a source of another kind.
            {**{f"source {s.name}": s.offsets for s in spec.sources}, **query.fingerprints},
            query.engine,
            query.tied,
            query.readable,
        ),
    )


def _sources(
    job: StreamJob,
    query: Query,
    store: Store,
    epoch: int,
    around: Surroundings,
    patient: Callable[[Store, str], Store],
    patience: Callable[[str], Caller],
    bad_records: Mapping[str, BadRecords],
) -> dict[str, Source]:
    context = SourceContext(
        connections=around.connections,
        log_store=store,
        epoch=epoch,
        clock=around.clock,
        random=around.rng,
        queues=around.inputs,
        wrap_store=patient,
        patience=patience,
        job_name=full_name(job.metadata.namespace, job.metadata.name),
        say=around.say,
        base_dir=around.base_dir,
        decoding=around.decoding,
        available_now=job.spec.trigger == "availableNow",
    )
    return {
        s.name: open_source(s, query.source_schemas[s.name], replace(context, bad_records=bad_records[s.name]))
        for s in job.spec.sources
    }


def _sinks(job: StreamJob, query: Query, context: SinkContext) -> tuple[NamedSink, ...]:
    return tuple(
        NamedSink(name, sink.mode, open_sink(sink, name, schema, replace(context, deletions=deletions)))
        for name, sink, schema, deletions in zip(
            job.spec.sink_names, job.spec.sinks, query.sink_schemas, query.deletions, strict=True
        )
    )


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
