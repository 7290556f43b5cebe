"""The operator as its users install it: by its chart."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from support.chart import CHART, CRD
from support.cluster import Cluster

_WAIT = ("--wait", "--timeout", "180s")


class OperatorRelease:
    """The operator of all namespaces. It stands on the first worker, so that the second may be lost."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace
        self._release = f"e2e-{secrets.token_hex(4)}"
        self._name = f"{self._release}-operator"

    def install(self) -> None:
        """`helm install`. The CRD is brought by kubectl: it may belong to another release of this cluster."""
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
        where = json.dumps({"kubernetes.io/hostname": self.cluster.workers()[0]})
        values = ["--set", "crds.install=false", "--set-json", f"nodeSelector={where}"]
        self.cluster.helm("install", self._release, str(CHART), "-n", self.namespace, *values, *_WAIT)

    def uninstall(self) -> None:
        """`helm uninstall`."""
        self.cluster.helm("uninstall", self._release, "-n", self.namespace, *_WAIT)

    def set_replicas(self, count: int) -> None:
        """`helm upgrade` to another number of replicas."""
        flags = ["--reuse-values", "--set", f"replicas={count}"]
        self.cluster.helm("upgrade", self._release, str(CHART), "-n", self.namespace, *flags, *_WAIT)

    @contextmanager
    def away(self) -> Iterator[None]:
        """No operator runs for as long as this lasts."""
        self._scale(0)
        try:
            self.cluster.wait(lambda: not self.pods(), what="the end of the operator")
            yield
        finally:
            self._scale(1)

    def pods(self) -> list[str]:
        """The names of its pods."""
        ours = f"app.kubernetes.io/instance={self._release},app.kubernetes.io/component=operator"
        return [pod["metadata"]["name"] for pod in self.cluster.objects("pods", self.namespace, ours)]

    def leader(self) -> str:
        """Who holds the Lease: the name of a pod, an underscore, and something of its process's own; "": nobody."""
        lease = self.cluster.get("lease", self._name, self.namespace)
        return str(lease["spec"].get("holderIdentity") or "")

    def _scale(self, count: int) -> None:
        self.cluster.kubectl("scale", f"deployment/{self._name}", "-n", self.namespace, f"--replicas={count}")
