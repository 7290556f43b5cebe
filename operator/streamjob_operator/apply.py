"""Carries out the actions of a plan. Each is safe to repeat: whoever was here before has done the same."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from streamjob_api.names import FINALIZER, ROLE_RUNTIME
from streamjob_operator.cluster import Cluster, Conflict, NotFound, Refused
from streamjob_operator.manifests import Images, config_map, config_name, network_policy, pod, pod_name
from streamjob_operator.model import (
    Action,
    AddFinalizer,
    CreatePod,
    DeleteConfig,
    DeletePod,
    EndSidecars,
    Job,
    RemoveFinalizer,
    RestoreConfig,
    Revision,
    Tree,
)
from streamjob_operator.revision import NotWhatItSays, from_data
from streamjob_operator.store import Store, controller_of, job_of

Hook = Callable[[str], None]

DELETION = "deletion"  # beside the roles of pods: something was to be deleted


class Applier:
    """Writes what was decided to the cluster, and what comes back to the store.

    `peers`: who may reach the runtimes, as in the `from` of a NetworkPolicy; None: no policy is made. `hook` hears the
    name of each step that is done.
    """

    def __init__(
        self, cluster: Cluster, store: Store, images: Images, peers: Sequence[Tree] | None, hook: Hook
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._images = images
        self._policy = None if peers is None else network_policy(peers)
        self._guarded: set[str] = set()  # namespaces whose policy this operator has made sure of
        self._hook = hook

    async def apply(self, job: Job, tree: Tree, actions: tuple[Action, ...]) -> tuple[Tree, dict[str, Refused]]:
        """Carry the actions out in order; the job as it is then, and what was refused: by role the pods, or `DELETION`.

        One pod that is refused keeps no other from being made, nor does what may not be deleted. Raises `ApiError` at
        the first other thing that fails.
        """
        refused: dict[str, Refused] = {}
        for action in actions:
            try:
                tree = await self._one(job, tree, action)
            except Refused as refusal:
                match action:
                    case CreatePod():
                        refused[action.role] = refusal
                    case DeletePod() | DeleteConfig() | EndSidecars():
                        refused[DELETION] = refusal
                    case _:
                        # What comes before a pod was refused, and the pod with it.
                        refused[ROLE_RUNTIME] = refusal
                        break
            else:
                self._hook(type(action).__name__)
        return tree, refused

    async def _one(self, job: Job, tree: Tree, action: Action) -> Tree:
        match action:
            case AddFinalizer():
                return await self._finalizers(job, tree, [*job.finalizers, FINALIZER])
            case RemoveFinalizer():
                return await self._finalizers(job, tree, [f for f in job.finalizers if f != FINALIZER])
            case CreatePod():
                await self._create_pod(job, action)
            case DeletePod():
                # Gone already, or another one has its name now.
                with suppress(NotFound, Conflict):
                    await self._cluster.delete_pod(job.key, action.name, action.uid, action.force)
            case EndSidecars():
                with suppress(NotFound, Conflict):
                    self._store.put_pod(await self._cluster.end_pod(job.key, action.name, action.uid))
            case RestoreConfig():
                await self._create_config(job, action.revision)
            case DeleteConfig():
                with suppress(NotFound):
                    await self._cluster.delete_config_map(job.key, config_name(job, action.revision))
                self._store.drop_config(job.key, action.revision)
        return tree

    async def _finalizers(self, job: Job, tree: Tree, finalizers: list[str]) -> Tree:
        version = tree["metadata"]["resourceVersion"]
        changed = await self._cluster.write_finalizers(job.key, version, finalizers)
        self._store.put_job(changed)
        return changed

    async def _create_config(self, job: Job, revision: Revision) -> None:
        try:
            await self._cluster.create_config_map(job.key, config_map(job, revision))
            self._hook("CreateConfig")
        except Conflict as conflict:
            # It is there already, or the server was too busy with a quota to make it.
            try:
                there = await self._cluster.read_config_map(job.key, config_name(job, revision.name))
            except NotFound:
                raise conflict from None
            _check_stays(there, job)
            _check_content(there, job, revision)

    async def _guard(self, namespace: str) -> None:
        """No pod is made where anybody could reach it who should not."""
        if self._policy is None or namespace in self._guarded:
            return
        await self._cluster.apply_network_policy(namespace, self._policy)
        self._guarded.add(namespace)

    async def _create_pod(self, job: Job, action: CreatePod) -> None:
        await self._guard(job.key.namespace)
        await self._create_config(job, action.revision)
        try:
            made = await self._cluster.create_pod(job.key, pod(job, action, self._images))
        except Conflict as conflict:
            try:
                made = await self._cluster.read_pod(job.key, pod_name(job, action))
            except NotFound:
                raise conflict from None  # it was going just then
            _check_owner(made, job)
        self._store.put_pod(made)


def _check_owner(pod: Tree, job: Job) -> None:
    """A pod that is there already is adopted only if it is this very job's."""
    if controller_of(pod) != job.uid:
        raise _not_ours("pod", pod)


def _check_stays(config: Tree, job: Job) -> None:
    """A ConfigMap that is there already serves only if it is about to stay."""
    metadata = config["metadata"]
    # What a job that was deleted with --cascade=orphan has left, nobody takes away.
    left = controller_of(config) is None and job_of(config) == job.key
    if not (left or controller_of(config) == job.uid) or "deletionTimestamp" in metadata:
        raise _not_ours("ConfigMap", config)


def _check_content(config: Tree, job: Job, revision: Revision) -> None:
    """And only if it holds what its name says: whoever can make ConfigMaps could have made it."""
    try:
        from_data(job.key, revision.name, config)
    except NotWhatItSays as wrong:
        name = config["metadata"]["name"]
        raise Refused(
            409, "NotWhatItSays", f"there is a ConfigMap {name} already that is not this revision's: {wrong}. Remove it"
        ) from None


def _not_ours(kind: str, tree: Tree) -> Refused:
    return Refused(
        409,
        "NotOurs",
        f"there is a {kind} {tree['metadata']['name']} already that does not belong to this job. If a deleted job of "
        "this name has left it, it is about to go; if not, remove it, or rename the job",
    )
