"""All that happened to the pods of a namespace, seen by a watch."""

import json
import os
import subprocess
import threading
from collections import defaultdict
from types import TracebackType
from typing import Self

from streamjob_api import names
from support.cluster import Cluster, Object, path


class PodHistory:
    """Watches while its block lasts."""

    def __init__(self, cluster: Cluster, namespace: str, job: str) -> None:
        selector = f"{names.LABEL_JOB}={job},{names.LABEL_ROLE}={names.ROLE_RUNTIME}"
        command = ["kubectl", "get", "pods", "-n", namespace, "-l", selector, "--watch", "--output-watch-events"]
        environ = os.environ | {"PATH": path(), "KUBECONFIG": str(cluster.kubeconfig)}
        self._process = subprocess.Popen([*command, "-o", "json"], env=environ, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._read)
        self._live: set[str] = set()  # uids of pods whose processes may run
        self.most_live = 0
        self.uids: dict[str, set[str]] = defaultdict(set)  # of all pods that ever had a name

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()

    def never_two(self) -> bool:
        """Whether there was never more than one live runtime, and no attempt was made twice."""
        return self.most_live <= 1 and all(len(uids) == 1 for uids in self.uids.values())

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as events:
            for line in events:
                self._take(json.loads(line))

    def _take(self, event: Object) -> None:
        pod = event["object"]
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        self.uids[name].add(uid)
        if event["type"] == "DELETED" or _has_ended(pod):
            self._live.discard(uid)
        else:
            self._live.add(uid)
            self.most_live = max(self.most_live, len(self._live))


def _has_ended(pod: Object) -> bool:
    status = pod.get("status", {})
    states = [each.get("state", {}) for each in status.get("containerStatuses", ())]
    return status.get("phase") in ("Failed", "Succeeded") or any("terminated" in state for state in states)
