"""The chart on a real cluster, as a user meets it: install, test, upgrade, uninstall, install again; what it may do."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from support.chart import CHART, CRD, copy_of_the_chart
from support.cluster import Cluster, CommandFailed, Object
from support.operator_release import OperatorRelease

RELEASE, OPERATOR, ANOTHER = "chart", "chart-operator", "another"
CRD_NAME = "streamjobs.streamjob.dev"
WAIT = ("--wait", "--timeout", "120s")
# Whatever release the cluster's CRD came from, this one takes it over for a while.
FIRST = ("--take-ownership", *WAIT)

JOB = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: kept}
spec:
  suspend: true
  sources: [{name: numbers, rate: {rowsPerSecond: 1}}]
  pipeline: [{name: all, sql: SELECT value FROM numbers}]
  sinks: [{from: all, mode: append, console: {}}]
  checkpoint: {location: "s3://checkpoints/kept"}
"""

STREAMJOBS = {
    "streamjobs.streamjob.dev": {"list", "watch", "patch"},
    "streamjobs.streamjob.dev/status": {"update"},
    "streamjobs.streamjob.dev/finalizers": {"update"},
    "pods": {"get", "list", "watch", "create", "delete", "patch"},
    "configmaps": {"get", "list", "create", "delete"},
    "events": {"create", "list"},
    "networkpolicies.networking.k8s.io": {"create", "patch"},
}
# In namespaced mode: what outlasts the Role of a namespace that is deleted.
DRAIN = {"rolebindings.rbac.authorization.k8s.io/streamjob-drain": {"patch"}}
LEASES = {
    "leases.coordination.k8s.io": {"create"},
    f"leases.coordination.k8s.io/{OPERATOR}": {"get", "update"},
}


@dataclass(frozen=True)
class Place:
    """A cluster with three restricted namespaces: for the operator, for jobs, and one that is nobody's business."""

    cluster: Cluster
    home: str
    jobs: str
    elsewhere: str

    def install(self, *arguments: str) -> str:
        """Install the chart into `home`."""
        return self.cluster.helm("install", RELEASE, str(CHART), "-n", self.home, *arguments)

    def helm(self, command: str, *arguments: str) -> str:
        """A command for the installed release."""
        return self.cluster.helm(command, RELEASE, *arguments, "-n", self.home)

    def namespaced(self) -> tuple[str, str]:
        """The values of namespaced mode."""
        return ("--set", f"watchNamespaces={{{self.jobs}}}")

    def job(self) -> Object:
        """The StreamJob `kept`."""
        return self.cluster.get("streamjob", "kept", self.jobs)

    def shows_column(self, name: str) -> bool:
        """Whether `kubectl get` does. The API server serves a changed CRD a moment after it took it."""
        return name in self.cluster.kubectl("get", "stj", "-n", self.jobs)

    def is_empty(self) -> bool:
        """Whether nothing of the release is left. helm waits for the Deployment to go, not for its pods."""
        ours = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component!=test"
        kinds = "all,serviceaccounts,roles,rolebindings,configmaps"
        left = [o for place in (self.home, self.jobs) for o in self.cluster.objects(kinds, place, ours)]
        return [o["metadata"]["name"] for o in left] in ([], ["streamjob-drain"])

    def wait_for_operator(self) -> None:
        """Until the operator has seen the present spec of the job."""
        seen = f"--for=jsonpath={{.status.observedGeneration}}={self.job()['metadata']['generation']}"
        self.cluster.kubectl("wait", seen, "stj/kept", "-n", self.jobs, "--timeout=60s")


@pytest.fixture
def place(cluster: Cluster, operator: OperatorRelease) -> Iterator[Place]:
    """Empty namespaces, and no operator. Afterwards that of other tests goes on, with the CRD as it was."""
    # Last to first, and each whatever becomes of the others: what is left behind would meet the next test.
    with ExitStack() as afterwards:
        afterwards.enter_context(operator.away())
        afterwards.callback(_bring_crd_back, cluster, cluster.find("crd", CRD_NAME))
        found = Place(cluster, *(afterwards.enter_context(cluster.namespace()) for _ in range(3)))
        for release, namespace in ((RELEASE, found.home), (ANOTHER, found.elsewhere)):
            afterwards.callback(cluster.helm, "uninstall", release, "-n", namespace, "--ignore-not-found")
        afterwards.callback(cluster.kubectl, "delete", "clusterrole", "streamjob-drain", "--ignore-not-found")
        # While there is an operator that finishes them.
        afterwards.callback(cluster.kubectl, "delete", "streamjobs", "--all", "-n", found.jobs, "--timeout=60s")
        yield found


def _bring_crd_back(cluster: Cluster, before: Object | None) -> None:
    if before is None:
        cluster.kubectl("delete", "crd", CRD_NAME, "--ignore-not-found", "--timeout=60s")
        return
    metadata = {key: before["metadata"].get(key, {}) for key in ("name", "labels", "annotations")}
    cluster.kubectl("replace", "-f", "-", stdin=json.dumps(before | {"metadata": metadata}))


def test_the_life_of_a_release(place: Place, tmp_path: Path) -> None:
    notes = place.install(*place.namespaced(), *FIRST)
    assert f"helm test {RELEASE} --namespace {place.home}" in notes
    assert f"looks after the StreamJobs of {place.jobs}." in notes
    assert re.search(r"Phase: +Succeeded", place.helm("test"))
    assert not place.cluster.find("pod", f"{OPERATOR}-test", place.home), "it goes, with its right to ask"

    place.cluster.apply(JOB, place.jobs)
    uid = place.job()["metadata"]["uid"]
    place.wait_for_operator()

    chart = _next_version_of_the_chart(tmp_path)
    assert not place.shows_column("KEPT")
    place.cluster.helm("upgrade", RELEASE, str(chart), "-n", place.home, "--reuse-values", *WAIT)
    place.cluster.wait(lambda: place.shows_column("KEPT"), what="the new column")
    schema = place.cluster.get("crd", CRD_NAME)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert schema["description"] == "As the next version says it: {{ as text }}."

    place.helm("uninstall", *WAIT)
    place.cluster.wait(place.is_empty, what="an empty namespace")
    assert place.job()["metadata"]["uid"] == uid

    # A release of the same name takes over what it finds, and brings its own CRD back.
    place.install(*place.namespaced(), *WAIT)
    place.cluster.wait(lambda: not place.shows_column("KEPT"), what="the end of the new column")
    patch = '{"spec": {"nodeLoss": {"after": "30s"}}}'
    place.cluster.kubectl("patch", "stj", "kept", "-n", place.jobs, "--type=merge", "-p", patch)
    place.wait_for_operator()
    assert place.job()["metadata"]["uid"] == uid
    place.helm("uninstall", *WAIT)

    # One of another name does so when that is said.
    another = ("install", ANOTHER, str(CHART), "-n", place.elsewhere, *place.namespaced())
    with pytest.raises(CommandFailed, match="cannot be imported into the current release"):
        place.cluster.helm(*another)
    place.cluster.helm(*another, "--take-ownership", *WAIT)
    owner = place.cluster.get("crd", CRD_NAME)["metadata"]["annotations"]
    assert (owner["meta.helm.sh/release-name"], owner["meta.helm.sh/release-namespace"]) == (ANOTHER, place.elsewhere)


def test_in_namespaced_mode_nothing_outside_is_allowed_and_no_secret_inside(place: Place) -> None:
    place.install(*place.namespaced(), *FIRST)
    assert _rights(place, place.jobs) == STREAMJOBS | DRAIN
    assert _rights(place, place.home) == LEASES
    assert _rights(place, place.elsewhere) == {}

    # And `helm test` would find it if that were not so.
    account = f"--serviceaccount={place.home}:{OPERATOR}"
    place.cluster.kubectl("create", "role", "too-much", "-n", place.jobs, "--verb=list", "--resource=secrets")
    place.cluster.kubectl("create", "rolebinding", "too-much", "-n", place.jobs, "--role=too-much", account)
    more = STREAMJOBS | DRAIN | {"secrets": {"list"}}
    place.cluster.wait(lambda: _rights(place, place.jobs) == more, what="a role that counts")
    with pytest.raises(CommandFailed, match=f"pod {OPERATOR}-test failed"):
        place.helm("test")
    log = place.cluster.logs(f"{OPERATOR}-test", place.home)
    assert f"FAILED: https://kubernetes.default.svc/api/v1/namespaces/{place.jobs}/secrets?limit=1 answers 200" in log


def test_two_operators_everywhere_behind_every_switch_that_needs_nothing_else(place: Place) -> None:
    place.install("--set", "replicas=2,networkPolicy.enabled=true,monitoring.dashboard=true", *FIRST)
    place.helm("test")
    pods = place.cluster.objects("pods", place.home, "app.kubernetes.io/component=operator")
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 2
    holder = place.cluster.get("lease", OPERATOR, place.home)["spec"]["holderIdentity"]
    assert sum(holder.startswith(pod["metadata"]["name"]) for pod in pods) == 1
    assert _rights(place, place.elsewhere) == STREAMJOBS
    assert _rights(place, place.home) == STREAMJOBS | LEASES


def _next_version_of_the_chart(folder: Path) -> Path:
    """A chart whose CRD has one more printer column, and another description."""
    chart = copy_of_the_chart(folder)
    path = chart / CRD.relative_to(CHART)
    crd = yaml.safe_load(path.read_text(encoding="utf-8"))
    version = crd["spec"]["versions"][0]
    version["additionalPrinterColumns"].append({"name": "Kept", "type": "string", "jsonPath": ".metadata.name"})
    version["schema"]["openAPIV3Schema"]["description"] = "As the next version says it: {{ as text }}."
    path.write_text(yaml.safe_dump(crd, sort_keys=False), encoding="utf-8")
    return chart


def _rights(place: Place, namespace: str) -> dict[str, set[str]]:
    """What the operator's service account may do in a namespace, beyond what every service account may.

    By `resource.group/subresource`, or `resource.group/name` where it may do so with one object alone.
    """
    user = f"--as=system:serviceaccount:{place.home}:"
    ask = ("auth", "can-i", "--list", "--no-headers")
    own, usual = (
        {" ".join(line.split()) for line in place.cluster.kubectl(*ask, "-n", namespace, user + name).splitlines()}
        for name in (OPERATOR, "default")
    )
    found: dict[str, set[str]] = {}
    for line in own - usual:
        cells = re.fullmatch(r"(\S+) \[] \[(\S*)] \[(.+)]", line)
        assert cells, f"not the right to a resource: {line}"
        found[cells[1] + (f"/{cells[2]}" if cells[2] else "")] = set(cells[3].split())
    return found


def test_a_watched_namespace_is_deleted_with_its_jobs_and_the_others_are_looked_after_until_it_is_back(
    place: Place,
) -> None:
    both = f"watchNamespaces={{{place.jobs},{place.elsewhere}}}"
    place.install("--set", both, *FIRST)
    running = JOB.replace("  suspend: true\n", "")
    place.cluster.apply(running, place.jobs)
    held = lambda: place.cluster.get("rolebinding", "streamjob-drain", place.jobs)["metadata"].get("finalizers")  # noqa: E731
    place.cluster.wait(held, what="the binding is held for the job")
    place.cluster.kubectl("delete", "namespace", place.jobs, "--timeout=180s")

    # An operator that starts now does not find the namespace, and looks after the other one.
    place.cluster.kubectl("rollout", "restart", f"deployment/{OPERATOR}", "-n", place.home)
    place.cluster.kubectl("rollout", "status", f"deployment/{OPERATOR}", "-n", place.home, "--timeout=120s")
    place.cluster.apply(JOB, place.elsewhere)
    place.cluster.kubectl("wait", "--for=condition=Suspended", "stj/kept", "-n", place.elsewhere, "--timeout=60s")

    # And when it is there again, with the Role in it, so are its jobs.
    place.cluster.kubectl("create", "namespace", place.jobs)
    place.helm("upgrade", str(CHART), "--reuse-values", *WAIT)
    place.cluster.apply(JOB, place.jobs)
    place.cluster.kubectl("wait", "--for=condition=Suspended", "stj/kept", "-n", place.jobs, "--timeout=120s")
