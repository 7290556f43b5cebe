"""The project's images, built from the present sources and in the cluster."""

import hashlib
import subprocess
import sys
from pathlib import Path

from scripts.images import IMAGES

from support.cluster import ROOT, Cluster

RUNTIME, OPERATOR = IMAGES["runtime"], IMAGES["operator"]

_SOURCES = ("api", "operator", "runtime", "requirements", "pyproject.toml", "README.md", "scripts/images.py")
_STAMP = "streamjob.dev/images-of"


def ensure(cluster: Cluster) -> None:
    """Build and load the images, unless the cluster has them of these very sources."""
    wanted = f"{_hash_of_sources()} {_ids(cluster)}"
    node = cluster.workers()[0]
    if cluster.get("node", node)["metadata"].get("annotations", {}).get(_STAMP) == wanted:
        return
    for arguments in ([], ["--load"]):
        subprocess.run([sys.executable, "-m", "scripts.images", *arguments], cwd=ROOT, check=True)
    cluster.kubectl("annotate", "--overwrite", "node", node, f"{_STAMP}={_hash_of_sources()} {_ids(cluster)}")


def _ids(cluster: Cluster) -> str:
    """Which images the Docker engine has by these names now; somebody may have built others."""
    return " ".join(cluster.docker("images", "--quiet", "--no-trunc", name).strip() for name in (RUNTIME, OPERATOR))


def _hash_of_sources() -> str:
    said = hashlib.sha256()
    for path in sorted(path for name in _SOURCES for path in _files(ROOT / name)):
        said.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return said.hexdigest()


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [p for p in path.rglob("*") if p.is_file() and not {"__pycache__", "wheels"} & set(p.parts)]
