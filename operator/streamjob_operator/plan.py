"""What to do about a job: a pure function from what is observed to actions, the next status and the news.

Called again and again with what is there then, it leads from any state to the wanted one, and after that does nothing.
It never starts an attempt while another one may be alive. That keeps the output in order; that it stays right even if
two are alive is the work of the runtime's log.
"""

from collections.abc import Iterable
from dataclasses import replace

from streamjob_api.names import FINALIZER, ROLE_CHECK, ROLE_CLEANUP, ROLE_RUNTIME, Phase
from streamjob_operator import failures
from streamjob_operator.backoff import delay_after
from streamjob_operator.conditions import status_of
from streamjob_operator.failures import Failure, Kind
from streamjob_operator.manifests import runtime_name
from streamjob_operator.model import (
    Action,
    AddFinalizer,
    CreatePod,
    DeleteConfig,
    DeletePod,
    News,
    Observed,
    Plan,
    Pod,
    RemoveFinalizer,
    RestoreConfig,
    Revision,
)
from streamjob_operator.mounts import MANIFEST_MISSING
from streamjob_operator.revision import changed_fields
from streamjob_operator.state import Check, Draining, Outcome, State
from streamjob_operator.times import to_text

# A pod that is told to end gets its grace period from the kubelet; one still there so much later has a dead node.
DELETION_SLACK_S = 5.0
# A pod that has not begun to run after the first of these times is looked at for why, and again after the second.
START_PATIENCE_S = 5.0
WAITING_LOOK_S = 10.0


def plan(observed: Observed) -> Plan:
    """What to do now."""
    return _Planner(observed).plan()


class _Planner:
    """One decision in the making: the state moves on step by step, the actions add up."""

    def __init__(self, observed: Observed) -> None:
        self._o = observed
        self._before = State.read(observed.job.status)
        self._actions: list[Action] = []
        self._news: list[News] = []
        self._wakes: list[float] = []  # times at which something is due
        runtimes = [p for p in observed.pods if p.role == ROLE_RUNTIME]
        # The status may be older than the newest pod: the operator was killed between the two.
        newest = max((p.attempt for p in runtimes), default=0)
        attempt, draining = max(self._before.attempt, newest), self._before.draining
        if draining and draining.attempt < attempt:
            draining = None  # it has ended, or the next one would not have been started
        # One that was started, and not written down: whoever started it was killed, or another operator was quicker.
        found = attempt > self._before.attempt and _is_unasked(self._before)
        self._s = replace(self._before, attempt=attempt, draining=draining, restarts=self._before.restarts + found)
        self._pod = next((p for p in runtimes if p.attempt == self._s.attempt), None)
        if self._pod and (not self._s.revision or self._runs_wanted_already(self._pod)):
            self._s = replace(self._s, revision=self._pod.revision)

    def _runs_wanted_already(self, pod: Pod) -> bool:
        """Whether the pod was started with the present spec, and the status does not say so yet."""
        wanted = self._o.wanted
        return pod.attempt > self._before.attempt and wanted is not None and wanted.name == pod.revision

    def plan(self) -> Plan:
        self._account_for_end()
        self._forget_failures()
        self._look_at_waiting_pods()
        if self._o.job.deleting:
            self._delete_job()
        else:
            self._run_job()
        self._remember_location()
        self._restore_configs()
        self._sweep()
        if self._s.attempt > self._before.attempt:
            pod = runtime_name(self._o.job, self._s.attempt)
            self._tell("Started", f"Attempt {self._s.attempt} was started: pod {pod}")
        status = status_of(self._o, self._s, self._pod if self._s.alive else None)
        if status["phase"] == Phase.SUSPENDED and self._o.job.status.get("phase") != Phase.SUSPENDED:
            self._tell("Suspended", "The job has drained; spec.suspend: false lets it go on from its checkpoint")
        due = min(self._wakes, default=None)
        again = None if due is None else max(0.0, due - self._o.now)
        return Plan(status, tuple(self._actions), tuple(self._news), again, self._begins())

    def _begins(self) -> bool:
        """Whether this makes a job's first pod, of which the status has nothing to say that the pod does not show."""
        makes_pod = any(isinstance(action, CreatePod) for action in self._actions)
        return makes_pod and self._before == State() and not self._o.job.restart_request

    def _remember_location(self) -> None:
        """Where the checkpoints are, also when the status was not written as the attempt was started."""
        s, wanted = self._s, self._o.wanted
        if s.alive and not s.checkpoint_location and wanted and wanted.name == s.revision:
            self._s = replace(s, checkpoint_location=wanted.spec["checkpoint"]["location"])

    # --- how the present attempt fares

    def _account_for_end(self) -> None:
        """If the newest attempt has ended, say so once, and decide when the next one may start."""
        s, pod = self._s, self._pod
        if not s.alive:
            return
        failure = self._end_of(pod)
        if failure is None:
            return
        asked = s.draining is not None and s.draining.attempt == s.attempt
        self._s = replace(s, ended_attempt=s.attempt, draining=None)
        if not asked and not self._o.job.deleting:
            self._react_to(failure)

    def _end_of(self, pod: Pod | None) -> Failure | None:
        now, after = self._o.now, self._o.policy.node_loss_after
        if pod is None:
            return failures.vanished(now)
        if pod.ended is not None:
            # Whoever deletes a pod makes its process end: that is no failure of the process.
            deleted = pod.deleting_until is not None
            return failures.vanished(now) if deleted else failures.judge(pod, pod.ended, self._o.policy.memory_limit)
        lost_at = min(
            pod.node_lost_since + after if pod.node_lost_since is not None else float("inf"),
            pod.deleting_until + DELETION_SLACK_S + after if pod.deleting_until is not None else float("inf"),
        )
        if now >= lost_at:
            self._actions.append(DeletePod(pod.name, pod.uid, force=True))
            return failures.node_lost(pod, now)
        if lost_at != float("inf"):
            self._wakes.append(lost_at)
        return None

    def _react_to(self, failure: Failure) -> None:
        kind, now, policy = failure.kind, self._o.now, self._o.policy.restart
        if kind is Kind.COMPLETED and not self._o.policy.available_now:
            kind = Kind.INFRASTRUCTURE  # the spec has changed meanwhile, or somebody has stopped it
        if kind is Kind.COMPLETED:
            self._conclude("Completed", "Completed", failure.message)
            return
        s = self._s
        s = replace(s, last_failure=_tree_of(failure, s.attempt))
        if kind is Kind.APPLICATION:
            s = replace(s, application_failures=s.application_failures + 1)
        elif kind is Kind.INFRASTRUCTURE:
            s = replace(s, infrastructure_failures=s.infrastructure_failures + 1)
        self._s = s
        if kind is Kind.FATAL:
            self._conclude("Failed", failure.reason, failure.message)
        elif s.application_failures > policy.max_failures:
            message = f"it failed {s.application_failures} times in a row; the last time: {failure.message}"
            self._conclude("Failed", "TooManyFailures", message)
        else:
            delay = delay_after(policy, s.application_failures, s.infrastructure_failures, self._o.jitter)
            self._s = replace(s, next_start=now + delay if delay else None)
            self._tell(failure.reason, f"Attempt {s.attempt} ended: {failure.message}", warning=True)

    def _conclude(self, kind: str, reason: str, message: str, generation: int | None = None) -> None:
        """Start nothing any more. `generation`: of the spec that is to blame; left out, the one that was acted on."""
        if generation is None:
            # A spec that has come since, or that nobody knows to have run, is another chance.
            generation = self._o.job.status.get("observedGeneration", 0)
        self._s = replace(self._s, outcome=Outcome(kind, generation, reason, message), next_start=None)
        self._tell(kind if kind == "Completed" else reason, message, warning=kind == "Failed")

    def _forget_failures(self) -> None:
        """A job that has run well for long enough starts with a clean slate."""
        s, pod = self._s, self._pod
        if not s.alive or not (s.application_failures or s.infrastructure_failures):
            return
        if pod is None or not pod.ready or pod.ready_since is None:
            return
        well_at = pod.ready_since + self._o.policy.restart.reset_after
        if self._o.now >= well_at:
            self._s = replace(s, application_failures=0, infrastructure_failures=0)
        else:
            self._wakes.append(well_at)

    def _look_at_waiting_pods(self) -> None:
        """Why a pod's volumes are not there only its Events say, and no watch brings these."""
        for pod in self._o.pods:
            if pod.live and pod.started is None and pod.deleting_until is None:
                patient = self._o.now - pod.created < START_PATIENCE_S
                self._wakes.append(pod.created + START_PATIENCE_S if patient else self._o.now + WAITING_LOOK_S)

    # --- a job that is wanted

    def _run_job(self) -> None:
        self._reconsider_outcome()
        if self._o.policy.suspend:
            self._drain("Suspended")
            # Nothing runs that a wrong spec could disturb: the next start checks it.
            self._accept()
            return
        self._obey_restart_request()
        if self._s.outcome:
            return
        self._follow_spec()
        if not self._s.alive:
            self._start()

    def _reconsider_outcome(self) -> None:
        """A failed job gets another chance by a new spec, a done one by another spec to run; both by the annotation."""
        s, job = self._s, self._o.job
        if s.outcome is None:
            return
        asked = job.restart_request != s.restart_request
        failed_before = s.outcome.kind == "Failed" and job.generation > s.outcome.generation
        other_spec = self._o.wanted is not None and self._o.wanted.name != s.revision
        if asked or failed_before or (s.outcome.kind == "Completed" and other_spec):
            self._s = replace(
                s,
                outcome=None,
                application_failures=0,
                infrastructure_failures=0,
                next_start=None,
                restart_request=job.restart_request,
            )
            self._accept()

    def _obey_restart_request(self) -> None:
        s, asked = self._s, self._o.job.restart_request
        if asked == s.restart_request:
            return
        self._s = replace(s, restart_request=asked, next_start=None)
        # A job that is applied with the annotation in place has nothing to be restarted from.
        if asked and s.attempt:
            self._drain("RestartRequested")

    def _accept(self) -> None:
        """What the spec says is what runs from now on."""
        if self._o.wanted is not None:
            self._s = replace(self._s, revision=self._o.wanted.name, check=None)

    def _follow_spec(self) -> None:
        """Bring a changed spec to the running job: first a check, then a drain. A change that fails changes nothing."""
        s, wanted = self._s, self._o.wanted
        if wanted is None:
            if not s.revision:
                self._conclude("Failed", "InvalidSpec", "; ".join(self._o.problems), self._o.job.generation)
            return
        if wanted.name == s.revision:
            self._s = replace(s, check=None)
            return
        if not s.revision or self._o.current is None:
            self._accept()
            if s.alive:
                self._drain("SpecChanged")
            return
        if s.check is None or s.check.revision != wanted.name:
            self._s = replace(s, check=Check(wanted.name, "Running", 1))
        self._go_on_checking(wanted)

    def _go_on_checking(self, wanted: Revision) -> None:
        check = self._s.check
        assert check is not None
        pod = self._pod_of(ROLE_CHECK, wanted.name)
        if check.phase == "Running" and pod is not None and pod.ended is not None:
            check = self._judge_check(check, pod)
            self._s = replace(self._s, check=check)
        if check.phase == "Passed":
            changed = changed_fields(self._o.current.spec, wanted.spec) if self._o.current else "spec"
            self._tell("Updating", f"The changed spec passed its check ({changed}); the job is restarted with it")
            self._accept()
            self._drain("SpecChanged")
        elif check.phase == "Running" and pod is None:
            if check.next_try is not None and self._o.now < check.next_try:
                self._wakes.append(check.next_try)
            else:
                self._actions.append(CreatePod(ROLE_CHECK, 0, wanted))

    def _judge_check(self, check: Check, pod: Pod) -> Check:
        end = pod.ended
        assert end is not None
        failure = failures.judge(pod, end, self._o.policy.memory_limit)
        if failure.kind is Kind.COMPLETED:
            return replace(check, phase="Passed", reason="", message="", next_try=None)
        if failure.kind is Kind.FATAL:
            self._tell("ChangeRefused", f"The job runs on as it was: {failure.message}", warning=True)
            return replace(check, phase="Failed", reason=failure.reason, message=failure.message, next_try=None)
        self._actions.append(DeletePod(pod.name, pod.uid))
        delay = delay_after(self._o.policy.restart, check.attempts, 0, self._o.jitter)
        due = self._o.now + delay
        self._wakes.append(due)
        return replace(check, attempts=check.attempts + 1, reason=failure.reason, message=failure.message, next_try=due)

    def _start(self) -> None:
        s, now = self._s, self._o.now
        revision = self._o.wanted if self._o.wanted and self._o.wanted.name == s.revision else self._o.current
        if revision is None or self._o.namespace_ends:
            return
        if s.next_start is not None and now < s.next_start:
            self._wakes.append(s.next_start)
            return
        if self._o.refused:
            return
        if FINALIZER not in self._o.job.finalizers:
            self._actions.append(AddFinalizer())
        attempt = max(s.attempt, self._o.taken) + 1
        self._actions.append(CreatePod(ROLE_RUNTIME, attempt, revision))
        self._s = replace(
            s,
            attempt=attempt,
            restarts=s.restarts + _is_unasked(s),
            next_start=None,
            checkpoint_location=revision.spec["checkpoint"]["location"],
        )
        self._pod = None

    def _drain(self, reason: str) -> None:
        """Ask the present attempt to finish its batch, take a checkpoint and end."""
        s, pod = self._s, self._pod
        if not s.alive or pod is None:
            return
        self._s = replace(s, draining=Draining(s.attempt, reason))
        if pod.deleting_until is None:
            self._actions.append(DeletePod(pod.name, pod.uid))

    # --- a job that is being deleted

    def _delete_job(self) -> None:
        if FINALIZER not in self._o.job.finalizers:
            return
        self._drain("Deleted")
        if self._s.alive:
            return
        if self._keeps_nothing() and not self._cleaned_up():
            return
        self._actions.append(RemoveFinalizer())

    def _keeps_nothing(self) -> bool:
        return self._o.policy.delete_checkpoints and self._s.attempt > 0 and not self._o.namespace_ends

    def _cleaned_up(self) -> bool:
        """Whether the checkpoints are gone; if not, see to it."""
        s = self._s
        # Where the job ran last is where its checkpoints are.
        revision = self._o.current or self._o.wanted
        if revision is None:
            self._tell("CheckpointsKept", "The spec cannot be read, so the checkpoints stay", warning=True)
            return True
        pod = self._pod_of(ROLE_CLEANUP)
        if pod is None:
            if s.next_start is not None and self._o.now < s.next_start:
                self._wakes.append(s.next_start)
            else:
                self._actions.append(CreatePod(ROLE_CLEANUP, 0, revision))
        elif pod.ended is not None:
            failure = failures.judge(pod, pod.ended, self._o.policy.memory_limit)
            if failure.kind is Kind.COMPLETED:
                return True
            tries = s.application_failures + 1
            due = self._o.now + delay_after(self._o.policy.restart, tries, 0, self._o.jitter)
            self._s = replace(s, application_failures=tries, next_start=due, last_failure=_tree_of(failure, s.attempt))
            self._actions.append(DeletePod(pod.name, pod.uid))
            self._wakes.append(due)
            self._tell(
                "CleanupFailed",
                f"The checkpoints could not be deleted: {failure.message}. It is tried again; "
                "spec.deletion.checkpoints: Retain lets the job go without",
                warning=True,
            )
        return False

    # --- what is left over

    def _restore_configs(self) -> None:
        """A pod waits for ever for a manifest that somebody has deleted before it began to run."""
        known = {r.name: r for r in (self._o.wanted, self._o.current) if r is not None}
        for pod in self._o.pods:
            missing = pod.waiting is not None and pod.waiting.reason == MANIFEST_MISSING
            if missing and pod.deleting_until is None and pod.revision in known:
                self._actions.append(RestoreConfig(known[pod.revision]))

    def _sweep(self) -> None:
        """Remove the pods and ConfigMaps that nothing needs any more. The last ended attempt stays for its logs."""
        s = self._s
        for pod in self._o.pods:
            superseded = pod.role == ROLE_RUNTIME and pod.attempt < s.attempt
            kept_for_logs = superseded and not pod.live and pod.attempt == s.attempt - 1 and pod.infrastructure is None
            checked = pod.role == ROLE_CHECK and (s.check is None or pod.revision != s.check.revision)
            checked = checked or (pod.role == ROLE_CHECK and self._o.job.deleting)
            if (superseded and not kept_for_logs) or checked:
                self._delete(pod)
        used = {s.revision, s.check.revision if s.check else ""}
        had = {self._before.revision, self._before.check.revision if self._before.check else ""}
        self._actions += [DeleteConfig(name) for name in sorted(had - used)]

    def _delete(self, pod: Pod) -> None:
        planned = {a.name for a in self._actions if isinstance(a, DeletePod)}
        if pod.deleting_until is None and pod.name not in planned:
            self._actions.append(DeletePod(pod.name, pod.uid))

    def _pod_of(self, role: str, revision: str | None = None) -> Pod | None:
        pods: Iterable[Pod] = (p for p in self._o.pods if p.role == role and p.deleting_until is None)
        return next((p for p in pods if revision in (None, p.revision)), None)

    def _tell(self, reason: str, message: str, warning: bool = False) -> None:
        self._news.append(News(reason, message, warning))


def _is_unasked(s: State) -> bool:
    """Whether the next start is one that nobody has asked for: the newest attempt has failed."""
    return s.last_failure is not None and s.last_failure.get("attempt") == s.attempt


def _tree_of(failure: Failure, attempt: int) -> dict[str, object]:
    tree: dict[str, object] = {
        "time": to_text(failure.time),
        "attempt": attempt,
        "reason": failure.reason,
        "message": failure.message,
    }
    if failure.exit_code is not None:
        tree["exitCode"] = failure.exit_code
    return tree
