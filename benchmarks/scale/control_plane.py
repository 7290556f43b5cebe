"""A Kubernetes control plane of its own on loopback, with simulated nodes: no container, no kubelet, nothing shared."""

import contextlib
import ipaddress
import json
import os
import secrets
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ports import free_port
from scripts import tools

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TOOLS = ("kubernetes", "etcd", "kwok")
"""What `python -m scripts.tools` installs for this."""

# Who speaks to the API server, and with which rights. `user` stands for whoever applies resources with kubectl.
USERS = {
    "user": "system:masters",
    "kwok": "system:masters",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
    "streamjob-operator": "",
}
# Loopback, so that no packet for a pod that does not exist leaves this machine.
POD_NETWORK = ipaddress.ip_network("127.64.0.0/10")
_STARTS_WITHIN_S = 60.0
_ENDS_WITHIN_S = 20.0


class CannotRun(Exception):
    """Why there is no control plane, in a sentence for the user."""


@dataclass(frozen=True)
class ControlPlane:
    """One that runs."""

    folder: Path
    url: str
    ca: Path
    audit: Path
    tokens: dict[str, str]
    pids: dict[str, int]

    def kubeconfig(self, user: str) -> Path:
        """A kubeconfig for one of the users."""
        path = self.folder / f"{user.removeprefix('system:')}.kubeconfig"
        tree = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "scale", "cluster": {"server": self.url, "certificate-authority": str(self.ca)}},
            ],
            "users": [{"name": user, "user": {"token": self.tokens[user]}}],
            "contexts": [{"name": "scale", "context": {"cluster": "scale", "user": user}}],
            "current-context": "scale",
        }
        path.write_text(json.dumps(tree))
        return path


def missing() -> list[str]:
    """The tools that are not there."""
    return [name for name in TOOLS if not tools.is_there(name)]


@contextlib.contextmanager
def running() -> Iterator[ControlPlane]:
    """Start everything in a temporary folder; end it, by process id, when the context ends. Raises `CannotRun`."""
    if missing():
        raise CannotRun(f"{', '.join(missing())} cannot be found; `make bench-scale` installs what it needs")
    with tempfile.TemporaryDirectory(prefix="streamjob-scale-") as name, contextlib.ExitStack() as processes:
        folder = Path(name)
        plane = _ControlPlaneMaker(folder, processes)
        yield plane.make()


class _ControlPlaneMaker:
    def __init__(self, folder: Path, processes: contextlib.ExitStack) -> None:
        self._folder = folder
        self._processes = processes
        self._pids: dict[str, int] = {}

    def make(self) -> ControlPlane:
        etcd, port = f"http://127.0.0.1:{free_port()}", free_port()
        plane = ControlPlane(
            folder=self._folder,
            url=f"https://127.0.0.1:{port}",
            ca=self._folder / "pki" / "apiserver.crt",
            audit=self._folder / "audit.log",
            tokens={user: secrets.token_hex(16) for user in USERS},
            pids=self._pids,
        )
        self._start_etcd(etcd)
        self._start_api_server(plane, etcd, port)
        self._start_controllers(plane)
        self._start_kwok(plane)
        return plane

    def _start_etcd(self, url: str) -> None:
        peer = f"http://127.0.0.1:{free_port()}"
        flags = {
            "data-dir": self._folder / "etcd",
            "listen-client-urls": url,
            "advertise-client-urls": url,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
        }
        self._start(tools.program("etcd"), flags)

    def _start_api_server(self, plane: ControlPlane, etcd: str, port: int) -> None:
        pki = self._folder / "pki"
        subprocess.run(
            [
                tools.program("kubeadm"),
                "init",
                "phase",
                "certs",
                "sa",
                "--cert-dir",
                pki,
                "--kubernetes-version",
                "v1.34.0",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        users = self._folder / "tokens.csv"
        users.write_text("".join(f'{plane.tokens[user]},{user},{user},"{group}"\n' for user, group in USERS.items()))
        users.chmod(0o600)
        flags = {
            "etcd-servers": etcd,
            "bind-address": "127.0.0.1",
            "advertise-address": "127.0.0.1",
            # The Service `kubernetes` may not point to loopback, and nobody needs it here.
            "endpoint-reconciler-type": "none",
            "secure-port": port,
            "cert-dir": pki,  # it signs a certificate for itself
            "token-auth-file": users,
            "authorization-mode": "RBAC",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": pki / "sa.pub",
            "service-account-signing-key-file": pki / "sa.key",
            "service-cluster-ip-range": "10.96.0.0/16",
            "audit-policy-file": HERE / "audit-policy.yaml",
            "audit-log-path": plane.audit,
        }
        program = self._start(tools.program("kube-apiserver"), flags)
        self._wait_for(program, lambda: plane.ca.exists() and _answers(plane))

    def _start_controllers(self, plane: ControlPlane) -> None:
        """Controllers and scheduler, with their own rate limits: those of every cluster that nobody has tuned."""
        pki = self._folder / "pki"
        flags: dict[str, object] = {
            "kubeconfig": plane.kubeconfig("system:kube-controller-manager"),
            "leader-elect": "false",
            "secure-port": 0,
            "use-service-account-credentials": "true",
            "service-account-private-key-file": pki / "sa.key",
            "root-ca-file": plane.ca,
        }
        self._start(tools.program("kube-controller-manager"), flags)
        flags = {"kubeconfig": plane.kubeconfig("system:kube-scheduler"), "leader-elect": "false", "secure-port": 0}
        self._start(tools.program("kube-scheduler"), flags)

    def _start_kwok(self, plane: ControlPlane) -> None:
        flags: dict[str, object] = {
            "kubeconfig": plane.kubeconfig("kwok"),
            "config": HERE / "stages.yaml",
            "manage-all-nodes": "true",
            "node-lease-duration-seconds": 40,
            "cidr": POD_NETWORK,
        }
        self._start(tools.program("kwok"), flags)

    def _start(self, program: Path, flags: dict[str, object]) -> "_Program":
        log = (self._folder / f"{program.name}.log").open("wb")
        self._processes.callback(log.close)
        command = [str(program), *(f"--{name}={value}" for name, value in flags.items())]
        environ = {**os.environ, "HOME": str(self._folder)}
        popen = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=self._folder, env=environ)
        self._processes.callback(end, popen)
        self._pids[program.name] = popen.pid
        return _Program(program.name, popen, Path(log.name))

    def _wait_for(self, program: "_Program", happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while not happened():
            if program.popen.poll() is not None or time.monotonic() > deadline:
                last = "\n".join(program.log.read_text(errors="replace").splitlines()[-20:])
                raise CannotRun(f"{program.name} did not start:\n{last}")
            time.sleep(0.1)


@dataclass(frozen=True)
class _Program:
    name: str
    popen: subprocess.Popen[bytes]
    log: Path


def _answers(plane: ControlPlane) -> bool:
    request = urllib.request.Request(f"{plane.url}/readyz", headers={"Authorization": f"Bearer {plane.tokens['user']}"})
    try:
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=plane.ca), timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def end(popen: subprocess.Popen[bytes]) -> None:
    """End a process that was started here, in peace where it can."""
    popen.terminate()
    try:
        popen.wait(_ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        popen.kill()
        popen.wait()
