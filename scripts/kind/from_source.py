"""A cluster's ingredients from package registries alone, for machines without Docker or without an image registry."""

import os
import shutil
from pathlib import Path

from scripts.kind import engine, images, node_image
from scripts.kind.steps import StepError, run, step, wait_for, works

# Programs that the steps call, and the packages of Debian that bring them.
PACKAGES = {
    "containerd": "containerd",
    "ip": "iproute2",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
}
ENGINE_PACKAGES = {"docker": "docker.io", "dockerd": "docker.io"}
# With it mmdebstrap checks Debian's signatures on other systems too.
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

SECONDS_FOR_THE_SERVICE = 20


def make() -> None:
    """Everything: system packages, programs, a Docker engine if none runs, the node image and a Python image."""
    start_engine()
    node_image.build()
    if not images.can_have(images.PYTHON):
        images.make_python()


def start_engine() -> None:
    """A Docker engine, if none runs, and the system packages for all the rest."""
    if os.geteuid() != 0:
        raise StepError("it installs packages, starts dockerd and makes root file systems: run it as root")
    install_packages()
    engine.start()


def install_packages() -> None:
    """Install from Debian what is missing of the programs that are called here."""
    wanted = PACKAGES if engine.is_running() else PACKAGES | ENGINE_PACKAGES
    missing = {package for program, package in wanted.items() if shutil.which(program) is None}
    if not KEYRING.exists():
        missing.add("debian-archive-keyring")
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise StepError(f"this machine has no apt-get; install yourself what gives {', '.join(sorted(missing))}")
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *sorted(missing)]
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with step(f"apt-get install {' '.join(sorted(missing))}"):
        run("apt-get", "update", env=environ)
        run(*install, env=environ)
        if "docker.io" in missing and works("systemctl", "is-system-running", "--wait"):
            # Where systemd runs, the package has started Docker as the machine's own service.
            wait_for(engine.is_running, SECONDS_FOR_THE_SERVICE)
