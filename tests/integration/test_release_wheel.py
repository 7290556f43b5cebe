"""The wheel and the chart of a release, built twice, and used as a user does."""

import os
import subprocess
import sys
from pathlib import Path

import yaml
from scripts.release import build_python, package_chart
from scripts.version import ROOT, VERSION

from support.chart import helm

WHEN = 1_767_225_600
JOB = ROOT / "examples" / "word-count" / "streamjob.yaml"


def test_the_wheel_is_installed_and_runs(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        build_python(tmp_path / folder, WHEN)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == [f"streamjob-{VERSION}-py3-none-any.whl", f"streamjob-{VERSION}.tar.gz"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*pip, tmp_path / "one" / names[0]], check=True)
    assert said_by(site, "-c", "import streamjob_runtime as r; print(r.__file__)").startswith(str(site))
    assert said_by(site, site / "bin" / "streamjob", "--version") == f"streamjob, version {VERSION}\n"
    assert JOB.name in said_by(site, site / "bin" / "streamjob", "validate", JOB)


def said_by(site: Path, *command: str | Path) -> str:
    environ = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, *command], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_chart_is_packed_with_its_version(tmp_path: Path) -> None:
    helm("version")  # skips where there is none
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        package_chart(tmp_path / folder, WHEN)
    name = f"streamjob-operator-{VERSION}.tgz"
    assert [path.name for path in (tmp_path / "one").iterdir()] == [name]
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    shown = helm("show", "chart", tmp_path / "one" / name)
    assert yaml.safe_load(shown.stdout)["appVersion"] == VERSION, shown.stderr
    assert helm("template", "a", tmp_path / "one" / name, "--kube-version", "1.34.0").returncode == 0
