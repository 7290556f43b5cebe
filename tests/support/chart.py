"""The chart as `helm template` renders it."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripts import tools

from support.installed import require

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "streamjob-operator"
CRD = CHART / "files" / "crds" / "streamjob.dev_streamjobs.yaml"

Manifest = dict[str, Any]
"""A Kubernetes object, or a part of one; also values for the chart, where a key may be a path with dots."""

NAMESPACE = "streams"
WATCHED = ["a", "b"]
EVERYTHING: Manifest = {
    "replicas": 2,
    "networkPolicy.enabled": True,
    "monitoring": {"serviceMonitor": True, "podMonitor": True, "dashboard": True, "labels": {"release": "prom"}},
}
MODES = [pytest.param({}, id="cluster-wide"), pytest.param({"watchNamespaces": WATCHED}, id="namespaced")]

_TIMEOUT_S = 60
_LOADER = yaml.CSafeLoader  # the CRD is long: ten times as fast as the one in Python


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run helm without a cluster. Where there is none the test is skipped; in CI, which installs it, it fails."""
    if shutil.which("helm") is None:
        require("helm")
    binary = shutil.which("helm", path=tools.path())
    assert binary is not None
    return subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)


def template(
    values: Manifest | None = None, chart: Path = CHART, release: str = "streamjob", namespace: str = NAMESPACE
) -> subprocess.CompletedProcess[str]:
    """`helm template` with these values laid over the chart's own."""
    # JSON, not --set: it keeps types, and dots in texts, as they are.
    pairs = [f"--set-json={key}={json.dumps(value)}" for key, value in (values or {}).items()]
    return helm("template", release, chart, "--namespace", namespace, "--kube-version", "1.34.0", *pairs)


def render(
    values: Manifest | None = None, chart: Path = CHART, release: str = "streamjob", namespace: str = NAMESPACE
) -> list[Manifest]:
    """All objects that a release consists of, the pod of `helm test` included."""
    done = template(values, chart, release, namespace)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.load_all(done.stdout, Loader=_LOADER) if found]


def refusal(values: Manifest) -> str:
    """What helm says against these values."""
    done = template(values)
    assert done.returncode != 0, f"helm took {values}"
    return done.stderr


def of_kind(objects: list[Manifest], kind: str) -> list[Manifest]:
    """The objects of this kind."""
    return [found for found in objects if found["kind"] == kind]


def only(objects: list[Manifest], kind: str) -> Manifest:
    """The single object of this kind."""
    (found,) = of_kind(objects, kind)
    return found


def operator_of(objects: list[Manifest]) -> Manifest:
    """The operator's container."""
    containers: list[Manifest] = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    (container,) = containers
    return container


def roles_of(objects: list[Manifest]) -> list[Manifest]:
    """Every Role and ClusterRole."""
    return of_kind(objects, "Role") + of_kind(objects, "ClusterRole")


def rights(role: Manifest) -> dict[tuple[str, str], set[str]]:
    """The verbs of each API group and resource."""
    found: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


def selects(selector: Manifest, labels: Manifest) -> bool:
    """Whether `matchLabels` of a selector, which must not be empty, select what has these labels."""
    return bool(selector) and selector.items() <= labels.items()


def copy_of_the_chart(folder: Path) -> Path:
    """A chart to change, in this folder."""
    return Path(shutil.copytree(CHART, folder / CHART.name))
