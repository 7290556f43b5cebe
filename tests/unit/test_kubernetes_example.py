"""The example for Kubernetes fits the rest of the repository."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "kubernetes-word-count"


def test_it_runs_the_images_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    text = "".join(file.read_text() for file in sorted(EXAMPLE.glob("*.yaml")))
    used = set(re.findall(r"image: ghcr\.io/streamjob/(\S+)", text))
    assert used == {f"runtime:{version}"}


def test_its_pipeline_is_that_of_the_other_word_counts() -> None:
    specs = [
        yaml.safe_load((ROOT / "examples" / name / "streamjob.yaml").read_text())["spec"]
        for name in ("kubernetes-word-count", "word-count", "netcat-word-count")
    ]
    assert specs[0]["pipeline"] == specs[1]["pipeline"] == specs[2]["pipeline"]
