"""What the operator makes of a spec with variables, whose values are in ConfigMaps."""

import asyncio
import random
from typing import Any, cast

import pytest

from streamjob_api import names
from streamjob_operator.cluster import ApiError, Cluster, NotFound
from streamjob_operator.memory import Statuses
from streamjob_operator.model import Key, Observed
from streamjob_operator.observe import Observer
from streamjob_operator.plan import plan
from streamjob_operator.progress import Progresses
from streamjob_operator.store import Store
from streamjob_operator.variables import PERIOD_S, Variables
from support.cluster_model import SPEC

KEY = Key("shop", "views")
KAFKA = {"bootstrapServers": "${KAFKA}", "topic": "${ENV:-dev}-events"}
VARIED: dict[str, Any] = {
    **SPEC,
    "variablesFrom": [{"configMapRef": {"name": "env"}}],
    "batchInterval": "${INTERVAL:-2s}",
    "sources": [{"name": "lines", "kafka": KAFKA, "format": "text"}],
    "pipeline": [{"name": "v", "sql": "SELECT value, '$${KAFKA}' AS l FROM lines"}],
    "sinks": [{"from": "v", "console": {}}],
}


class ConfigMaps:
    """The ConfigMaps of a namespace, by name. A job whose pods all speak for themselves needs no other request."""

    def __init__(self, **there: dict[str, str]) -> None:
        self.there: dict[str, dict[str, Any]] = {name: {"data": data} for name, data in there.items()}
        self.fails: ApiError | None = None
        self.reads = 0

    async def read_config_map(self, key: Key, name: str) -> dict[str, Any]:
        self.reads += 1
        if self.fails:
            raise self.fails
        if name not in self.there:
            raise NotFound(404, "NotFound", f"no {name}")
        return self.there[name]

    def of(self, key: Key) -> None:
        return None


class Operator:
    """Looks at one job, again and again."""

    def __init__(self, spec: dict[str, Any], configs: ConfigMaps) -> None:
        self.store, self.generation = Store(), 0
        cluster = cast(Cluster, configs)
        nobody = cast(Progresses, configs)
        self.observer = Observer(
            self.store, cluster, nobody, Statuses(), Variables(cluster), "s3://all", random.Random(1)
        )
        self.applies(spec)

    def applies(self, spec: dict[str, Any], restart: str = "", anew: bool = True) -> None:
        self.generation += anew
        metadata: dict[str, Any] = {
            "namespace": "shop",
            "name": "views",
            "uid": "u",
            "resourceVersion": str(len(restart) + 10 * self.generation),
            "generation": self.generation,
            "annotations": {names.RESTART_ANNOTATION: restart},
        }
        api = {"apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJob"}
        self.store.put_job({**api, "metadata": metadata, "spec": spec, "status": {}})

    def looks(self, now: float = 0.0) -> Observed:
        seen = asyncio.run(self.observer.observe(KEY, now))
        assert seen is not None
        return seen[0]


def looks(spec: dict[str, Any], **configs: dict[str, str]) -> Observed:
    return Operator(spec, ConfigMaps(**configs)).looks()


def test_what_runs_is_the_spec_with_its_values_and_has_the_name_of_that() -> None:
    seen = looks(VARIED, env={"KAFKA": "kafka:9092", "ENV": "prod", "INTERVAL": "3s"})
    assert seen.wanted is not None and seen.problems == ()
    spec = seen.wanted.spec
    assert spec["sources"][0]["kafka"] == {"bootstrapServers": "kafka:9092", "topic": "prod-events"}
    assert spec["batchInterval"] == "3s" and "variablesFrom" not in spec
    assert spec["pipeline"][0]["sql"] == "SELECT value, '${KAFKA}' AS l FROM lines"
    plain = {**VARIED, "batchInterval": "3s", "pipeline": spec["pipeline"], "sources": spec["sources"]}
    del plain["variablesFrom"]
    written = looks(plain)
    assert written.wanted is not None and written.wanted.name == seen.wanted.name
    other = looks(VARIED, env={"KAFKA": "kafka:9092", "ENV": "test", "INTERVAL": "3s"})
    assert other.wanted is not None and other.wanted.name != seen.wanted.name


def test_the_policy_is_that_of_the_filled_spec() -> None:
    limits = {"limits": {"memory": "${MEMORY}"}}
    spec = {**VARIED, "resources": limits, "restart": {"backoff": {"initial": "${WAIT}"}}}
    policy = looks(spec, env={"KAFKA": "k:1", "MEMORY": "3Gi", "WAIT": "7s"}).policy
    assert (policy.memory_limit, policy.restart.initial) == ("3Gi", 7.0)
    unset = looks({**spec, "suspend": True}, env={"KAFKA": "k:1", "WAIT": "7s"})
    assert unset.wanted is None and (unset.policy.suspend, unset.policy.restart.initial) == (True, 7.0)


def test_of_two_values_the_later_one_counts_and_an_optional_config_map_may_be_missing() -> None:
    references = [{"configMapRef": {"name": "all"}}, {"configMapRef": {"name": "own", "optional": True}}]
    spec = {**VARIED, "variablesFrom": references}
    alone = looks(spec, all={"KAFKA": "k:1", "ENV": "all"})
    both = looks(spec, all={"KAFKA": "k:1", "ENV": "all"}, own={"ENV": "own"})
    topics = [seen.wanted and seen.wanted.spec["sources"][0]["kafka"]["topic"] for seen in (alone, both)]
    assert topics == ["all-events", "own-events"]


def test_a_spec_without_variables_from_is_taken_as_it_is_and_asks_for_nothing() -> None:
    configs = ConfigMaps(env={"X": "filled"})
    spec = {**SPEC, "podTemplate": {"annotations": {"a": "${X}"}}}
    seen = Operator(spec, configs).looks()
    assert seen.wanted is not None and seen.wanted.spec["podTemplate"] == {"annotations": {"a": "${X}"}}
    assert seen.variables_due is None and configs.reads == 0


def test_a_variable_that_is_refused_without_variables_from_is_told_what_it_lacks() -> None:
    seen = looks({**SPEC, "batchInterval": "${INTERVAL}"})
    assert not seen.unset and "spec.batchInterval" in seen.problems[0]
    assert "variablesFrom" in seen.problems[-1] and "streamjob render" in seen.problems[-1]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            {"KAFKAS": "k:1"},
            ("spec.sources[0].kafka.bootstrapServers: the variable KAFKA has no value", 'did you mean "KAFKAS"?'),
        ),
        ({}, ("the variable KAFKA has no value", "in the ConfigMap env, under the key KAFKA", "write $${")),
    ],
)
def test_a_variable_without_a_value_is_named_with_its_place_and_the_config_map(
    data: dict[str, str], words: tuple[str, ...]
) -> None:
    seen = looks(VARIED, env=data)
    assert seen.wanted is None and seen.unset
    (said,) = seen.problems
    assert all(word in said for word in words), said
    assert plan(seen).again_in == PERIOD_S, "its ConfigMap is looked at again"


def test_a_missing_config_map_is_named() -> None:
    seen = looks(VARIED)
    assert seen.unset and seen.wanted is None
    (said,) = seen.problems
    assert "spec.variablesFrom[0].configMapRef: there is no ConfigMap env in the namespace shop" in said


def test_a_value_that_is_no_text_is_named() -> None:
    configs = ConfigMaps()
    configs.there["env"] = {"data": {"ENV": "e"}, "binaryData": {"KAFKA": "AAEC"}}
    (said,) = Operator(VARIED, configs).looks().problems
    assert "bootstrapServers: the variable KAFKA is binary in the ConfigMap env" in said


def test_a_value_that_does_not_fit_is_said_of_the_field_as_of_any_spec() -> None:
    seen = looks(VARIED, env={"KAFKA": "no port", "INTERVAL": "soon"})
    assert seen.wanted is None and not seen.unset
    assert any("spec.batchInterval" in said and "duration" in said for said in seen.problems)
    assert any("spec.sources[0].kafka.bootstrapServers" in said for said in seen.problems)


def test_values_that_become_too_long_together_are_a_mistake_and_not_gigabytes() -> None:
    sql = "SELECT " + "${LONG}" * 9000
    seen = looks({**VARIED, "pipeline": [{"name": "v", "sql": sql}]}, env={"KAFKA": "k:1", "LONG": "x" * 1_000_000})
    assert seen.unset and "all values together are longer than 3 MiB" in seen.problems[0]
    assert len(seen.problems) <= 100


def test_a_changed_value_is_seen_when_it_is_due_and_makes_another_revision() -> None:
    configs = ConfigMaps(env={"KAFKA": "k:1"})
    operator = Operator(VARIED, configs)
    first = operator.looks(0.0)
    configs.there["env"] = {"data": {"KAFKA": "k:2"}}
    assert operator.looks(PERIOD_S - 1).wanted == first.wanted and configs.reads == 1
    second = operator.looks(PERIOD_S)
    assert second.wanted is not None and first.wanted is not None and second.wanted.name != first.wanted.name
    assert second.variables_due == 2 * PERIOD_S


@pytest.mark.parametrize("how", ["the spec", "the annotation"])
def test_who_changes_the_job_has_its_values_read_at_once(how: str) -> None:
    configs = ConfigMaps(env={"KAFKA": "k:1"})
    operator = Operator(VARIED, configs)
    operator.looks(0.0)
    configs.there["env"] = {"data": {"KAFKA": "k:2"}}
    if how == "the spec":
        operator.applies({**VARIED, "image": "i:2"})
    else:
        operator.applies(VARIED, restart="1", anew=False)
    wanted = operator.looks(1.0).wanted
    assert wanted is not None and wanted.spec["sources"][0]["kafka"]["bootstrapServers"] == "k:2"


def test_an_api_server_that_does_not_answer_changes_nothing_of_a_job_that_is_known() -> None:
    configs = ConfigMaps(env={"KAFKA": "k:1"})
    operator = Operator(VARIED, configs)
    first = operator.looks(0.0)
    configs.fails = ApiError(500, "InternalError", "etcd")
    assert operator.looks(PERIOD_S).wanted == first.wanted
    with pytest.raises(ApiError):
        Operator(VARIED, configs).looks()
    configs.fails = ApiError(403, "Forbidden", "may not get configmaps")
    (said,) = operator.looks(2 * PERIOD_S).problems
    assert "may not be read" in said and "may not get configmaps" in said
