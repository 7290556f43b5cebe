"""The operator's rights in a namespace that is being deleted: they must outlast the jobs in it.

Whoever deletes a namespace deletes its Roles too, perhaps first, and then nobody may take the finalizers off the jobs.
So the operator holds one RoleBinding by a finalizer, for as long as a job has its own. What that one binds is a
ClusterRole, which no namespace takes along.
"""

from collections.abc import Callable

from streamjob_operator.cluster import ApiError, Cluster
from streamjob_operator.store import Store


class Rights:
    """Holds that RoleBinding, or does nothing where there is none: without a name, as the rights are cluster-wide."""

    def __init__(self, cluster: Cluster, store: Store, name: str | None, say: Callable[..., None]) -> None:
        self._cluster = cluster
        self._store = store
        self._name = name
        self._say = say
        self._held: dict[str, bool] = {}
        self._told: set[str] = set()

    async def settle(self, namespace: str) -> None:
        """Hold the rights in the namespace if a job in it needs them at its end, else let them go."""
        needed = self._store.has_finalizers(namespace)
        if not self._name or self._held.get(namespace) is needed:
            return
        try:
            await self._cluster.hold_role_binding(namespace, self._name, needed)
        except ApiError as error:
            # No job needs it until its namespace is deleted; it is tried again with the next look.
            if namespace not in self._told:
                self._told.add(namespace)
                self._say("warning", f"if namespace {namespace} is deleted, its jobs will wait to be let go: {error}")
            return
        self._held[namespace] = needed
        self._told.discard(namespace)
