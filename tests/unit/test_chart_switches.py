"""What stands behind switches: network policies, monitors, the dashboard."""

import itertools
import json
import re
from collections.abc import Iterator

import pytest

from streamjob_operator import metrics as operator_metrics
from streamjob_runtime.server import metrics as runtime_metrics
from support.board import board, finished_batch
from support.chart import (
    EVERYTHING,
    NAMESPACE,
    WATCHED,
    Manifest,
    of_kind,
    only,
    render,
    selects,
)


def test_the_network_policy_lets_in_who_reads_metrics_and_out_to_what_the_operator_needs() -> None:
    prometheus = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}}
    objects = render({"networkPolicy.enabled": True, "networkPolicy.metricsFrom": [prometheus]})
    spec = only(objects, "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    (incoming,) = spec["ingress"]
    assert incoming["ports"] == [{"port": "http", "protocol": "TCP"}]
    test, metrics = incoming["from"]
    assert selects(test["podSelector"]["matchLabels"], only(objects, "Pod")["metadata"]["labels"])
    assert metrics == prometheus
    outgoing = {(port["protocol"], port["port"]): rule.get("to") for rule in spec["egress"] for port in rule["ports"]}
    assert set(outgoing) == {("TCP", 443), ("TCP", 6443), ("UDP", 53), ("TCP", 53), ("TCP", 8080)}
    assert outgoing["TCP", 8080] == [
        {
            "podSelector": {
                "matchLabels": {"app.kubernetes.io/name": "streamjob-runtime", "streamjob.dev/role": "runtime"}
            },
            "namespaceSelector": {},
        }
    ]


def test_in_namespaced_mode_the_operator_reaches_runtimes_of_its_namespaces_alone() -> None:
    objects = render({"networkPolicy.enabled": True, "watchNamespaces": WATCHED})
    policy = next(p for p in of_kind(objects, "NetworkPolicy") if p["metadata"]["namespace"] == NAMESPACE)
    (to,) = policy["spec"]["egress"][-1]["to"]
    assert to["namespaceSelector"] == {
        "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": WATCHED}]
    }


@pytest.mark.parametrize(
    ("mode", "places"), [({}, {"any": True}), ({"watchNamespaces": WATCHED}, {"matchNames": WATCHED})], ids=str
)
def test_monitors_find_the_service_and_the_runtime_pods(mode: Manifest, places: Manifest) -> None:
    objects = render(EVERYTHING | mode)
    service, monitor = only(objects, "Service"), only(objects, "ServiceMonitor")
    assert selects(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"])
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    pods = only(objects, "PodMonitor")["spec"]
    assert pods["namespaceSelector"] == places
    assert pods["selector"]["matchLabels"]["app.kubernetes.io/name"] == "streamjob-runtime"
    (endpoint,) = pods["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("http", "/metrics")
    assert endpoint["relabelings"] == [
        {"sourceLabels": ["__meta_kubernetes_pod_label_streamjob_dev_job"], "targetLabel": "streamjob"}
    ]
    for found in (monitor, only(objects, "PodMonitor")):
        assert found["metadata"]["labels"]["release"] == "prom"


@pytest.mark.parametrize(
    ("switch", "kind"), [("serviceMonitor", "ServiceMonitor"), ("podMonitor", "PodMonitor"), ("dashboard", "ConfigMap")]
)
def test_each_switch_of_monitoring_is_one_of_its_own(switch: str, kind: str) -> None:
    with_it = [found["kind"] for found in render({f"monitoring.{switch}": True})]
    assert sorted(with_it) == sorted([kind, *(found["kind"] for found in render())])


def test_the_dashboard_is_found_by_grafana_and_shows_metrics_that_there_are() -> None:
    config = only(render({"monitoring.dashboard": True}), "ConfigMap")
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    dashboard = json.loads(config["data"]["streamjob.json"])
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    asked = {name for query in queries for name in re.findall(r"\bstreamjob_\w+", query)}
    runtime = board(batches=0)
    metrics = runtime_metrics.Metrics(runtime)
    runtime.finished(finished_batch(0))
    served = (metrics.text() + operator_metrics.Metrics(lambda: ["Running"]).text()).decode()
    assert asked <= set(re.findall(r"^(streamjob_\w+)", served, re.MULTILINE))
    for panel in panels:
        assert panel["title"] and panel["description"].endswith("."), panel
    # Panels do not overlap, and no query leaves the chosen namespaces and jobs.
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    for query in queries:
        assert "streamjob_operator_" in query or 'namespace=~"$namespace", streamjob=~"$job"' in query, query


def _cells(at: Manifest) -> Iterator[tuple[int, int]]:
    return itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))
