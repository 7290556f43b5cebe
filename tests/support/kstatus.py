"""How tools read a status that know nothing of StreamJobs: kstatus (Flux, Helm 4, kpt) and `kubectl wait`.

The rules are those of the pages "kstatus" of the project cli-utils and "kubectl wait" of Kubernetes.
"""

from collections.abc import Mapping
from typing import Any

Tree = Mapping[str, Any]


def kstatus(job: Tree) -> str:
    """Terminating, InProgress, Failed or Current, as kstatus says it of a kind that it has no rules for."""
    metadata, status = job["metadata"], job.get("status") or {}
    if "deletionTimestamp" in metadata:
        return "Terminating"
    if status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or ()}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "Current" if conditions.get("Ready", "True") == "True" else "InProgress"


def waits_no_more(job: Tree, kind: str) -> bool:
    """Whether `kubectl wait --for=condition=KIND` ends at once."""
    status = job.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition["type"] == kind:
            observed = condition.get("observedGeneration", status.get("observedGeneration"))
            return condition["status"] == "True" and (observed is None or observed >= job["metadata"]["generation"])
    return False
