"""Build what a release consists of into dist/: `make release`, or `python -m scripts.release`.

The wheel and the source archive, the chart as a package, the images of operator and runtime as archives, the CHANGELOG,
and SHA256SUMS of all of them. But for the images, the same commit gives the same bytes. Where no engine can build
images the rest is made, and this fails in the end; with IMAGES=no in the environment it does not.
"""

import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from scripts import tools
from scripts.images import NoEngine, build, engine, output, save
from scripts.version import ROOT, VERSION

DIST = ROOT / "dist"
CHART = ROOT / "charts" / "streamjob-operator"
SUMS = "SHA256SUMS"


def main() -> None:
    """Refuse what is no release, then build."""
    if changed := output("git", "status", "--porcelain"):
        sys.exit(f"A release is made of a commit, and here is more than that:\n{changed}\nCommit it, or take it away.")
    if not section_of((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), VERSION):
        sys.exit(f"CHANGELOG.md says nothing of {VERSION}. Write a section “## {VERSION}”, or correct the version.")
    when = int(output("git", "log", "-1", "--format=%ct"))
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    build_python(DIST, when)
    package_chart(DIST, when)
    shutil.copy(ROOT / "CHANGELOG.md", DIST)
    missing = "" if os.environ.get("IMAGES") == "no" else build_images(DIST)
    (DIST / SUMS).write_text(sums(DIST), encoding="utf-8")
    print((DIST / SUMS).read_text(encoding="utf-8"), end="")
    if missing:
        sys.exit(f"This is the release {VERSION} without its images: {missing} With IMAGES=no this is no failure.")


def section_of(changelog: str, version: str) -> str:
    """What the CHANGELOG says of a version; empty: nothing."""
    found = re.search(
        rf"^## {re.escape(version)}\b(?![.-])[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    return found[1].strip() if found else ""


def build_python(folder: Path, when: int) -> None:
    """The wheel and the source archive, as of that time (seconds)."""
    print("Building the wheel …", flush=True)
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder), when=when)


def package_chart(folder: Path, when: int) -> None:
    """The chart's package, as of that time (seconds)."""
    print("Packing the chart …", flush=True)
    helm = shutil.which("helm", path=tools.path()) or "helm"
    run(helm, "package", str(CHART), "--destination", str(folder))
    for package in folder.glob(f"{CHART.name}-*.tgz"):
        package.write_bytes(steady(package.read_bytes(), when))


def steady(package: bytes, when: int) -> bytes:
    """The same files in a .tgz that does not tell when and by whom it was packed."""
    out = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(package)) as before,
        gzip.GzipFile(fileobj=out, mode="wb", mtime=when) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as after,
    ):
        for member in before.getmembers():  # helm looks for Chart.yaml first
            entry = tarfile.TarInfo(member.name)
            entry.size, entry.mode, entry.mtime = member.size, 0o644, when
            after.addfile(entry, before.extractfile(member))
    return out.getvalue()


def build_images(folder: Path) -> str:
    """The images' archives; why there are none, if so."""
    try:
        with_engine = engine()
    except NoEngine as error:
        return str(error)
    build(with_engine)
    save(with_engine, folder)
    return ""


def sums(folder: Path) -> str:
    """The lines of SHA256SUMS for a folder's files, as `sha256sum --check` takes them."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def run(*command: str, when: int | None = None) -> None:
    """Run a command in the repository, as of that time; end here if it fails."""
    environ = {**os.environ, **({} if when is None else {"SOURCE_DATE_EPOCH": str(when)})}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environ, check=False)
    except FileNotFoundError:
        sys.exit(f"{command[0]} is not installed. Install it: .venv/bin/python -m scripts.tools {command[0]}")
    if done.returncode:
        sys.exit(f"That failed (above): {' '.join(command[:4])} …")


if __name__ == "__main__":
    main()
