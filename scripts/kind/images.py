"""Images that tests build on: the public ones where they can be pulled, else stand-ins made from packages."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from scripts import cache, tools
from scripts.images import BASE
from scripts.kind import debian
from scripts.kind.archive import Image, copy_into, load
from scripts.kind.steps import ImpossibleHere, is_ci, run, step, works

PYTHON = BASE
PYTHON_STAND_IN = "streamjob/python:bookworm"

# The last public release that creates an object only once when asked to (`If-None-Match: *`).
MINIO = "quay.io/minio/minio:RELEASE.2025-07-23T15-54-02Z"

# HDFS's jars and the parts of Java that they need. Where its configuration is mounted, /etc/hadoop, comes first.
HDFS_DOCKERFILE = """\
FROM {base}
COPY java /opt/java
COPY jars /opt/hdfs
# The artifacts of Maven lack the pages of the web servers, and Hadoop wants its user to have a name.
RUN mkdir -p /opt/hdfs/webapps/hdfs/WEB-INF /opt/hdfs/webapps/datanode/WEB-INF /opt/hdfs/webapps/static/WEB-INF && \\
    echo 'hdfs:x:65532:65532::/tmp:/usr/sbin/nologin' >> /etc/passwd
ENV CLASSPATH=/etc/hadoop:/opt/hdfs:/opt/hdfs/* HADOOP_CONF_DIR=/etc/hadoop
ENTRYPOINT ["/opt/java/bin/java", "--add-opens=java.base/java.lang=ALL-UNNAMED"]
"""
JAVA_MODULES = ("java.se", "jdk.crypto.ec", "jdk.management", "jdk.security.auth", "jdk.unsupported")

SECONDS_TO_PULL = 300


def python() -> str:
    """The name of an image with Python and nothing else, which the engine has after this."""
    if exists(PYTHON_STAND_IN):
        return PYTHON_STAND_IN
    if can_have(PYTHON):
        return PYTHON
    if not is_ci():
        raise ImpossibleHere(f"{PYTHON} cannot be pulled. Check the network, or make one: make kind-from-source")
    make_python()
    return PYTHON_STAND_IN


def minio() -> str:
    """The name of MinIO's image, which the engine has after this; its program is the one of `make tools` if need be."""
    if not can_have(MINIO):
        make(minio_stand_in)
    return MINIO


def hdfs() -> str:
    """The name of HDFS's image, which the engine has after this: called with a class and its arguments."""
    tools.install("hdfs")
    base = python()
    name = f"streamjob/hdfs:{cache.fingerprint(tools.place('hdfs').version, base, HDFS_DOCKERFILE, *JAVA_MODULES)}"
    if not exists(name):
        with cache.working_folder("hdfs-image") as folder, step(f"docker build {name}"):
            shutil.copytree(tools.place("hdfs").path, folder / "jars", copy_function=os.link)
            small = ("--strip-debug", "--no-man-pages", "--no-header-files")
            run(jlink(), "--add-modules", ",".join(JAVA_MODULES), *small, "--output", folder / "java")
            (folder / "Dockerfile").write_text(HDFS_DOCKERFILE.format(base=base))
            run("docker", "build", "--quiet", "--tag", name, folder)
    return name


def jlink() -> Path:
    """The program that puts a small Java together; only a whole JDK has it."""
    found = Path(tools.find_java()).resolve().with_name("jlink")
    if not found.exists():
        raise ImpossibleHere(f"{found.parents[1]} has no jlink. Install a JDK: apt-get install openjdk-17-jdk-headless")
    return found


def exists(name: str) -> bool:
    """Whether the engine has an image."""
    return works("docker", "image", "inspect", name)


def can_have(name: str) -> bool:
    """Have an image in the engine; False where its registry cannot be reached."""
    if exists(name):
        return True
    with step(f"docker pull {name}"):
        return works("docker", "pull", "--quiet", name, seconds=SECONDS_TO_PULL)


def make_python() -> None:
    """Make the stand-in for Python's image, unless it is there."""
    if not exists(PYTHON_STAND_IN):
        make(python_stand_in)


def make(lay_out: Callable[[Path], Image]) -> None:
    """Make an image of the files that a function lays out in a folder."""
    with cache.working_folder("image") as folder:
        image = lay_out(folder / "root")
        with step(f"docker load {image.name}"):
            load(image, folder)


def python_stand_in(root: Path) -> Image:
    """Debian with its Python, at the paths where the official image has it."""
    with step(f"{PYTHON_STAND_IN}: Debian's packages"):
        debian.install(root, "ca-certificates", "python3", "python3-venv")
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    (root / "usr/local/bin/python3").symlink_to("/usr/bin/python3")
    return Image(PYTHON_STAND_IN, root, command=("python3",), without=("dev", "proc", "sys"))


def minio_stand_in(root: Path) -> Image:
    """MinIO's program alone, called as in its public image: `args: [server, /data]`."""
    tools.install("minio")
    copy_into(root, (tools.program("minio"), "usr/bin/minio"))
    for folder in ("data", "tmp"):
        (root / folder).mkdir()
        (root / folder).chmod(0o1777)
    return Image(MINIO, root, entrypoint=("minio",))
