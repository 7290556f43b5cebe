"""Install what tests and benchmarks need beside .venv, once, into the cache: `python -m scripts.tools minio spark`.

The tools that one call names are installed one after the other; whoever wants one of them meanwhile waits for it.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from contextlib import ExitStack
from pathlib import Path

from scripts import cache
from scripts.cache import Place
from scripts.go import LINES_OF_A_FAILURE, Go, GoPrograms, InstallError, workshop

SCRIPTS = Path(__file__).parent
REQUIREMENTS = SCRIPTS.parent / "requirements"
MODULES = SCRIPTS / "kind" / "modules"
POMS = SCRIPTS / "servers"

KUBERNETES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubeadm",
    "kubectl",
    "kubelet",
)
GO_PROGRAMS = {
    "kind": GoPrograms(("sigs.k8s.io/kind@v0.33.0",), files="images/base/files"),  # of its node image
    "kubernetes": GoPrograms(tuple(f"k8s.io/kubernetes/cmd/{name}" for name in KUBERNETES), MODULES / "kubernetes"),
    "kubectl": GoPrograms(("k8s.io/kubernetes/cmd/kubectl",), MODULES / "kubernetes"),
    "etcd": GoPrograms(("go.etcd.io/etcd/server/v3",), MODULES / "etcd", renamed=("server", "etcd")),
    "coredns": GoPrograms(("github.com/coredns/coredns@v1.12.1",)),
    "helm": GoPrograms(("helm.sh/helm/v3/cmd/helm@v3.22.0",)),
    "minio": GoPrograms(("github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c",)),
    "kwok": GoPrograms(("sigs.k8s.io/kwok/cmd/kwok@v0.8.0",)),
}
# Servers of which Maven Central has the jars, or one archive, in the versions that `servers/<name>/pom.xml` pins.
JAVA_SERVERS = {"kafka": "copy", "hdfs": "copy", "registry": "unpack", "spark-kafka": "copy"}
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
# What comes by pip, each into an environment of its own.
PIP_PACKAGES = {"spark": REQUIREMENTS / "bench.txt", "flink": REQUIREMENTS / "flink.txt"}
NAMES = (*GO_PROGRAMS, *JAVA_SERVERS, *DEBIAN_PACKAGES, *PIP_PACKAGES)


def main(names: list[str]) -> int:
    """Install the tools of these names; the exit code, 1 if one could not be."""
    if not names or not set(names) <= set(NAMES):
        print(f"usage: python -m scripts.tools {'|'.join(NAMES)} …", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing half made is left
    cache.claim(*names)
    say(f"{', '.join(names)}: to be in {cache.folder()}")
    try:
        install(*names)
    except InstallError as err:
        say(str(err))
        return 1
    return 0


def install(*names: str) -> None:
    """Have these tools in the cache. One that cannot be had stops none of the others; `InstallError` in the end."""
    missed = []
    with ExitStack() as stack:
        go: Go | None = None
        for name in names:
            with cache.lock(name):
                if is_there(name):
                    say(f"{name} is there already")
                    continue
                try:
                    if name in GO_PROGRAMS and go is None:
                        go = stack.enter_context(workshop())
                    began = time.monotonic()
                    make(name, go)
                except (InstallError, OSError, subprocess.CalledProcessError) as err:
                    say(f"{name}: {err}")
                    missed.append(name)
                else:
                    say(f"{name}: {time.monotonic() - began:.0f} s, in {place(name).path}")
    if missed:
        raise InstallError(f"not installed: {', '.join(missed)}; see above why")


def say(text: str) -> None:
    """A line for the user, on stderr: stdout is for results."""
    print(f"tools: {text}", file=sys.stderr, flush=True)


def place(name: str) -> Place:
    """Where a tool is, or will be, in the version that is wanted."""
    if name in GO_PROGRAMS:
        return Place(name, GO_PROGRAMS[name].version())
    if name in JAVA_SERVERS:
        return Place(name, cache.fingerprint(POMS / name / "pom.xml", JAVA_SERVERS[name]))
    if name in DEBIAN_PACKAGES:
        return Place(name, cache.fingerprint(*DEBIAN_PACKAGES[name]))
    return Place(name, cache.fingerprint(PIP_PACKAGES[name]))


def is_there(name: str) -> bool:
    """Whether the cache has a tool, or the machine has it where it is looked for first."""
    return place(name).is_there() or (name == "postgres" and POSTGRES_OF_DEBIAN.exists())


def is_there_in_the_end(name: str) -> bool:
    """Whether a tool is there, once nobody is about to install it any more."""
    if is_there(name):
        return True
    with cache.lock(name):
        return is_there(name)


def program(name: str) -> Path:
    """Where a command that Go builds is, or will be."""
    return place("kubernetes" if name in KUBERNETES else name).path / name


def path() -> str:
    """Where commands are looked for: the project's own first, then the machine's."""
    own = [place(name).path for name in ("kubernetes", *GO_PROGRAMS)]
    return os.pathsep.join([*map(str, own), os.environ.get("PATH", "")])


def make(name: str, go: Go | None) -> None:
    """Make one tool. Raises `InstallError`."""
    if name in GO_PROGRAMS:
        assert go is not None
        say(f"{name}: building {place(name).version} with Go {go.version}, once")
        with place(name).made() as folder:
            go.build(GO_PROGRAMS[name], folder)
    elif name in JAVA_SERVERS:
        maven_install(name)
    elif name in DEBIAN_PACKAGES:
        debian_install(name)
    else:
        pip_install(name, PIP_PACKAGES[name])


def pip_install(name: str, packages: Path) -> None:
    """Make a virtual environment with pinned packages."""
    say(f"{name}: installing {packages.name}, once; this takes some minutes")
    with place(name).made() as folder:
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, "--require-hashes", "-r", str(packages)], check=False).returncode:
            raise InstallError(f"pip could not install {packages}, see above. Is the package index reachable?")


def maven_install(name: str) -> None:
    """Bring a server's jars."""
    find_java()
    maven = shutil.which("mvn")
    if maven is None:
        raise InstallError("it comes by Maven, and no mvn was found. Install it: apt-get install maven")
    say(f"{name}: downloading by Maven, once")
    with place(name).made() as folder:
        command = [maven, "-B", "-q", "-Dstyle.color=never", "-f", str(POMS / name / "pom.xml")]
        command += [f"dependency:{JAVA_SERVERS[name]}-dependencies", "-DincludeScope=runtime"]
        command.append(f"-DoutputDirectory={folder}")
        command.append(f"-DmarkersDirectory={folder}")  # what it has unpacked; without this, beside the pom
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).splitlines()[-LINES_OF_A_FAILURE:])
            raise InstallError(f"Maven could not download it:\n{said}\nIs Maven Central or a mirror reachable?")


def debian_install(name: str) -> None:
    """Unpack Debian packages."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise InstallError(f"it comes from Debian 12's packages; here, install it as {POSTGRES_OF_DEBIAN}")
    packages = DEBIAN_PACKAGES[name]
    say(f"{name}: downloading {', '.join(packages)}, once")
    with place(name).made() as folder, tempfile.TemporaryDirectory(prefix="streamjob-apt-") as downloads:
        Path(downloads).chmod(0o777)  # apt gives up root's rights to download
        download = ["apt-get", "download", "-q", *packages]
        if subprocess.run(download, cwd=downloads, stdout=sys.stderr, check=False).returncode:
            raise InstallError("apt-get could not download it, see above. Is its list new (apt-get update)?")
        for package in Path(downloads).glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, folder], check=True)


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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
