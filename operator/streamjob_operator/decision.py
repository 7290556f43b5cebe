"""One decision in the making: the state moves on step by step, the actions add up."""

from collections.abc import Iterable
from dataclasses import replace

from streamjob_api.names import ROLE_RUNTIME
from streamjob_operator.failures import Failure
from streamjob_operator.model import Action, CreatePod, DeletePod, News, Observed, Pod, Revision
from streamjob_operator.state import Draining, Outcome, State
from streamjob_operator.times import to_text

# A pod that is told to end gets its grace period from the kubelet; one still there so much later has a dead node.
DELETION_SLACK_S = 5.0


class Decision:
    """What is observed, and what is to become of it."""

    def __init__(self, observed: Observed) -> None:
        self.o = observed
        self.before = State.read(observed.job.status)
        self.actions: list[Action] = []
        self.news: list[News] = []
        self.wakes: list[float] = []  # times at which something is due
        runtimes = [p for p in observed.pods if p.role == ROLE_RUNTIME]
        # The status may be older than the newest pod: the operator was killed between the two.
        newest = max((p.attempt for p in runtimes), default=0)
        attempt, draining = max(self.before.attempt, newest), self.before.draining
        if draining and draining.attempt < attempt:
            draining = None  # it has ended, or the next one would not have been started
        # One that was started, and not written down: whoever started it was killed, or another operator was quicker.
        found = attempt > self.before.attempt
        restarts = self.before.restarts + (found and is_unasked(self.before))
        self.s = replace(self.before, attempt=attempt, draining=draining, restarts=restarts)
        self.s = replace(self.s, revision=revision_of(self.before, runtimes))
        self.pod = next((p for p in runtimes if p.attempt == self.s.attempt), None)
        if found and (self.s.outcome or self._came_early()):
            # The annotation has asked for it, perhaps, and has had its restart.
            self.s = replace(self.s, restart_request=observed.job.restart_request)
        if found and self.s.outcome:
            self.start_over()  # as whoever started it had decided

    def _came_early(self) -> bool:
        """Whether the newest pod was made before its wait was over; a pod's time has whole seconds."""
        due, pod = self.before.next_start, self.pod
        return due is not None and pod is not None and pod.created + 1 < due

    def start_over(self) -> None:
        """What has failed or is done gets another chance, with a clean slate."""
        self.s = replace(self.s, outcome=None, application_failures=0, infrastructure_failures=0, next_start=None)

    def accept(self) -> None:
        """What the spec says is what runs from now on."""
        if self.o.wanted is not None:
            self.s = replace(self.s, revision=self.o.wanted.name, check=None)

    def drain(self, reason: str) -> None:
        """Ask the present attempt to finish its batch, take a checkpoint and end."""
        s, pod = self.s, self.pod
        if not s.alive or pod is None:
            return
        self.s = replace(s, draining=Draining(s.attempt, reason))
        if pod.deleting_until is None:
            self.actions.append(DeletePod(pod.name, pod.uid))

    def conclude(self, kind: str, reason: str, message: str, generation: int | None = None) -> None:
        """Start nothing any more. `generation`: of the spec that is to blame; left out, the one that was acted on."""
        if generation is None:
            # A spec that has come since, or that nobody knows to have run, is another chance.
            generation = self.o.job.status.get("observedGeneration", 0)
        self.s = replace(self.s, outcome=Outcome(kind, generation, reason, message), next_start=None)
        self.tell(kind if kind == "Completed" else reason, message, warning=kind == "Failed")

    def remember(self, failure: Failure) -> None:
        """Keep the failure as the newest one."""
        tree: dict[str, object] = {
            "time": to_text(failure.time),
            "attempt": self.s.attempt,
            "reason": failure.reason,
            "message": failure.message,
        }
        if failure.exit_code is not None:
            tree["exitCode"] = failure.exit_code
        self.s = replace(self.s, last_failure=tree)

    def create(self, role: str, revision: Revision, attempt: int = 0) -> None:
        """Make a pod that runs, checks or cleans up the revision."""
        self.actions.append(CreatePod(role, attempt, revision, self.o.policy.node_loss_after))

    def helper(self, role: str, revision: str | None = None) -> Pod | None:
        """The check's or the cleanup's pod. One that is on its way out keeps its name until it is gone."""
        pod = next((p for p in self.o.pods if p.role == role and revision in (None, p.revision)), None)
        if pod is not None:
            self.force_out_if_lost(pod)
        return pod

    def force_out_if_lost(self, pod: Pod) -> bool:
        """Take the pod out of the API, if its node has not answered for long enough; whether that is so."""
        after = self.o.policy.node_loss_after
        # Kubernetes has waited that long already before it gave up the node.
        overdue = DELETION_SLACK_S + (0 if pod.node_given_up else after)
        lost_at = min(
            pod.node_lost_since + after if pod.node_lost_since is not None else float("inf"),
            pod.deleting_until + overdue if pod.deleting_until is not None else float("inf"),
        )
        if self.o.now >= lost_at:
            self.actions.append(DeletePod(pod.name, pod.uid, force=True))
            return True
        if lost_at != float("inf"):
            self.wakes.append(lost_at)
        return False

    def tell(self, reason: str, message: str, warning: bool = False) -> None:
        """Make it an Event."""
        self.news.append(News(reason, message, warning))


def revision_of(s: State, pods: Iterable[Pod]) -> str:
    """What runs, or ran last. Where the status does not know of the newest pod yet, the pod says it."""
    newest = max((p for p in pods if p.role == ROLE_RUNTIME), key=lambda p: p.attempt, default=None)
    unwritten = newest is not None and (newest.attempt > s.attempt or not s.revision)
    return newest.revision if newest and unwritten else s.revision


def is_unasked(s: State) -> bool:
    """Whether the next start is one that nobody has asked for: the newest attempt has failed."""
    return s.last_failure is not None and s.last_failure.get("attempt") == s.attempt
