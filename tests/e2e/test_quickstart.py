"""The quickstart on Kubernetes, followed step by step as its readers do."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cluster import ROOT, Cluster, path, run
from support.operator_release import OperatorRelease
from support.pages import Step, missing, steps

PAGE = ROOT / "docs" / "quickstart-kubernetes.md"
HOME = "streamjob"
"""The release and the namespace that the page names."""

DONE_BY_THE_FIXTURES = ("kind create cluster", "make images", "kind delete cluster")
STEP_S = 300
CRD = "crd/streamjobs.streamjob.dev"
OPERATORS = "app.kubernetes.io/managed-by=streamjob-operator"
COUNT_OF_THE = re.compile(r"^the +│ +(\d+)$", re.MULTILINE)


@pytest.fixture
def kubeconfig(cluster: Cluster, operator: OperatorRelease, namespace: str, tmp_path: Path) -> Iterator[Path]:
    """A reader's: its namespace is the test's. The reader installs an operator, so the session's is away meanwhile."""
    image = run(sys.executable, "-m", "scripts.kind", "image", "minio").strip()
    cluster.load_image(image)
    own = Path(shutil.copy(cluster.kubeconfig, tmp_path / "kubeconfig"))
    run("kubectl", "config", "set-context", "--current", f"--namespace={namespace}", kubeconfig=own)
    owner = [_mark(cluster, key) for key in ("name", "namespace")]
    with operator.away():
        _give_crd_to(cluster, HOME, HOME)
        yield own
        # If the test has failed on its way, this is left; jobs that are left the session's operator finishes.
        if cluster.helm("list", "--namespace", HOME, "--all", "--short"):
            cluster.helm("uninstall", HOME, "--namespace", HOME)
        cluster.kubectl("delete", "namespace", HOME, "--ignore-not-found", "--timeout=120s")
        _give_crd_to(cluster, *owner)


def test_every_step_does_what_the_page_shows(cluster: Cluster, kubeconfig: Path, namespace: str) -> None:
    printed = []
    for step in steps(PAGE):
        if not step.commands.startswith(DONE_BY_THE_FIXTURES):
            # A reader's namespace is called default.
            printed.append(follow(step, kubeconfig).replace(namespace, "default"))
            left_out = missing(step.shown, printed[-1])
            assert not left_out, f"{PAGE.name}:{step.line}: {left_out!r} is not in:\n{printed[-1]}"
    assert len(printed) > 10

    # Through a deleted pod, a changed spec and a rest, no word that was shown as counted is forgotten.
    counts = [int(count) for output in printed for count in COUNT_OF_THE.findall(output)]
    assert counts == sorted(counts)
    assert counts[-1] > counts[0] > 0
    # Nothing of it is left, once its pods have ended.
    cluster.wait(lambda: not cluster.objects("all", namespace), what="the end of all pods")
    cluster.wait(lambda: not cluster.objects("configmaps", namespace, OPERATORS), what="the end of all ConfigMaps")


def follow(step: Step, kubeconfig: Path) -> str:
    """What a step prints; one that only looks is done again until it shows what the page shows."""
    last = ""

    def shows() -> bool:
        nonlocal last
        last = paste(step, kubeconfig)
        return not missing(step.shown, last)

    if not step.only_looks:
        return paste(step, kubeconfig)
    try:
        Cluster(kubeconfig).wait(shows)
    except AssertionError as error:
        error.add_note(last)
        raise
    return last


def paste(step: Step, kubeconfig: Path) -> str:
    """What bash prints when a block is pasted into it."""
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", step.commands],
        cwd=ROOT,
        env=os.environ | {"PATH": path(), "KUBECONFIG": str(kubeconfig)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=STEP_S,
        check=False,
    )
    assert (done.returncode != 0) == step.refused, (
        f"{PAGE.name}:{step.line} ended with {done.returncode}: {done.stdout}"
    )
    return done.stdout


def _mark(cluster: Cluster, key: str) -> str:
    """The name, or the namespace, of the release that the CRD belongs to; "": to none."""
    return cluster.kubectl("get", CRD, "-o", rf"jsonpath={{.metadata.annotations.meta\.helm\.sh/release-{key}}}")


def _give_crd_to(cluster: Cluster, name: str, namespace: str) -> None:
    """A release takes over only what is marked as its own; an empty name: nobody's."""
    marks = {"release-name": name, "release-namespace": namespace}
    said = [f"meta.helm.sh/{key}{f'={value}' if value else '-'}" for key, value in marks.items()]
    cluster.kubectl("annotate", "--overwrite", CRD, *said)
    cluster.kubectl("label", "--overwrite", CRD, "app.kubernetes.io/managed-by=Helm")
