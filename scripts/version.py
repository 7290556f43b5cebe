"""The version: it stands in pyproject.toml, and is written from there wherever else people read it."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION = str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])
_ANY = r"[0-9]+\.[0-9]+\.[0-9]+"

# What stands before the version there.
PLACES: Mapping[str, str] = {
    "charts/streamjob-operator/Chart.yaml": r"^(version: |appVersion: \")",
    "docs/install.md": r"(streamjob\.dev/restart=|streamjob-(?:operator-|runtime-)?)",
    "docs/quickstart-kubernetes.md": r"(The StreamJob operator )",
    "examples/kubernetes-word-count/minio.yaml": r"(ghcr\.io/streamjob/runtime:)",
    "examples/kubernetes-word-count/text-generator.yaml": r"(ghcr\.io/streamjob/runtime:)",
}


def with_version(text: str, before: str, version: str = VERSION) -> str:
    """The text with this version in place of any other at those places. Raises `ValueError` if there is none."""
    changed, count = re.subn(f"{before}{_ANY}", lambda found: f"{found[1]}{version}", text, flags=re.MULTILINE)
    if not count:
        raise ValueError(f"nothing matches {before} and a version")
    return changed
