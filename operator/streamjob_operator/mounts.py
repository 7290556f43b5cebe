"""Why a pod that has a node does not start: only the kubelet's Events say that of volumes."""

import re
from collections.abc import Iterable

from streamjob_operator.model import Tree, Waiting

MANIFEST_MISSING = "ManifestMissing"
_MISSING = re.compile(r'(secret|configmap) "([^"]+)" not found')


def waiting_for(events: Iterable[Tree], namespace: str, manifest: str) -> Waiting | None:
    """What the newest warning among a pod's Events means, in the user's words; None: there is none.

    `manifest`: the ConfigMap that the operator itself has made for the pod.
    """
    warnings = [e for e in events if e.get("type") == "Warning"]
    if not warnings:
        return None
    newest = max(warnings, key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "")
    text = newest.get("message") or ""
    found = _MISSING.search(text)
    if found and found.groups() == ("configmap", manifest):
        return Waiting(MANIFEST_MISSING, f'ConfigMap "{manifest}" with the manifest was deleted; it is made again')
    if found:
        kind = "Secret" if found[1] == "secret" else "ConfigMap"
        return Waiting(
            f"{kind}Missing",
            f'{kind} "{found[2]}" is missing: create it in namespace "{namespace}"; the pod starts by itself then',
        )
    return Waiting(newest.get("reason") or "Waiting", text)
