"""A pod that sends numbered lines by TCP, each once: what a reader has not taken is lost."""

import json

from support.cluster import Cluster
from support.images import RUNTIME

NAME = "lines"
PORT = 9999

SCRIPT = f"""
import itertools, json, pathlib, socket, time
numbers = itertools.count()
server = socket.create_server(("", {PORT}))
while True:
    reader, _ = server.accept()
    try:
        for n in numbers:
            last = pathlib.Path("/tmp/last").exists()
            reader.sendall(json.dumps({{"n": n, "last": last}}).encode() + b"\\n")
            if last:
                time.sleep(3600)
            time.sleep(0.005)
    except OSError:
        reader.close()
"""


def serve(cluster: Cluster, namespace: str) -> None:
    """Start the pod and its Service. It sends to one reader at a time, `{"n": …, "last": …}` a line."""
    limits = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": {"app": NAME}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": NAME,
                    "image": RUNTIME,
                    "command": ["python3", "-c", SCRIPT],
                    "securityContext": limits,
                    "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
                }
            ],
            "volumes": [{"name": "scratch", "emptyDir": {}}],
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"selector": {"app": NAME}, "ports": [{"port": PORT}]},
    }
    cluster.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod, service]}), namespace)


def end(cluster: Cluster, namespace: str) -> None:
    """Have it send its last line."""
    cluster.exec(NAME, namespace, "touch", "/tmp/last")
