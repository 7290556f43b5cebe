"""The objects as the watches last showed them: what observation reads, so that reading costs the API server nothing."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from streamjob_api import names
from streamjob_operator.model import Key, Tree
from streamjob_operator.pods import attempt_of


class Store:
    """Jobs, their pods and what their runtimes last said. Used by one event loop, so it needs no lock."""

    def __init__(self) -> None:
        self._jobs: dict[Key, Tree] = {}
        self._pods: dict[Key, dict[str, Tree]] = defaultdict(dict)  # job -> pod's name -> pod
        self._configs: dict[Key, set[tuple[str, str]]] = defaultdict(set)  # job -> owner's uid, revision

    def put_job(self, tree: Tree) -> bool:
        """Keep the job, unless a newer one is there; whether it was news."""
        key = key_of(tree)
        known = self._jobs.get(key)
        if known is not None and not _newer(tree, known):
            return False
        self._jobs[key] = _slim(tree)
        return True

    def put_pod(self, tree: Tree) -> bool:
        """Keep the pod, unless a newer one is there; whether it was news."""
        job = job_of(tree)
        if job is None:
            return False
        pods, name = self._pods[job], tree["metadata"]["name"]
        if name in pods and not _newer(tree, pods[name]):
            return False
        pods[name] = _slim_pod(tree)
        return True

    def drop_job(self, tree: Tree) -> None:
        """The job is gone."""
        key = key_of(tree)
        if key in self._jobs and self._jobs[key]["metadata"]["uid"] == tree["metadata"]["uid"]:
            del self._jobs[key]

    def drop_pod(self, tree: Tree) -> None:
        """The pod is gone."""
        job, name = job_of(tree), tree["metadata"]["name"]
        pods = self._pods.get(job, {}) if job else {}
        if name in pods and pods[name]["metadata"]["uid"] == tree["metadata"]["uid"]:
            del pods[name]
            if not pods and job:
                del self._pods[job]

    def replace_pods(self, listed: Iterable[Tree], version: int, namespace: str | None) -> set[Key]:
        """Take over a list of all pods in a namespace (None: in all); the jobs whose pods were not as thought.

        A watch that had to begin anew never says what vanished meanwhile.
        """
        changed: set[Key] = set()
        uids: set[str] = set()
        for tree in listed:
            uids.add(tree["metadata"]["uid"])
            job = job_of(tree)
            if self.put_pod(tree) and job:
                changed.add(job)
        for job, pods in list(self._pods.items()):
            if namespace not in (None, job.namespace):
                continue
            for tree in list(pods.values()):
                if tree["metadata"]["uid"] not in uids and _version(tree) <= version:
                    self.drop_pod(tree)
                    changed.add(job)
        return changed

    def replace_jobs(self, listed: Iterable[Tree], version: int, namespace: str | None) -> None:
        """Take over a list of all jobs in a namespace (None: in all)."""
        uids: set[str] = set()
        for tree in listed:
            uids.add(tree["metadata"]["uid"])
            self.put_job(tree)
        for key, tree in self.jobs():
            gone = tree["metadata"]["uid"] not in uids and _version(tree) <= version
            if namespace in (None, key.namespace) and gone:
                self.drop_job(tree)

    def replace_configs(self, listed: Iterable[Tree], namespace: str | None) -> None:
        """Take over a list of all ConfigMaps of jobs in a namespace (None: in all)."""
        for key in [key for key in self._configs if namespace in (None, key.namespace)]:
            del self._configs[key]
        for tree in listed:
            job, owner = job_of(tree), controller_of(tree)
            revision = tree["metadata"]["labels"].get(names.LABEL_REVISION)
            if job and owner and revision:
                self._configs[job].add((owner, revision))

    def drop_config(self, key: Key, revision: str) -> None:
        """The ConfigMap is gone."""
        self._configs[key] = {each for each in self._configs.get(key, ()) if each[1] != revision}

    def configs(self, key: Key, uid: str) -> frozenset[str]:
        """The revisions of the ConfigMaps that are this very job's, as last listed."""
        return frozenset(revision for owner, revision in self._configs.get(key, ()) if owner == uid)

    def forget(self, namespace: str) -> list[Key]:
        """Nothing is known of the namespace any more; the jobs that were."""
        keys = [key for key in {*self._jobs, *self._pods, *self._configs} if key.namespace == namespace]
        for key in keys:
            self._jobs.pop(key, None)
            self._pods.pop(key, None)
            self._configs.pop(key, None)
        return keys

    def job(self, key: Key) -> Tree | None:
        """The job, as last seen."""
        return self._jobs.get(key)

    def pods(self, key: Key) -> tuple[Tree, ...]:
        """The pods of the job, and of those that had its name before, as last seen: `is_of` tells them apart."""
        return tuple(self._pods.get(key, {}).values())

    def has_finalizers(self, namespace: str) -> bool:
        """Whether a job in the namespace has the operator's finalizer."""
        return any(
            names.FINALIZER in (tree["metadata"].get("finalizers") or ())
            for key, tree in self._jobs.items()
            if key.namespace == namespace
        )

    def jobs(self) -> Iterator[tuple[Key, Tree]]:
        """All jobs."""
        return iter(list(self._jobs.items()))


def key_of(tree: Tree) -> Key:
    """Which job this is."""
    return Key(tree["metadata"]["namespace"], tree["metadata"]["name"])


def job_of(tree: Tree) -> Key | None:
    """Which job a pod or ConfigMap is of, by its label; None: of none."""
    name = (tree["metadata"].get("labels") or {}).get(names.LABEL_JOB)
    return Key(tree["metadata"]["namespace"], name) if name else None


def controller_of(tree: Tree) -> str | None:
    """The uid of the object that a pod or ConfigMap belongs to; None: to none."""
    owners = tree["metadata"].get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def is_of(pod: Tree, job: Tree) -> bool:
    """Whether a pod that has the job's name as its label is this very job's, and not one's that had the name before."""
    owner = controller_of(pod)
    if owner is not None:
        return bool(owner == job["metadata"]["uid"])
    # A job that is deleted with --cascade=orphan loses its pods first, perhaps before anybody sees that it is deleted,
    # and they still have to drain. What an earlier job has left so is older, or a number that this one has not reached.
    if pod["metadata"]["creationTimestamp"] < job["metadata"]["creationTimestamp"]:
        return False
    reached = (job.get("status") or {}).get("attempt", 0)
    return "deletionTimestamp" in job["metadata"] or 0 < attempt_of(pod) <= reached


def _newer(tree: Tree, known: Tree) -> bool:
    return tree["metadata"]["uid"] != known["metadata"]["uid"] or _version(tree) > _version(known)


def _version(tree: Tree) -> int:
    # From Kubernetes 1.35 on the order of resource versions is part of the API; every server before kept it as well.
    return int(tree["metadata"]["resourceVersion"])


def _slim(tree: Tree) -> Tree:
    """The object without what nobody reads and thousands of them would hold in memory."""
    metadata = {k: v for k, v in tree["metadata"].items() if k != "managedFields"}
    return {**tree, "metadata": metadata}


def _slim_pod(tree: Tree) -> Tree:
    """Of a pod's spec only the images are ever told to somebody."""
    containers = (tree.get("spec") or {}).get("containers") or ()
    images = [{"name": container.get("name"), "image": container.get("image")} for container in containers]
    return {**_slim(tree), "spec": {"containers": images}}
