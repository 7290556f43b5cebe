"""The cluster is what the other tests take it for."""

import json
import sys

import pytest

from support.cluster import Cluster, Object, run

WEB_PORT = 8000
TOO_LONG_S = 120


@pytest.fixture(scope="session")
def image(cluster: Cluster) -> str:
    name = run(sys.executable, "-m", "scripts.kind", "image", "python").strip()
    cluster.load_image(name)
    return name


def pod(name: str, node: str, image: str, *command: str, port: int | None = None) -> Object:
    """A pod of one container; with a `port` it is ready when something listens there, else when it runs."""
    limits = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container: Object = {"name": "main", "image": image, "command": command, "securityContext": limits}
    if port is not None:
        container["readinessProbe"] = {"tcpSocket": {"port": port}, "periodSeconds": 1}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]},
    }


def test_three_nodes_are_ready(cluster: Cluster) -> None:
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    assert len(nodes) == 3
    assert all(cluster.is_ready("node", node["metadata"]["name"]) for node in nodes)


def test_a_service_is_found_by_name_and_leads_to_another_node(cluster: Cluster, namespace: str, image: str) -> None:
    here, there = cluster.workers()
    serve = f"from http.server import *; HTTPServer(('', {WEB_PORT}), SimpleHTTPRequestHandler).serve_forever()"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": WEB_PORT}]},
    }
    for manifest in (
        pod("web", there, image, "python3", "-c", serve, port=WEB_PORT),
        pod("user", here, image, "sleep", "3600"),
        service,
    ):
        cluster.apply(json.dumps(manifest), namespace)
    cluster.wait(lambda: cluster.is_ready("pod", "web", namespace) and cluster.is_ready("pod", "user", namespace))
    assert cluster.node_of("web", namespace) != cluster.node_of("user", namespace)

    # That a pod is ready comes to every node, and to the name server, a moment later.
    fetch = "import urllib.request; print(urllib.request.urlopen('http://web', timeout=5).status)"
    said = cluster.wait_for_answer(lambda: cluster.exec("user", namespace, "python3", "-c", fetch))
    assert said.strip() == "200"


def test_a_process_is_killed_unannounced(cluster: Cluster, namespace: str, image: str) -> None:
    cluster.apply(json.dumps(pod("victim", cluster.workers()[0], image, "sleep", "3600")), namespace)
    cluster.wait(lambda: cluster.is_ready("pod", "victim", namespace))
    cluster.kill_in_pod("victim", namespace)

    def end() -> Object:
        (status,) = cluster.get("pod", "victim", namespace)["status"]["containerStatuses"]
        return dict({**status["lastState"], **status["state"]}.get("terminated", {}))

    assert cluster.wait(end)["exitCode"] == 128 + 9


def test_a_node_that_freezes_is_noticed_and_comes_back(cluster: Cluster) -> None:
    node = cluster.workers()[1]
    cluster.pause_node(node)
    cluster.wait(lambda: not cluster.is_ready("node", node), timeout=TOO_LONG_S)
    cluster.unpause_node(node)
    cluster.wait(lambda: cluster.is_ready("node", node), timeout=TOO_LONG_S)
