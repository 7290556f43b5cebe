"""What to do about a job: a pure function from what is observed to actions, the next status and the news.

Called again and again with what is there then, it leads from any state to the wanted one, and after that does nothing.
It never starts an attempt while another one may be alive. That keeps the output in order; that it stays right even if
two are alive is the work of the runtime's log.
"""

from dataclasses import replace

from streamjob_api.names import FINALIZER, ROLE_CHECK, ROLE_RUNTIME, Phase
from streamjob_operator import failures
from streamjob_operator.backoff import delay_after
from streamjob_operator.checks import follow_spec
from streamjob_operator.conditions import SLOW, is_slow, status_of
from streamjob_operator.decision import Decision, is_unasked
from streamjob_operator.deletion import delete_job
from streamjob_operator.failures import Failure, Kind
from streamjob_operator.manifests import runtime_name
from streamjob_operator.model import (
    AddFinalizer,
    CreatePod,
    DeleteConfig,
    DeletePod,
    EndSidecars,
    Observed,
    Plan,
    Pod,
    RestoreConfig,
)
from streamjob_operator.mounts import MANIFEST_MISSING
from streamjob_operator.state import State

# A pod that has not begun to run after the first of these times is looked at for why, and again after the second.
START_PATIENCE_S = 5.0
WAITING_LOOK_S = 10.0


def plan(observed: Observed) -> Plan:
    """What to do now."""
    return _Planner(observed).plan()


class _Planner(Decision):
    def plan(self) -> Plan:
        self._account_for_end()
        self._forget_failures()
        self._look_at_waiting_pods()
        if self.o.job.deleting:
            delete_job(self)
        else:
            self._run_job()
        if self.o.variables_due is not None:
            self.wakes.append(self.o.variables_due)
        self._remember_location()
        self._restore_configs()
        self._sweep()
        if self.s.attempt > self.before.attempt:
            pod = runtime_name(self.o.job, self.s.attempt)
            self.tell("Started", f"Attempt {self.s.attempt} was started: pod {pod}")
        status = status_of(self.o, self.s, self.pod)
        if status["phase"] == Phase.SUSPENDED and self.o.job.status.get("phase") != Phase.SUSPENDED:
            self.tell("Suspended", "The job has drained; spec.suspend: false lets it go on from its checkpoint")
        if is_slow(status) and not is_slow(self.o.job.status) and self.o.progress and self.o.progress.slow:
            self.tell(SLOW, self.o.progress.slow, warning=True)
        due = min(self.wakes, default=None)
        again = None if due is None else max(0.0, due - self.o.now)
        # What keeps the job running comes before what only looks at a change, or at what is left.
        actions = sorted(self.actions, key=lambda a: isinstance(a, CreatePod) and a.role != ROLE_RUNTIME)
        return Plan(status, tuple(actions), tuple(self.news), again, self._begins())

    def _begins(self) -> bool:
        """Whether this makes a job's first pod, of which the status has nothing to say that the pod does not show."""
        makes_pod = any(isinstance(action, CreatePod) for action in self.actions)
        return makes_pod and self.before == State() and not self.o.job.restart_request

    def _remember_location(self) -> None:
        """Where the checkpoints are, also when the status was not written as the attempt was started."""
        s, wanted = self.s, self.o.wanted
        if s.alive and not s.checkpoint_location and wanted and wanted.name == s.revision:
            self.s = replace(s, checkpoint_location=wanted.spec["checkpoint"]["location"])

    # --- how the present attempt fares

    def _account_for_end(self) -> None:
        """If the newest attempt has ended, say so once, and decide when the next one may start."""
        s, pod = self.s, self.pod
        if not s.alive:
            return
        failure = self._end_of(pod)
        if failure is None:
            return
        asked = s.draining is not None and s.draining.attempt == s.attempt
        self.s = replace(s, ended_attempt=s.attempt, draining=None)
        if not asked and not self.o.job.deleting:
            self._react_to(failure)

    def _end_of(self, pod: Pod | None) -> Failure | None:
        now = self.o.now
        if pod is None:
            return failures.vanished(now)
        if pod.ended is not None:
            # Whoever deletes a pod makes its process end: that is no failure of the process.
            if pod.deleting_until is not None:
                return failures.deleted(pod, now)
            return failures.judge(pod, pod.ended, self.o.policy.memory_limit)
        return failures.node_lost(pod, now) if self.force_out_if_lost(pod) else None

    def _react_to(self, failure: Failure) -> None:
        kind, now, policy = failure.kind, self.o.now, self.o.policy.restart
        if kind is Kind.COMPLETED and not self.o.policy.available_now:
            kind = Kind.INFRASTRUCTURE  # the spec has changed meanwhile, or somebody has stopped it
        if kind is Kind.COMPLETED:
            self.conclude("Completed", "Completed", failure.message)
            return
        if failure.reason == failures.CREDENTIALS_REFUSED and self._may_be_rotated():
            kind = Kind.APPLICATION
        self.remember(failure)
        s = self.s
        if kind is Kind.APPLICATION:
            s = replace(s, application_failures=s.application_failures + 1)
        elif kind is Kind.INFRASTRUCTURE:
            s = replace(s, infrastructure_failures=s.infrastructure_failures + 1)
        self.s = s
        if kind is Kind.FATAL:
            self.conclude("Failed", failure.reason, failure.message)
        elif s.application_failures > policy.max_failures:
            message = f"it failed {s.application_failures} times in a row; the last time: {failure.message}"
            self.conclude("Failed", "TooManyFailures", message)
        else:
            delay = delay_after(policy, s.application_failures, s.infrastructure_failures, self.o.jitter)
            self.s = replace(s, next_start=now + delay if delay else None)
            self.tell(failure.reason, f"Attempt {s.attempt} ended: {failure.message}", warning=True)

    def _may_be_rotated(self) -> bool:
        """Whether credentials that a system refuses may be about to be replaced: a new pod reads the Secret anew.

        A job that has never worked has wrong ones. One that has gets one new start, and another one if that works.
        """
        before = self.s.last_failure or {}
        again = (before.get("reason"), before.get("attempt")) == (failures.CREDENTIALS_REFUSED, self.s.attempt - 1)
        worked = self.pod is not None and self.pod.ended is not None and self.pod.ended.last_batch is not None
        return worked or (not again and "lastBatch" in self.o.job.status)

    def _forget_failures(self) -> None:
        """A job that has run well for long enough starts with a clean slate."""
        s, pod = self.s, self.pod
        if not s.alive or not (s.application_failures or s.infrastructure_failures):
            return
        if pod is None or not pod.ready or pod.ready_since is None:
            return
        well_at = pod.ready_since + self.o.policy.restart.reset_after
        if self.o.now >= well_at:
            self.s = replace(s, application_failures=0, infrastructure_failures=0)
        else:
            self.wakes.append(well_at)

    def _look_at_waiting_pods(self) -> None:
        """Why a pod's volumes are not there only its Events say, and no watch brings these."""
        for pod in self.o.pods:
            if pod.live and pod.started is None and pod.deleting_until is None:
                patient = self.o.now - pod.created < START_PATIENCE_S
                self.wakes.append(pod.created + START_PATIENCE_S if patient else self.o.now + WAITING_LOOK_S)

    # --- a job that is wanted

    def _run_job(self) -> None:
        self._reconsider_outcome()
        if self.o.policy.suspend:
            self.drain("Suspended")
            # Nothing runs that a wrong spec could disturb: the next start checks it.
            self.accept()
            return
        self._obey_restart_request()
        if self.s.outcome:
            return
        follow_spec(self)
        if not self.s.alive:
            self._start()

    def _reconsider_outcome(self) -> None:
        """Another spec to run, or the annotation, starts a job again that failed or is done; any edit one that failed.

        The failure of one spec says nothing of another, unless a check has found that one wrong too.
        """
        s, job = self.s, self.o.job
        if s.outcome is None:
            return
        asked = job.restart_request not in ("", s.restart_request)
        failed = s.outcome.kind == "Failed"
        wanted = self.o.wanted.name if self.o.wanted else s.revision
        refused = s.check is not None and (s.check.revision, s.check.phase) == (wanted, "Failed")
        other_spec = wanted != s.revision and not (failed and refused)
        if asked or other_spec or (failed and job.generation > s.outcome.generation):
            self.start_over()
            self.s = replace(self.s, restart_request=job.restart_request)
            self.accept()

    def _obey_restart_request(self) -> None:
        s, asked = self.s, self.o.job.restart_request
        if asked == s.restart_request:
            return
        self.s = replace(s, restart_request=asked)
        if not asked:
            return  # it was taken away, and may come back with any value
        self.s = replace(self.s, next_start=None)
        # A job that is applied with the annotation in place has nothing to be restarted from.
        if s.attempt:
            self.drain("RestartRequested")

    def _start(self) -> None:
        s, now = self.s, self.o.now
        revision = self.o.wanted if self.o.wanted and self.o.wanted.name == s.revision else self.o.current
        if revision is None or self.o.namespace_ends:
            return
        if s.next_start is not None and now < s.next_start:
            self.wakes.append(s.next_start)
            return
        if ROLE_RUNTIME in self.o.refused:
            return
        if FINALIZER not in self.o.job.finalizers:
            self.actions.append(AddFinalizer())
        attempt = max(s.attempt, self.o.taken) + 1
        self.create(ROLE_RUNTIME, revision, attempt)
        self.s = replace(
            s,
            attempt=attempt,
            restarts=s.restarts + is_unasked(s),
            next_start=None,
            checkpoint_location=revision.spec["checkpoint"]["location"],
        )
        self.pod = None

    # --- what is left over

    def _restore_configs(self) -> None:
        """A pod waits for ever for a manifest that somebody has deleted before it began to run."""
        known = {r.name: r for r in (self.o.wanted, self.o.current) if r is not None}
        for pod in self.o.pods:
            missing = pod.waiting is not None and pod.waiting.reason == MANIFEST_MISSING
            if missing and pod.deleting_until is None and pod.revision in known:
                self.actions.append(RestoreConfig(known[pod.revision]))

    def _sweep(self) -> None:
        """Remove the pods and ConfigMaps that nothing needs any more. The last ended attempt stays for its logs."""
        s = self.s
        for pod in self.o.pods:
            superseded = pod.role == ROLE_RUNTIME and pod.attempt < s.attempt
            kept_for_logs = superseded and not pod.live and pod.attempt == s.attempt - 1 and pod.infrastructure is None
            checked = pod.role == ROLE_CHECK and (s.check is None or pod.revision != s.check.revision)
            checked = checked or (pod.role == ROLE_CHECK and self.o.job.deleting)
            if (superseded and not kept_for_logs) or checked:
                self._delete(pod)
            elif pod.outlived and pod.deleting_until is None:
                self.actions.append(EndSidecars(pod.name, pod.uid))
        used = {s.revision, s.check.revision if s.check else ""}
        had = {self.before.revision, self.before.check.revision if self.before.check else ""}
        # Of what came and went before it was written down, only the list of what is there tells.
        wanted = {self.o.wanted.name} if self.o.wanted else set()
        left = self.o.configs - wanted - {pod.revision for pod in self.o.pods}
        self.actions += [DeleteConfig(name) for name in sorted((had | left) - used - {""})]

    def _delete(self, pod: Pod) -> None:
        planned = {a.name for a in self.actions if isinstance(a, DeletePod)}
        if pod.deleting_until is None and pod.name not in planned:
            self.actions.append(DeletePod(pod.name, pod.uid))
