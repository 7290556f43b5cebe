"""From any state that a cluster can get into, the operator leads to the wanted one, and then does nothing."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from streamjob_api.names import ROLE_CHECK, ROLE_CLEANUP, ROLE_RUNTIME
from streamjob_operator.model import DeletePod, Pod
from streamjob_operator.policy import Policy
from support.cluster_model import ClusterModel

REFUSALS = {
    "checks are refused": {ROLE_CHECK},
    "pods are refused": {ROLE_RUNTIME, ROLE_CHECK, ROLE_CLEANUP},
    "pods are taken": set[str](),
}
TIMES = {"time passes": 5, "much time passes": 700}
EVENTS = (
    "look",
    "look",
    "killed after 0",
    "killed after 1",
    "killed after 2",
    "pods start",
    "drained",
    "runtime crashes",
    "runtime is wrong",
    "runtime is evicted",
    "pod is deleted",
    "node is lost",
    "node returns",
    "check passes",
    "check fails",
    "check finds nobody",
    "cleanup fails",
    "spec changes",
    "spec goes back",
    "spec breaks",
    "suspended",
    "resumed",
    "restart asked",
    "restart forgotten",
    *REFUSALS,
    *TIMES,
)
# What happens, and whether the operator looks before the next thing does.
HISTORIES = st.lists(st.tuples(st.sampled_from(EVENTS), st.booleans()), max_size=40)
BEGINNINGS = ("it is new", "it runs", "a change is being checked", "it is being deleted")


def begin(cluster: ClusterModel, beginning: str) -> None:
    """What most of what can go wrong would else come to seldom."""
    if beginning == "it is new":
        return
    calm_down(cluster)
    if beginning == "a change is being checked":
        cluster.edits(batchInterval="3s")
    if beginning == "it is being deleted":
        cluster.deleting = True
        cluster.step()
        cluster.drains()
    cluster.step()


def happen(cluster: ClusterModel, event: str) -> None:
    """One thing that can happen; nothing, where there is no pod for it."""
    happen_to_job(cluster, event)
    cluster.waits(TIMES.get(event, 0))
    cluster.refuses = set(REFUSALS.get(event, cluster.refuses))
    for pod in [p for p in cluster.pods.values() if p.live]:
        happen_to_pod(cluster, pod, event)
        if pod.uid in cluster.silent:
            continue
        if pod.role == ROLE_RUNTIME:
            happen_to_runtime(cluster, pod, event)
        else:
            happen_to_helper(cluster, pod, event)


def happen_to_job(cluster: ClusterModel, event: str) -> None:
    match event:
        case "look":
            cluster.step()
        case "killed after 0" | "killed after 1" | "killed after 2":
            cluster.step(dies_after=int(event[-1]))
        case "pods start":
            cluster.starts()
        case "drained":
            cluster.drains()
        case "spec changes":
            cluster.edits(batchInterval=f"{3 + cluster.generation % 3}s")
        case "spec goes back":
            cluster.problems = ()
            cluster.edits(batchInterval="2s")
        case "spec breaks":
            cluster.problems = ("spec.sources: is wrong",)
            cluster.edits()
        case "suspended" | "resumed":
            cluster.policy = replace(cluster.policy, suspend=event == "suspended")
            cluster.edits(suspend=event == "suspended")
        case "restart asked":
            cluster.restart_request = str(int(cluster.restart_request or 0) + 1)
        case "restart forgotten":
            cluster.restart_request = ""


def happen_to_pod(cluster: ClusterModel, pod: Pod, event: str) -> None:
    match event:
        case "pod is deleted" if pod.deleting_until is None:
            cluster.change(pod, deleting_until=cluster.now + 30)
        case "node is lost":
            cluster.loses_node(pod)
        case "node returns":
            cluster.regains_node(pod)


def happen_to_runtime(cluster: ClusterModel, pod: Pod, event: str) -> None:
    match event:
        case "runtime crashes":
            cluster.ends(pod, 1)
        case "runtime is wrong":
            cluster.ends(pod, 78, "JobError", "wrong")
        case "runtime is evicted":
            cluster.ends(pod, 137, why="EvictionByEvictionAPI")


def happen_to_helper(cluster: ClusterModel, pod: Pod, event: str) -> None:
    match pod.role, event:
        case _, "check passes" if pod.role == ROLE_CHECK:
            cluster.ends(pod, 0, "Done")
        case _, "check fails" if pod.role == ROLE_CHECK:
            cluster.ends(pod, 78, "JobError", "does not fit")
        case (_, "check finds nobody") | (_, "cleanup fails"):
            cluster.ends(pod, 75, "Unavailable", "away")


def calm_down(cluster: ClusterModel, nodes_return: bool = True) -> None:
    """From here on all goes well: pods start, checks pass, drains end, nodes answer, or are not used any more."""
    for _ in range(60):
        for pod in list(cluster.pods.values()):
            if pod.uid in cluster.silent:
                if not nodes_return:
                    continue
                cluster.regains_node(pod)
                pod = cluster.pods[pod.name]
            if pod.role in (ROLE_CHECK, ROLE_CLEANUP) and pod.live and pod.deleting_until is None:
                cluster.ends(pod, 0, "Done")
        cluster.drains()
        cluster.starts()
        if cluster.gone:
            return
        decided = cluster.step()
        if not decided.actions and decided.again_in is None and not cluster.silent:
            return
        cluster.waits(30 if decided.again_in is None else decided.again_in)


@settings(max_examples=500, deadline=None)
@given(
    beginning=st.sampled_from(BEGINNINGS),
    events=HISTORIES,
    delete=st.booleans(),
    keep=st.booleans(),
    nodes_return=st.booleans(),
)
def test_whatever_has_happened_it_comes_to_what_the_spec_wants_and_rests(
    beginning: str, events: list[tuple[str, bool]], delete: bool, keep: bool, nodes_return: bool
) -> None:
    cluster = ClusterModel(policy=Policy(delete_checkpoints=not keep))
    begin(cluster, beginning)
    for event, is_seen in events:
        happen(cluster, event)
        if is_seen:
            cluster.step()
        assert cluster.most_live <= 1, "two attempts may be alive at once"
    cluster.refuses.discard(ROLE_RUNTIME)
    cluster.refuses.discard(ROLE_CLEANUP)
    if delete or cluster.deleting:
        cluster.deleting = True
        calm_down(cluster, nodes_return)
        assert cluster.gone or not cluster.finalizers, "the job never goes"
        return
    calm_down(cluster, nodes_return)
    if cluster.problems:
        # A spec that was taken over while nothing ran, and never ran, is known no more when it breaks.
        known = cluster.status.get("revision") in cluster.configs
        runs = known and not cluster.policy.suspend and cluster.status["phase"] != "Failed"
        assert len(cluster.live_runtimes()) == runs
        cluster.problems = ()
        cluster.edits()
        calm_down(cluster, nodes_return)
    if ROLE_CHECK in cluster.refuses:
        if cluster.status["phase"] not in ("Suspended", "Failed"):
            [pod] = cluster.live_runtimes()
            assert pod.ready and cluster.status["phase"] == "Running", "a check that is refused has hurt the job"
        cluster.refuses = set()
        calm_down(cluster, nodes_return)
    live = cluster.live_runtimes()
    wanted, revision = cluster.observe().wanted, cluster.status["revision"]
    assert wanted is not None
    check = cluster.status.get("check", {})
    refused = (check.get("revision"), check.get("phase")) == (wanted.name, "Failed")
    if cluster.policy.suspend:
        assert not live and cluster.status["phase"] == "Suspended"
    elif cluster.status["phase"] == "Failed":
        assert not live and revision in cluster.has_failed
        assert revision == wanted.name or refused, "a spec that nobody has tried is given up with another one"
    else:
        [pod] = live
        assert cluster.status["phase"] == "Running"
        assert pod.revision == revision and (revision == wanted.name or refused)
    assert cluster.most_live <= 1
    # It rests: nothing more is done or written, however often it is looked at.
    before = cluster.status
    for _ in range(3):
        decided = cluster.step()
        assert decided.actions == () and decided.status == before and decided.news == ()
        cluster.waits(1)


@settings(max_examples=200, deadline=None)
@given(events=st.lists(st.sampled_from(EVENTS), max_size=30))
def test_a_pod_is_forced_out_only_when_its_node_does_not_answer(events: list[str]) -> None:
    cluster = ClusterModel()
    for event in events:
        for action in cluster.step().actions if event == "look" else ():
            if isinstance(action, DeletePod) and action.force:
                pod = next(p for p in [*cluster.pods.values(), *cluster.zombies] if p.uid == action.uid)
                lost = pod.node_lost_since is not None and cluster.now - pod.node_lost_since >= 60
                overdue = pod.deleting_until is not None and cluster.now > pod.deleting_until
                assert lost or overdue
        if event != "look":
            happen(cluster, event)
