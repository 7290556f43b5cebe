"""A real cluster of three nodes, used as its users do: by kubectl, helm and docker."""

import contextlib
import json
import os
import re
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from scripts import tools

ROOT = Path(__file__).parents[2]
NAME = "streamjob"

COMMAND_S = 180
WAIT_S = 120
_POLL_S = 0.2
_NAMESPACE_S = 90

# How much of a failing test's cluster is shown.
_LINES = 40
_PODS_WITH_LOGS = 6
_OUR_NAMESPACES = ("--all-namespaces", "--field-selector=metadata.namespace!=kube-system")

_Value = TypeVar("_Value")
Object = dict[str, Any]


class CommandFailed(AssertionError):
    """A command ended with an error; the text says which, and what it said."""


def run(*command: str, kubeconfig: Path | None = None, stdin: str | None = None, seconds: float = COMMAND_S) -> str:
    """What a command prints; the project's own tools come before the machine's."""
    environ = os.environ | {"PATH": path()} | ({"KUBECONFIG": str(kubeconfig)} if kubeconfig else {})
    done = subprocess.run(
        command, env=environ, input=stdin, capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode != 0:
        raise CommandFailed(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip() or done.stdout}")
    return done.stdout


def path() -> str:
    """Where commands are looked for."""
    return tools.path()


class Cluster:
    """A running cluster. Each command has a bound on its time, and a failed one raises CommandFailed."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        return run("kubectl", *args, kubeconfig=self.kubeconfig, stdin=stdin)

    def helm(self, *args: str) -> str:
        return run("helm", *args, kubeconfig=self.kubeconfig)

    def docker(self, *args: str) -> str:
        return run("docker", *args)

    def load_image(self, name: str) -> None:
        """Give the workers an image of the Docker engine; quick where they have it already."""
        run("kind", "load", "docker-image", "--name", NAME, "--nodes", ",".join(self.workers()), name)

    def workers(self) -> list[str]:
        """The names of the nodes that run pods."""
        return [f"{NAME}-worker", f"{NAME}-worker2"]

    @contextmanager
    def namespace(self) -> Iterator[str]:
        """A namespace of its own, under the `restricted` Pod Security level; gone afterwards with all that is in it."""
        name = f"test-{secrets.token_hex(4)}"
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}))
        try:
            yield name
        except Exception as err:
            err.add_note(self.diagnosis(name))
            raise
        finally:
            self._remove_namespace(name)

    def _remove_namespace(self, name: str) -> None:
        try:
            self.kubectl("delete", "namespace", name, f"--timeout={_NAMESPACE_S}s")
        except CommandFailed:
            # Nobody is left to finish its jobs: the test has ended their operator.
            for job in self.kubectl("get", "streamjobs", "-n", name, "-o", "name").split():
                self.kubectl("patch", job, "-n", name, "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
            self.kubectl("wait", "--for=delete", f"namespace/{name}", f"--timeout={_NAMESPACE_S}s")

    def wait(self, happened: Callable[[], _Value], timeout: float = WAIT_S, what: str = "it") -> _Value:
        """Ask until the answer is true, and give it; an AssertionError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            answer = happened()
            if answer:
                return answer
            assert time.monotonic() < deadline, f"{what} did not happen within {timeout} s; the last answer: {answer!r}"
            time.sleep(_POLL_S)

    def wait_for_answer(self, ask: Callable[[], _Value], timeout: float = WAIT_S) -> _Value:
        """Do it again until it does not raise CommandFailed, and give what it says; the last error after `timeout`."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return ask()
            except CommandFailed:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_POLL_S)

    def apply(self, manifests: str, namespace: str | None = None) -> None:
        """`kubectl apply` of YAML or JSON."""
        self.kubectl("apply", "-f", "-", *_within(namespace), stdin=manifests)

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object:
        """One object as the API server has it."""
        return dict(json.loads(self.kubectl("get", kind, name, *_within(namespace), "-o", "json")))

    def find(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """One object, or None if there is none."""
        found = self.kubectl("get", kind, name, *_within(namespace), "-o", "json", "--ignore-not-found")
        return json.loads(found) if found else None

    def objects(self, kind: str, namespace: str, selector: str = "") -> list[Object]:
        """The objects of a kind in a namespace, of those labels."""
        found = self.kubectl("get", kind, *_within(namespace), "-l", selector, "-o", "json")
        return list(json.loads(found)["items"])

    def logs(self, pod: str, namespace: str, *args: str) -> str:
        """What a pod has printed; more arguments as in `kubectl logs`."""
        return self.kubectl("logs", pod, *_within(namespace), *args)

    def exec(self, pod: str, namespace: str, *command: str) -> str:
        """What a command in a pod prints."""
        return self.kubectl("exec", pod, *_within(namespace), "--", *command)

    def node_of(self, pod: str, namespace: str) -> str:
        """The node that a pod was given."""
        return str(self.get("pod", pod, namespace)["spec"]["nodeName"])

    def is_ready(self, kind: str, name: str, namespace: str | None = None) -> bool:
        """Whether an object's condition Ready is True."""
        found = self.find(kind, name, namespace) or {}
        conditions = found.get("status", {}).get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def pause_node(self, node: str) -> None:
        """Freeze a node: nothing on it runs, and nothing there answers."""
        self.docker("pause", node)

    def unpause_node(self, node: str) -> None:
        """Let a frozen node go on."""
        self.docker("unpause", node)

    def unpause_all_nodes(self) -> None:
        """Let all frozen nodes go on, and wait until the cluster has them back."""
        label = f"label=io.x-k8s.kind.cluster={NAME}"
        frozen = self.docker("ps", "-q", "--filter", "status=paused", "--filter", label).split()
        if frozen:
            self.docker("unpause", *frozen)
            self.kubectl("wait", "--for=condition=Ready", "nodes", "--all", f"--timeout={WAIT_S}s")

    def kill_in_pod(self, pod: str, namespace: str, signal: str = "KILL") -> None:
        """Send a signal to the first process of a pod's first container: as the node's kernel would, unannounced."""
        self.kill(*self.process_of(pod, namespace), signal)

    def kill(self, node: str, pid: str, signal: str = "KILL") -> None:
        """Send a signal to a process of a node."""
        self.docker("exec", node, "kill", "-s", signal, pid)

    def process_of(self, pod: str, namespace: str, container: str | None = None) -> tuple[str, str]:
        """The node on which a pod's container runs (None: the first one), and there the id of its first process."""
        found = self.get("pod", pod, namespace)
        status = next(s for s in found["status"]["containerStatuses"] if container in (None, s["name"]))
        container = status["containerID"].removeprefix("containerd://")
        node = found["spec"]["nodeName"]
        tasks = self.docker("exec", node, "ctr", "--namespace", "k8s.io", "tasks", "ls")
        pid = re.search(rf"^{container}\s+(\d+)", tasks, re.MULTILINE)
        assert pid, f"the container {container} does not run on {node}"
        return str(node), pid[1]

    def runs(self, node: str, pid: str) -> bool:
        """Whether there is still that process on a node."""
        try:
            self.docker("exec", node, "kill", "-0", pid)
        except CommandFailed:
            return False
        return True

    @contextmanager
    def port_forward(self, target: str, port: int, namespace: str) -> Iterator[int]:
        """A port of 127.0.0.1 that leads to a port of `pod/…` or `svc/…`."""
        command = ["kubectl", "port-forward", target, f":{port}", *_within(namespace)]
        environ = os.environ | {"PATH": path(), "KUBECONFIG": str(self.kubeconfig)}
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        impatience = threading.Timer(WAIT_S, process.kill)
        impatience.start()
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            impatience.cancel()
            found = re.match(r"Forwarding from 127\.0\.0\.1:(\d+) ", first)
            if not found:
                raise CommandFailed(f"{' '.join(command)}: {first}")
            yield int(found[1])
        finally:
            impatience.cancel()
            process.kill()
            process.communicate()

    def diagnosis(self, namespace: str | None = None) -> str:
        """What a person would look at first: pods, jobs, events, the last logs of operators and runtimes.

        Of one namespace, or of all but Kubernetes' own; operators may be anywhere.
        """
        where = ("--namespace", namespace) if namespace else _OUR_NAMESPACES
        pods = [*self._pods("streamjob-operator", _OUR_NAMESPACES), *self._pods("streamjob-runtime", where)]
        looks = [
            ("get", "pods", *where, "-o", "wide"),
            ("get", "streamjobs", *where, "-o", "wide"),
            ("get", "events", *where, "--sort-by=.lastTimestamp"),
            *(("logs", *pod, f"--tail={_LINES}") for pod in pods[:_PODS_WITH_LOGS]),
        ]
        return "\n".join(self._look(*look) for look in looks)

    def _pods(self, app: str, where: Sequence[str]) -> list[Sequence[str]]:
        """How kubectl is told of the pods of an application, the newest first."""
        look = ("get", "pods", *where, "-l", f"app.kubernetes.io/name={app}", "--sort-by=.metadata.creationTimestamp")
        with contextlib.suppress(CommandFailed, subprocess.TimeoutExpired):
            found = [pod["metadata"] for pod in json.loads(self.kubectl(*look, "-o", "json"))["items"]]
            return [(pod["name"], "--namespace", pod["namespace"]) for pod in reversed(found)]
        return []

    def _look(self, *args: str) -> str:
        try:
            lines = self.kubectl(*args).splitlines()
        except (CommandFailed, subprocess.TimeoutExpired) as err:
            lines = [str(err)]
        return "\n".join([f"$ kubectl {' '.join(args)}", *lines[-_LINES:]])


def _within(namespace: str | None) -> list[str]:
    return ["--namespace", namespace] if namespace else []
