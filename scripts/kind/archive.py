"""Container images of one layer, written without a container engine, in the format of `docker save`."""

import gzip
import hashlib
import json
import platform
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from scripts.kind.steps import StepError, run

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """A name, the folder that becomes the root of its file system, and what is run in it."""

    name: str
    root: Path
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environ: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"
    # Paths below the root whose content is left out.
    without: tuple[str, ...] = field(default=())


def load(image: Image, folder: Path) -> None:
    """Give an image to the Docker engine, by way of a file in a folder."""
    write_archive([image], folder / "image.tar", level=0)
    run("docker", "load", "--input", folder / "image.tar")


def write_archive(images: list[Image], archive: Path, level: int) -> None:
    """Write an archive that `docker load` and `ctr images import` read, its layers compressed at a level of gzip."""
    manifest = []
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder, tarfile.open(archive, "w") as tar:
        for image in images:
            layer = Path(folder) / "layer.tar.gz"
            config = json.dumps(configuration(image, write_layer(image, layer, level))).encode()
            name = sha256(config)
            add(tar, f"{name}.json", config)
            tar.add(layer, f"{name}/layer.tar")
            manifest.append({"Config": f"{name}.json", "Layers": [f"{name}/layer.tar"], "RepoTags": [image.name]})
        add(tar, "manifest.json", json.dumps(manifest).encode())


def write_layer(image: Image, layer: Path, level: int) -> str:
    """Pack an image's files; the digest of the layer as it is before compression."""
    exclude = [f"--exclude=./{path}/*" for path in image.without]
    command = ["tar", "--numeric-owner", "-C", str(image.root), *exclude, "-c", "."]
    digest = hashlib.sha256()
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as tar,
        gzip.open(layer, "wb", compresslevel=level) as packed,
    ):
        assert tar.stdout is not None
        while block := tar.stdout.read(1 << 20):
            digest.update(block)
            packed.write(block)
    if tar.returncode != 0:
        raise StepError(f"the files of {image.name} could not be packed, see above")
    return f"sha256:{digest.hexdigest()}"


def configuration(image: Image, layer_digest: str) -> dict[str, object]:
    """What an image says of itself."""
    process = {
        "Entrypoint": list(image.entrypoint) or None,
        "Cmd": list(image.command) or None,
        "Env": [PATH, *image.environ],
        "StopSignal": image.stop_signal,
    }
    return {
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": process,
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
    }


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Put a file into an archive."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, BytesIO(content))


def sha256(content: bytes) -> str:
    """The digest of some bytes, in hex digits."""
    return hashlib.sha256(content).hexdigest()


def copy_into(root: Path, *files: Path | tuple[Path, str]) -> None:
    """Copy programs into `/usr/local/bin` of an image, or to the path that stands beside one."""
    for item in files:
        file, target = item if isinstance(item, tuple) else (item, f"usr/local/bin/{item.name}")
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, root / target)
