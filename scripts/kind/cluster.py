"""The cluster itself: made, found and removed."""

import shutil
import sys
from pathlib import Path

import yaml
from scripts import tools
from scripts.kind import engine, from_source, images, node_image
from scripts.kind.steps import ROOT, ImpossibleHere, StepError, is_ci, run, say, step, works

CONFIG = ROOT / "kind-config.yaml"
NAME = "streamjob"

HOW_TO_GET_DOCKER = (
    "no Docker engine answers. Install Docker and start it, or let this project make all that is needed from packages: "
    "make kind-from-source (Debian or Ubuntu, as root)"
)
HOW_TO_GET_A_NODE_IMAGE = (
    "the public node image cannot be pulled. Check the network, or let this project make one from packages: "
    "make kind-from-source (Debian or Ubuntu, as root)"
)


def up(kubeconfig: Path | None = None, with_images: bool = False) -> None:
    """Make the cluster, unless it runs, and give access to it in kubectl's usual file or in this one.

    `with_images`: the project's images are built first, for which nothing of the cluster is needed.
    """
    access = [] if kubeconfig is None else ["--kubeconfig", str(kubeconfig)]
    if not engine.is_running():
        if not is_ci():
            raise ImpossibleHere(HOW_TO_GET_DOCKER)
        from_source.start_engine()
    if with_images:
        images.python()
        with step("the project's images"):
            run(sys.executable, "-m", "scripts.images")
    remove_what_stands_still()
    image = None if is_up() else choose_node_image()
    kind, kubectl = program("kind"), program("kubectl")
    if image is None:
        say(f"the cluster {NAME} is there already")
        run(kind, "export", "kubeconfig", "--name", NAME, *access)
    else:
        with step(f"kind create cluster, of {image}"):
            run(kind, "create", "cluster", "--config", CONFIG, "--image", image, "--wait", "120s", *access)
    # kind waits for the control plane alone.
    with step("waiting for all nodes"):
        wait = ["wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s"]
        if not works(kubectl, "--context", f"kind-{NAME}", *access, *wait, seconds=150):
            raise StepError(f"not all nodes of {NAME} are ready: kubectl describe nodes. To begin anew: make kind-down")


def down(keep_engine: bool = False) -> None:
    """Remove the cluster, and the Docker engine if it is ours and not to be kept."""
    if engine.is_running() and is_up():
        with step(f"kind delete cluster {NAME}"):
            run(program("kind"), "delete", "cluster", "--name", NAME)
    if not keep_engine:
        engine.stop()


def is_up() -> bool:
    """Whether the cluster's nodes are there, as containers of an engine that answers."""
    return bool(nodes("--all"))


def nodes(*flags: str) -> list[str]:
    """The containers of the cluster's nodes that run; with `--all` those too that do not."""
    return run("docker", "ps", *flags, "--quiet", "--filter", f"label=io.x-k8s.kind.cluster={NAME}").split()


def remove_what_stands_still() -> None:
    """A cluster of a run that was ended with its engine: its nodes would not find each other again."""
    there = nodes("--all")
    if len(nodes()) == len(there):
        return
    if not is_ci():
        raise StepError(f"nodes of the cluster {NAME} are stopped. To begin anew: make kind-down")
    with step(f"removing the cluster {NAME}, whose nodes are stopped"):
        run(program("kind"), "delete", "cluster", "--name", NAME)


def choose_node_image() -> str:
    """The node image made here if there is one, or the public one."""
    public = yaml.safe_load(CONFIG.read_text())["nodes"][0]["image"]
    if node_image.is_built():
        return node_image.name()
    if images.can_have(public):
        return str(public)
    if not is_ci():
        raise ImpossibleHere(HOW_TO_GET_A_NODE_IMAGE)
    from_source.make()
    return node_image.name()


def program(name: str) -> Path:
    """A command of the cache, or of this machine, or built now."""
    if shutil.which(name, path=tools.path()) is None and name in tools.KUBERNETES:
        tools.is_there_in_the_end("kubernetes")  # of which it is a part
    if shutil.which(name, path=tools.path()) is None:
        tools.install(name)
    return Path(str(shutil.which(name, path=tools.path())))
