"""A state that does not fit says what changed: which step, and which of its keys, aggregates or types."""

import pytest

from streamjob_runtime.checkpoint.fit import differences
from streamjob_runtime.plan.model import Aggregation
from streamjob_runtime.plan.planner import plan
from support.queries import spec

BEFORE = "SELECT k, sum(n) AS s, count(*) AS c FROM events GROUP BY k"


def fingerprints(**steps: str) -> dict[str, str]:
    planned = plan(spec(steps, [(name, "complete") for name in steps]))
    return {step.name: step.fingerprint for step in planned.steps if isinstance(step, Aggregation)}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ("SELECT k, sum(n) AS s, count(*) AS c, max(n) AS m FROM events GROUP BY k",
         "v changed: its aggregate max(n) of BIGINT is new"),
        ("SELECT k, sum(n) AS s FROM events GROUP BY k", "v changed: its aggregate count_star() is gone"),
        ("SELECT k, avg(n) AS s, count(*) AS c FROM events GROUP BY k",
         "v changed: its aggregate sum(n) of BIGINT is now avg(n) of BIGINT"),
        ("SELECT k, sum(n::INT) AS s, count(*) AS c FROM events GROUP BY k",
         "v changed: its aggregate sum(n) of BIGINT is now sum(CAST(n AS INTEGER)) of INTEGER"),
        ("SELECT upper(k) AS k, sum(n) AS s, count(*) AS c FROM events GROUP BY ALL",
         "v changed: its key k VARCHAR is now upper(k) VARCHAR"),
        ("SELECT k, l, sum(n) AS s, count(*) AS c FROM events GROUP BY k, l", "v changed: its key l BIGINT[] is new"),
        ("SELECT k, sum(n) AS s, count(*) AS c FROM events GROUP BY k, tumble(t, INTERVAL '1 minute')",
         "v changed: its window tumble(t, 1m) TIMESTAMP with a watermark is new"),
        ("SELECT k, sum(n) AS s, count(*) AS c FROM events WHERE batch_time > now() - INTERVAL '1 hour' GROUP BY k",
         "v changed: its rolling window 1h is new"),
        ("SELECT k, count(*) AS c, sum(n) AS s FROM events GROUP BY k",
         "v changed: its aggregates stand in another order: sum(n) of BIGINT, count_star() before"),
        ("SELECT k, sum(n) * 2 AS s, count(*) AS c FROM events WHERE n > 0 GROUP BY k HAVING s > 1", None),
    ],
)  # fmt: skip
def test_a_changed_step_says_what_changed(now: str, said: str | None) -> None:
    assert list(differences(fingerprints(v=BEFORE), fingerprints(v=now))) == ([] if said is None else [said])


def test_a_step_that_is_new_is_not_called_changed() -> None:
    both = fingerprints(v=BEFORE, by_list="SELECT l, count(*) AS c FROM events GROUP BY l")
    one = fingerprints(v=BEFORE)
    assert list(differences(one, both)) == ["by_list is new, and the batches before would be missing in it"]
    assert list(differences(both, one)) == ["by_list is gone"]


def test_a_source_of_another_kind_says_of_which() -> None:
    assert list(differences({"source in": "files"}, {"source in": "kafka"})) == [
        "source in changed from files to kafka"
    ]


def test_a_log_that_only_has_the_hash_fits_as_before() -> None:
    now = fingerprints(v=BEFORE)
    (hash_,) = {text.split(" ")[0] for text in now.values()}
    assert len(hash_) == 16
    assert list(differences({"v": hash_}, now)) == []
    assert list(differences({"v": "0" * 16}, now)) == ["v changed"]
    assert list(differences({"v": hash_ + " what another version says"}, now)) == []
