"""Build the images of the operator and the runtime, with docker or buildah: `python -m scripts.images`.

Their packages are fetched beforehand, so that the build itself needs no network. The environment's PYTHON_IMAGE names
another base than the Dockerfiles' own. With `--load` the images go into the kind cluster, and nothing is built.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from scripts import tools
from scripts.version import VERSION

ROOT = Path(__file__).parent.parent
WHEELS = ROOT / "requirements" / "wheels"
REQUIREMENTS = [ROOT / "requirements" / f"{name}.txt" for name in ("build", "operator", "runtime")]
IMAGES = {name: f"ghcr.io/streamjob/{name}:{VERSION}" for name in ("operator", "runtime")}
CLUSTER = "streamjob"
# The base image, as the Dockerfiles name it.
(BASE,) = {
    line.partition("=")[2]
    for name in IMAGES
    for line in (ROOT / name / "Dockerfile").read_text().splitlines()
    if line.startswith("ARG PYTHON_IMAGE=")
}
# The first is what scripts/kind makes where no registry can be reached.
BASES = ("streamjob/python:bookworm", BASE)
# What `Python` holds, asked of the base image.
ASK = """
import json, os, platform, sys
markers = {
    "implementation_name": sys.implementation.name, "implementation_version": platform.python_version(),
    "os_name": os.name, "platform_machine": platform.machine(), "platform_release": "", "platform_version": "",
    "platform_system": platform.system(), "platform_python_implementation": platform.python_implementation(),
    "python_full_version": platform.python_version(), "python_version": "%d.%d" % sys.version_info[:2],
    "sys_platform": sys.platform}
print(json.dumps({"markers": markers, "libc": platform.libc_ver()}))
"""


@dataclass(frozen=True)
class Python:
    """The Python of a base image."""

    markers: dict[str, str]  # what a requirement's marker may ask
    libc: tuple[str, str]  # the C library and its version

    @property
    def version(self) -> str:
        """As in 3.12.1."""
        return self.markers["python_full_version"]

    @property
    def machine(self) -> str:
        """As in x86_64."""
        return self.markers["platform_machine"]


class NoEngine(Exception):
    """Nothing here builds images: why, and what to do, in a sentence for the user."""


def main(arguments: list[str]) -> None:
    """Build, or load into the cluster."""
    try:
        found = engine()
    except NoEngine as error:
        sys.exit(str(error))
    if arguments == ["--load"]:
        load(found)
    else:
        build(found)


def engine() -> str:
    """The command that builds images. Raises `NoEngine`."""
    found = shutil.which("docker") or shutil.which("buildah")
    if found is None:
        raise NoEngine("Images are built by docker or by buildah, and neither is installed here. Install one of them.")
    if found.endswith("docker") and subprocess.run([found, "version"], capture_output=True, check=False).returncode:
        raise NoEngine("Images are built by docker, whose engine does not answer here. Start the engine.")
    return found


def build(engine: str) -> None:
    """Build both images."""
    base = os.environ.get("PYTHON_IMAGE") or next((b for b in BASES if has(engine, b)), BASES[-1])
    fetch_wheels(about(engine, base))
    for name, image in IMAGES.items():
        print(f"Building {image} on {base} …", flush=True)
        run(engine, "build", "--build-arg", f"PYTHON_IMAGE={base}", "-f", f"{name}/Dockerfile", "-t", image, ".")


def save(engine: str, folder: Path) -> None:
    """Write each image to an archive in the folder, which `docker load` and `kind load image-archive` take."""
    for name, image in IMAGES.items():
        archive = folder / f"streamjob-{name}-{VERSION}-linux-{architecture(engine, image)}.tar"
        print(f"Saving {archive.name} …", flush=True)
        if engine.endswith("docker"):
            run(engine, "save", "--output", str(archive), image)
        else:
            run(engine, "push", image, f"docker-archive:{archive}:{image}")


def architecture(engine: str, image: str) -> str:
    """For which machines the image is, as in amd64."""
    form = "{{.Architecture}}" if engine.endswith("docker") else "{{.OCIv1.Architecture}}"
    return output(engine, "inspect", "--type", "image", "--format", form, image)


def load(engine: str) -> None:
    """Bring the images to every node of the kind cluster."""
    kind = shutil.which("kind", path=tools.path()) or "kind"
    if engine.endswith("docker"):
        run(kind, "load", "docker-image", "--name", CLUSTER, *IMAGES.values())
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, image in IMAGES.items():
            run(engine, "push", image, f"docker-archive:{folder}/{name}.tar:{image}")
            run(kind, "load", "image-archive", "--name", CLUSTER, f"{folder}/{name}.tar")


def has(engine: str, image: str) -> bool:
    """Whether the engine has the image."""
    done = subprocess.run([engine, "inspect", "--type", "image", image], capture_output=True, check=False)
    return done.returncode == 0


def about(engine: str, base: str) -> Python:
    """What the Python of the base image says of itself."""
    if engine.endswith("docker"):
        said = output(engine, "run", "--rm", "--entrypoint", "python", base, "-c", ASK)
    else:
        container = output(engine, "from", base)
        said = output(engine, "run", container, "--", "python", "-c", ASK)
        output(engine, "rm", container)
    return Python(**json.loads(said))


def fetch_wheels(python: Python) -> None:
    """Have exactly the wheels for that Python in `WHEELS`, each with the hash that requirements/*.txt demand."""
    stamp = hashlib.sha256(repr(python).encode() + b"".join(f.read_bytes() for f in REQUIREMENTS)).hexdigest()
    if (WHEELS / "stamp").exists() and (WHEELS / "stamp").read_text() == stamp:
        return
    shutil.rmtree(WHEELS, ignore_errors=True)
    print("Fetching the packages …", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        wheels, wanted = Path(folder) / "wheels", Path(folder) / "wanted.txt"
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        download += ["--require-hashes", "--only-binary", ":all:", "--python-version", python.version]
        download += [argument for name in platforms(python) for argument in ("--platform", name)]
        for file in REQUIREMENTS:
            wanted.write_text("\n".join(lines_for(file.read_text(), python)))
            run(*download, "--dest", str(wheels), "-r", str(wanted))
        (wheels / "stamp").write_text(stamp)
        shutil.move(wheels, WHEELS)


def lines_for(requirements: str, python: Python) -> list[str]:
    """The requirements that hold for a Python, without their markers: pip would ask those of its own Python."""
    found = []
    for entry in requirements.replace("\\\n", " ").splitlines():
        if entry.strip() and not entry.lstrip().startswith("#"):
            name, *hashes = (part.strip() for part in entry.split("--hash="))
            requirement = Requirement(name)
            if requirement.marker is None or requirement.marker.evaluate(python.markers):
                found.append(" --hash=".join([f"{requirement.name}{requirement.specifier}", *hashes]))
    return found


def platforms(python: Python) -> list[str]:
    """Every platform whose wheels run there, as pip names it."""
    library, version = python.libc
    major, _, minor = version.partition(".")
    if (library, major) != ("glibc", "2"):
        sys.exit(f"The base image's C library is {library} {version}; choose a base with glibc, such as Debian's.")
    names = [f"manylinux_2_{older}" for older in range(int(minor), 4, -1)]
    return [f"{name}_{python.machine}" for name in (*names, "manylinux2014", "manylinux2010", "manylinux1")]


def run(*command: str) -> None:
    """Run a command in the repository; end here if it fails."""
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit(f"That failed (above): {' '.join(command[:3])} …")


def output(*command: str) -> str:
    """What a command prints; end here if it fails."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"That failed (above): {' '.join(command[:3])} …")
    return done.stdout.strip()


if __name__ == "__main__":
    main(sys.argv[1:])
