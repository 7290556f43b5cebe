"""What operators wrote into each job's status: the status is their memory, and what others write there is not.

An operator that starts knows only what it finds, and takes it as it is, as far as the pods agree. Later it takes what
another operator has written, whom a digest tells from everybody else: two that serve the same jobs, which nobody should
have, would otherwise write each other's statuses over without end.
"""

import hashlib
import json
from typing import Any

from streamjob_operator.model import Key, Tree

DIGEST = "digest"


def sealed(status: Tree) -> dict[str, Any]:
    """The status with the digest of its other fields."""
    return {**status, DIGEST: _digest(status)}


def _digest(status: Tree) -> str:
    fields = {name: _plain(value) for name, value in status.items() if name != DIGEST}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    # The API server gives a number that is whole without its ".0".
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Statuses:
    """The newest status of each job that is the operator's own."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[str, list[Tree]]] = {}  # the job's uid; what may have been written, oldest first

    def of(self, key: Key, tree: Tree) -> Tree:
        """The job's status, as far as an operator has written it."""
        uid, status = tree["metadata"]["uid"], tree.get("status") or {}
        known = self._known.get(key)
        if known is None or known[0] != uid:
            self._known[key] = (uid, [status])
            return status
        if status in known[1]:
            return status
        if status.get(DIGEST) == _digest(status):
            self._known[key] = (uid, [status])
            return status
        return known[1][-1]

    def writes(self, key: Key, uid: str, status: Tree) -> None:
        """This is about to be written. The answer may be lost, so it may be there or not."""
        _, known = self._known.get(key, (uid, []))
        self._known[key] = (uid, [status, *known])

    def wrote(self, key: Key, tree: Tree) -> None:
        """The job as the API server has it after a write."""
        self._known[key] = (tree["metadata"]["uid"], [tree.get("status") or {}])

    def forget(self, key: Key) -> None:
        """The job is gone."""
        self._known.pop(key, None)
