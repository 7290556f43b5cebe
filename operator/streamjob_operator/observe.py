"""From what the watches showed to all that a decision rests on."""

import json
import random
from dataclasses import dataclass, replace

from streamjob_api import names, resource
from streamjob_api.variables import fill_tree
from streamjob_operator.cluster import Cluster, NotFound
from streamjob_operator.decision import revision_of
from streamjob_operator.manifests import config_name
from streamjob_operator.memory import Statuses
from streamjob_operator.model import Job, Key, Observed, Pod, Revision, Tree
from streamjob_operator.mounts import waiting_for
from streamjob_operator.plan import START_PATIENCE_S
from streamjob_operator.pods import attempt_of, is_starting, read_pod
from streamjob_operator.policy import Policy
from streamjob_operator.progress import Progresses
from streamjob_operator.revision import (
    NoCheckpointLocation,
    NotWhatItSays,
    default_location,
    from_data,
    named,
    render,
)
from streamjob_operator.state import State
from streamjob_operator.store import Store, is_of
from streamjob_operator.variables import Found, Variables, has_references

_AS_IT_IS = (
    "${…} is no variable in a spec without variablesFrom: name the ConfigMaps with the values there, or fill it "
    "before: streamjob render"
)


@dataclass(frozen=True, slots=True)
class _Read:
    """What was made of one generation of a spec, with the values that its variables had."""

    asked: tuple[str, int, str]  # by which uid, generation and request for a restart
    found: Found
    policy: Policy
    wanted: Revision | None
    problems: tuple[str, ...]
    unset: bool = False  # the problems are those of variables


class Observer:
    """Observes jobs. It remembers what was made of each spec, for as long as that is unchanged."""

    def __init__(
        self,
        store: Store,
        cluster: Cluster,
        progresses: Progresses,
        statuses: Statuses,
        variables: Variables,
        default_location: str | None,
        rng: random.Random,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._progresses = progresses
        self._statuses = statuses
        self._variables = variables
        self._default_location = default_location
        self._rng = rng
        self._read: dict[Key, _Read] = {}
        self._revisions: dict[Key, Revision] = {}

    async def observe(self, key: Key, now: float) -> tuple[Observed, Tree] | None:
        """The job and the tree it was read from; None: it is gone. Raises `ApiError`."""
        tree = self._store.job(key)
        if tree is None:
            self._read.pop(key, None)
            self._revisions.pop(key, None)
            self._statuses.forget(key)
            return None
        job = _job(key, tree, self._statuses.of(key, tree))
        read = await self._interpret(job, tree, now)
        wanted = read.wanted
        pods = [await self._pod(job, pod, now) for pod in self._store.pods(key) if is_of(pod, tree)]
        revision = revision_of(State.read(job.status), pods)
        wanted = wanted and named(revision, wanted)
        unchanged = wanted is not None and wanted.name == revision
        current, lost = (None, "") if unchanged or not revision else await self._revision(job, revision)
        observed = Observed(
            now=now,
            jitter=self._rng.random(),
            job=job,
            policy=read.policy,
            wanted=wanted,
            problems=read.problems,
            unset=read.unset,
            variables_due=read.found.due,
            current=current,
            lost=lost,
            pods=tuple(pods),
            progress=self._progresses.of(key),
            configs=self._store.configs(key, job.uid),
            taken=max((attempt_of(pod) for pod in self._store.pods(key)), default=0),
        )
        return observed, tree

    async def _interpret(self, job: Job, tree: Tree, now: float) -> _Read:
        known, asked = self._read.get(job.key), (job.uid, job.generation, job.restart_request)
        found, same = Found(), known is not None and known.asked == asked
        if has_references(job.spec):
            found = await self._variables.of(job.key, job.spec, now, anew=not same)
        if known is not None and same and known.found == found:
            read = replace(known, found=found)
        else:
            read = self._make(job, tree, asked, found)
        self._read[job.key] = read
        return read

    def _make(self, job: Job, tree: Tree, asked: tuple[str, int, str], found: Found) -> _Read:
        spec, unset = job.spec, found.problems
        if has_references(spec):
            spec, wrong = fill_tree(spec, found.filler(spec), ("spec",))
            unset = unset or tuple(map(str, wrong))
        if unset:
            return _Read(asked, found, Policy.of_broken(spec), None, unset, unset=True)
        checked, broken = resource.check({**tree, "spec": spec})
        problems, wanted = tuple(str(b) for b in broken), None
        if broken and spec is job.spec and "${" in json.dumps(spec):
            problems += (_AS_IT_IS,)
        if checked is not None:
            try:
                # By the model, so that a default which is written out, or which a newer CRD fills in, is no change.
                spec = checked.spec.model_dump(mode="json", exclude_defaults=True)
                # Where a job's checkpoints are is what the job is: another default must not make it begin anew.
                location = State.read(job.status).checkpoint_location
                wanted = render(job.key, spec, location or default_location(job.key, self._default_location))
            except NoCheckpointLocation as error:
                problems = (str(error),)
        policy = Policy.of(checked.spec) if checked else Policy.of_broken(spec)
        return _Read(asked, found, policy, wanted, problems)

    async def _pod(self, job: Job, tree: Tree, now: float) -> Pod:
        pod = read_pod(tree)
        if pod.waiting is None and is_starting(tree) and now - pod.created >= START_PATIENCE_S:
            events = await self._cluster.events_of(job.key, pod.uid)
            waiting = waiting_for(events, job.key.namespace, config_name(job, pod.revision))
            return pod.waits_for(waiting)
        return pod

    async def _revision(self, job: Job, name: str) -> tuple[Revision | None, str]:
        """A revision that ran before, from its ConfigMap; or why it is not known any more, in words."""
        known = self._revisions.get(job.key)
        if known and known.name == name:
            return known, ""
        where = config_name(job, name)
        try:
            revision = from_data(job.key, name, await self._cluster.read_config_map(job.key, where))
        except NotFound:
            return None, f"the ConfigMap {where}, with the manifest that ran last, was deleted"
        except NotWhatItSays as wrong:
            return None, f"the ConfigMap {where} does not hold the manifest that ran last: {wrong}"
        self._revisions[job.key] = revision
        return revision, ""


def _job(key: Key, tree: Tree, status: Tree) -> Job:
    metadata = tree["metadata"]
    return Job(
        key=key,
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=metadata["generation"],
        spec=tree["spec"],
        status=status,
        finalizers=tuple(metadata.get("finalizers") or ()),
        deleting="deletionTimestamp" in metadata,
        restart_request=(metadata.get("annotations") or {}).get(names.RESTART_ANNOTATION, ""),
    )
