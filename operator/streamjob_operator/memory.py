"""What this operator wrote into each job's status: the status is its memory, and what others write there is not.

An operator that starts knows only what it finds, and takes it as it is, as far as the pods agree.
"""

from streamjob_operator.model import Key, Tree


class Statuses:
    """The newest status of each job that is the operator's own."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[str, list[Tree]]] = {}  # the job's uid; what may have been written, oldest first

    def of(self, key: Key, tree: Tree) -> Tree:
        """The job's status, as far as the operator itself has written it."""
        uid, status = tree["metadata"]["uid"], tree.get("status") or {}
        known = self._known.get(key)
        if known is None or known[0] != uid:
            self._known[key] = (uid, [status])
            return status
        return status if status in known[1] else known[1][-1]

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
