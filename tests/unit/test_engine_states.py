"""What becomes of a state when another version of the engine would read it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from streamjob_runtime.checkpoint.fit import Meaning, check_fits
from streamjob_runtime.checkpoint.log import read_log
from streamjob_runtime.embedded import engine
from streamjob_runtime.embedded.open import open_query
from streamjob_runtime.errors import JobError
from streamjob_runtime.plan.catalog import Catalog
from streamjob_runtime.plan.states import ENGINE, SAME_STATES, is_tied
from support.old_checkpoints import Archive, archives, go_on, load, restarted, versions
from support.simulate import job_of

OTHER = "DuckDB 9.9.9"
NEWEST = versions()[-1]
REFUSAL = (
    f"The state at memory was made by {ENGINE}, and this is {OTHER}, which may take it for something else: "
    f"approx_count_distinct, approx_quantile in sketches. Run StreamJob {NEWEST}, which wrote it, or give the job a "
    "new checkpoint location, where it starts from the beginning."
)


def meaning_of(archive: Archive) -> Meaning:
    """What the archive's job takes a state to mean."""
    spec = job_of(archive.manifest).spec
    query = open_query(spec, threads=1)
    fingerprints = {**{f"source {s.name}": s.kind for s in spec.sources}, **query.fingerprints}
    meaning = Meaning(fingerprints, query.engine, query.tied, query.readable)
    query.close()
    return meaning


def test_this_engine_has_been_tried_on_the_states_that_are_kept() -> None:
    """Fails with a new DuckDB. Where every archive is gone on from (test_old_checkpoints), add it to SAME_STATES."""
    assert ENGINE in SAME_STATES


def test_only_aggregates_whose_states_are_known_to_say_all_are_not_tied_to_an_engine() -> None:
    found = {name for name in Catalog().aggregates if re.fullmatch(r"[a-z_0-9]+", name) and is_tied(name)}
    assert {"approx_count_distinct", "approx_quantile", "approx_top_k"} <= found
    assert not {"count", "count_star", "sum", "avg", "min", "max", "list", "arg_max", "stddev", "median"} & found
    assert is_tied("an_aggregate_of_tomorrow")


@pytest.mark.parametrize(
    "name", [n for v, n, _ in archives() if v == NEWEST and not n.startswith("source-") and n != "aggregates"]
)
def test_states_that_say_all_are_read_by_every_engine(name: str) -> None:
    archive = load(NEWEST, name)
    meaning = replace(meaning_of(archive), engine=OTHER, readable=frozenset({OTHER}))
    check_fits(read_log(archive.objects()), "tests/kept", meaning, "memory")


def test_a_sketch_of_another_engine_is_refused_in_words() -> None:
    archive = load(NEWEST, "aggregates")
    meaning = meaning_of(archive)
    records = read_log(archive.objects())
    check_fits(records, "tests/kept", meaning, "memory")
    with pytest.raises(JobError) as caught:
        check_fits(records, "tests/kept", replace(meaning, engine=OTHER, readable=frozenset({OTHER})), "memory")
    assert str(caught.value) == REFUSAL
    # One of which it is known that it makes the same.
    check_fits(records, "tests/kept", replace(meaning, engine=OTHER, readable=frozenset({OTHER, ENGINE})), "memory")


def test_a_step_that_means_something_else_is_refused_with_who_wrote_its_state() -> None:
    archive = load(NEWEST, "word-count")
    meaning = replace(meaning_of(archive), fingerprints={"source lines": "queue", "counts": 'another [["key", "k"]]'})
    with pytest.raises(JobError) as caught:
        check_fits(read_log(archive.objects()), "tests/kept", meaning, "memory")
    assert str(caught.value) == (
        f"The state at memory, written by StreamJob {NEWEST} with {ENGINE}, does not fit this job: counts changed. "
        "Undo the change, or give the job a new checkpoint location, where it starts from the beginning."
    )


@pytest.fixture
def another_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "ENGINE", OTHER)
    monkeypatch.setattr(engine, "readable", lambda: frozenset({OTHER}))


@pytest.mark.usefixtures("another_engine")
def test_a_job_with_a_sketch_does_not_start_and_leaves_no_trace(tmp_path: Path) -> None:
    simulation = restarted(load(NEWEST, "aggregates"), tmp_path)
    before = {entry.key for entry in simulation.store.list("log/")}
    with pytest.raises(JobError, match="approx_count_distinct, approx_quantile in sketches"):
        simulation.run()
    assert {entry.key for entry in simulation.store.list("log/")} == before


@pytest.mark.usefixtures("another_engine")
def test_a_job_without_one_goes_on_and_says_which_engine_makes_its_states_now(tmp_path: Path) -> None:
    archive = load(NEWEST, "word-count")
    simulation, found = go_on(archive, tmp_path)
    assert found == archive.expected
    engines = [getattr(record.body, "engine", None) for record in read_log(simulation.store)]
    assert OTHER in engines
