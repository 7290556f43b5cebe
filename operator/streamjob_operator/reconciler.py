"""One look at one job: observe, decide, act, write the status, tell. The same whatever happened."""

import secrets
from collections.abc import Callable
from dataclasses import replace

from streamjob_api.names import ROLE_RUNTIME
from streamjob_operator.apply import DELETION, Applier, Hook
from streamjob_operator.cluster import ApiError, Cluster, NamespaceEnds, NotFound
from streamjob_operator.events import event
from streamjob_operator.memory import Statuses, sealed
from streamjob_operator.metrics import Metrics
from streamjob_operator.model import CreatePod, Job, Key, News, Observed, Plan, RemoveFinalizer, Tree
from streamjob_operator.observe import Observer
from streamjob_operator.plan import plan
from streamjob_operator.progress import Progresses
from streamjob_operator.state import State
from streamjob_operator.store import Store

Say = Callable[..., None]  # (level, message, **fields)


class Reconciler:
    """Leads jobs to where their specs want them. `hook` hears the name of each step that is done, for fault tests."""

    def __init__(
        self,
        store: Store,
        cluster: Cluster,
        observer: Observer,
        applier: Applier,
        progresses: Progresses,
        statuses: Statuses,
        metrics: Metrics,
        now: Callable[[], float],
        say: Say,
        instance: str,
        hook: Hook,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._observer = observer
        self._applier = applier
        self._progresses = progresses
        self._statuses = statuses
        self._metrics = metrics
        self._now = now
        self._say = say
        self._instance = instance
        self._hook = hook

    async def reconcile(self, key: Key) -> float | None:
        """Look at the job once; in how many seconds to look again, if nothing happens. Raises `ApiError`."""
        seen = await self._observer.observe(key, self._now())
        if seen is None:
            self._progresses.follow(key, None)
            return None
        observed, tree = seen
        self._hook("Observed")
        try:
            return await self._carry_out(plan(observed), observed, tree)
        except NotFound:
            # The job itself, or its namespace; the watch is about to say so, or has missed it.
            self._store.drop_job(tree)
            return None
        except NamespaceEnds:
            # Nothing can be made here any more; what is left to do is to let go.
            again = plan(replace(observed, namespace_ends=True))
            lets_go = tuple(action for action in again.actions if isinstance(action, RemoveFinalizer))
            return await self._carry_out(replace(again, actions=lets_go, news=()), observed, tree)

    async def _carry_out(self, decided: Plan, observed: Observed, tree: Tree) -> float | None:
        job = observed.job
        tree, refused = await self._applier.apply(job, tree, decided.actions)
        if refused:
            # Too small a quota, too strict a policy: the user must hear of it. Otherwise it is the same plan again.
            decided = plan(replace(observed, refused={role: str(refusal) for role, refusal in refused.items()}))
        if decided.told_later:
            # When many jobs are applied at once, all their pods come before what there is to say of them.
            return 0.0
        gone = not refused and any(isinstance(action, RemoveFinalizer) for action in decided.actions)
        status = sealed(decided.status)
        if not gone and status != (tree.get("status") or {}):
            await self._write_status(job, tree, status)
            self._hook("StatusWritten")
        self._follow_progress(job, observed, decided)
        self._count(job.status, decided.status)
        for news in decided.news:
            await self._tell(job, news)
        for what in (ROLE_RUNTIME, DELETION):
            if what in refused:
                raise refused[what]  # the next try may go through; the tries of helpers are the plan's own
        # Nobody tells of a pod that was just made: the store has it from its maker.
        made = any(isinstance(action, CreatePod) for action in decided.actions)
        return 0.0 if made else decided.again_in

    async def _write_status(self, job: Job, tree: Tree, status: Tree) -> None:
        if (tree.get("status") or {}) != job.status:
            self._say("warning", "somebody has changed the status; it is written as it was", job=str(job.key))
        self._statuses.writes(job.key, job.uid, status)
        written = await self._cluster.write_status({**tree, "status": status})
        self._statuses.wrote(job.key, written)
        self._store.put_job(written)

    def _follow_progress(self, job: Job, observed: Observed, decided: Plan) -> None:
        state = State.read(decided.status)
        pods = (p for p in observed.pods if p.attempt == state.attempt and p.attempt and state.alive)
        self._progresses.follow(job.key, next(pods, None))

    def _count(self, before: Tree, after: Tree) -> None:
        for kind in ("application", "infrastructure"):
            had = (before.get("failures") or {}).get(kind, 0)
            has = (after.get("failures") or {}).get(kind, 0)
            if has > had:
                self._metrics.restarts.labels(kind).inc(has - had)

    async def _tell(self, job: Job, news: News) -> None:
        self._say("warning" if news.warning else "info", news.message, job=str(job.key), reason=news.reason)
        body = event(job, news, self._now(), secrets.token_hex(8), self._instance)
        try:
            await self._cluster.create_event(job.key, body)
        except (NotFound, NamespaceEnds):
            pass  # the namespace is gone, and with it whoever would read this
        except ApiError as error:
            # An Event is news, not state: what it says stands in the status too.
            self._say("warning", f"an Event could not be posted: {error}", job=str(job.key))
