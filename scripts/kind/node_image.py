"""The image of a node: Debian, containerd and kubelet with the files of kind's own node image, and all components."""

import json
import subprocess
from pathlib import Path

from scripts import cache, tools
from scripts.kind import binaries, debian
from scripts.kind.archive import Image, copy_into, load, write_archive
from scripts.kind.components import PAUSE, component_images
from scripts.kind.steps import HERE, StepError, run, step, wait_for, works

REPOSITORY = "streamjob/node"

PACKAGES = (
    "busybox-static",
    "ca-certificates",
    "catatonit",
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "e2fsprogs",
    "ethtool",
    "iproute2",
    "iptables",
    "jq",
    "kmod",
    "nftables",
    "procps",
    "runc",
    "systemd",
)
NETWORK_PLUGINS = {"host-local", "loopback", "portmap", "ptp"}

# What starts a machine and is of no use in a container, as kind's images/base/Dockerfile removes it.
STARTED_BY_SYSTEMD = (
    "lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
    "lib/systemd/system/multi-user.target.wants/*",
    "etc/systemd/system/*.wants/*",
    "lib/systemd/system/local-fs.target.wants/*",
    "lib/systemd/system/sockets.target.wants/*udev*",
    "lib/systemd/system/sockets.target.wants/*initctl*",
    "lib/systemd/system/basic.target.wants/*",
)
SERVICES = ("kubelet", "containerd", "undo-mount-hacks")
# Containers of a node may not lower their score where the machine has no CAP_SYS_RESOURCE.
CONTAINERD_CHANGES = {
    "restrict_oom_score_adj = false": "restrict_oom_score_adj = true",
    'sandbox_image = "registry.k8s.io/pause:3.10"': f'sandbox_image = "{PAUSE}"',
}
CONTAINERD_NETWORK = """
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/etc/cni/net.d"
"""

# kind and people call crictl for little; ctr answers alike for images, and where it does not, kind goes on.
CRICTL = '#!/bin/sh\nexec ctr --namespace k8s.io "$@"\n'

SECONDS_TO_START = 30


def name() -> str:
    """The name of the node image that these scripts make; it changes with anything that goes into it."""
    ours = [HERE / file for file in ("node", "node_image.py", "components.py", "archive.py", "debian.py")]
    return f"{REPOSITORY}:{binaries.KUBERNETES}-{cache.fingerprint(binaries.version(), *ours)}"


def is_built() -> bool:
    """Whether the engine has the image."""
    return works("docker", "image", "inspect", name())


def build() -> None:
    """Make the node image of Debian's packages and our programs, which may be built meanwhile; the engine gets it."""
    if is_built():
        return
    with cache.working_folder("node-image") as folder:
        root = folder / "root"
        with step("node image: Debian's packages"):
            debian.install(root, *PACKAGES)
        with step("node image: the programs of Kubernetes"):
            binaries.build()
        with step("node image: files of a node"):
            trim(root)
            configure(root)
        with step("node image: images of the components"):
            preload(root, component_images(root, folder / "components"), folder)
        with step("node image: docker load"):
            load(finished(root), folder)
    remove_older()


def remove_older() -> None:
    """Remove node images that changed scripts have left behind; one that a cluster still uses stays."""
    for image in run("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", REPOSITORY).split():
        if image != name():
            works("docker", "image", "rm", image)


def trim(root: Path) -> None:
    """Remove what a node has no use for."""
    for pattern in STARTED_BY_SYSTEMD:
        for file in root.glob(pattern):
            file.unlink()
    for plugin in (root / "usr/lib/cni").iterdir():
        if plugin.name not in NETWORK_PLUGINS:
            plugin.unlink()


def configure(root: Path) -> None:
    """Put in kind's files, ours, and the programs of Kubernetes."""
    kind = binaries.kind_files()
    run("cp", "-rT", "--no-preserve=mode", kind, root)
    for script in [*(kind / "kind/bin").iterdir(), *(kind / "usr/local/bin").iterdir()]:
        (root / script.relative_to(kind)).chmod(0o755)
    copy_into(root, HERE / "node/hide-controllers", HERE / "node/crictl")
    copy_into(root, *((tools.program(name), f"usr/bin/{name}") for name in ("kubeadm", "kubelet", "kubectl")))
    copy_into(root, (HERE / "node/pod-network.yaml", "kind/manifests/default-cni.yaml"))
    copy_into(root, (HERE / "node/storage.yaml", "kind/manifests/default-storage.yaml"))
    (root / "kind/version").write_text(binaries.KUBERNETES)
    link(root / "usr/sbin/init", "/usr/lib/systemd/systemd")
    for program in ("containerd", "ctr"):
        link(root / "usr/local/bin" / program, f"/usr/bin/{program}")
    for service in SERVICES:
        unit = f"/etc/systemd/system/{service}.service"
        link(root / f"etc/systemd/system/multi-user.target.wants/{service}.service", unit)
    # It would register things with the kernel of the whole machine.
    link(root / "etc/systemd/system/systemd-binfmt.service", "/dev/null")
    with (root / "etc/systemd/journald.conf").open("a") as journald:
        journald.write("ReadKMsg=no\n")
    configure_containerd(root)
    for file in ("etc/machine-id", "etc/resolv.conf"):
        (root / file).unlink(missing_ok=True)
        (root / file).touch()


def configure_containerd(root: Path) -> None:
    """Change kind's configuration of containerd to what Debian's containerd and this machine need."""
    for folder in ("etc/cni/net.d", "etc/kubernetes/manifests"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    config = root / "etc/containerd/config.toml"
    text = config.read_text()
    for before, after in CONTAINERD_CHANGES.items():
        if before not in text:
            raise StepError(f"kind's containerd configuration has no line {before!r}: adapt scripts/kind/node_image.py")
        text = text.replace(before, after)
    config.write_text(text + CONTAINERD_NETWORK)
    spec = json.loads(run("chroot", root, "ctr", "oci", "spec"))
    del spec["process"]["rlimits"]
    (root / "etc/containerd/cri-base.json").write_text(json.dumps(spec))


def link(path: Path, target: str) -> None:
    """Make a symbolic link, in place of what is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def preload(root: Path, images: list[Image], folder: Path) -> None:
    """Put images into the node's containerd, so that a cluster pulls nothing."""
    archive = folder / "components.tar"
    write_archive(images, archive, level=1)
    socket = folder / "containerd.sock"
    config = folder / "containerd.toml"
    config.write_text(f"""
version = 2
root = "{root}/var/lib/containerd"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{socket}"
""")
    log = folder / "containerd.log"
    with log.open("wb") as output:
        daemon = subprocess.Popen(["containerd", "--config", config], stdout=output, stderr=output)
    try:
        if not wait_for(lambda: works("ctr", "--address", socket, "version"), SECONDS_TO_START):
            raise StepError(f"containerd did not start:\n{log.read_text(errors='replace')}")
        run("ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", "--no-unpack", archive)
    finally:
        daemon.terminate()
        daemon.wait()


def finished(root: Path) -> Image:
    """The node image as kind starts it."""
    return Image(
        name(),
        root,
        entrypoint=("/usr/local/bin/hide-controllers", "/usr/local/bin/entrypoint", "/sbin/init"),
        environ=("container=docker",),
        stop_signal="SIGRTMIN+3",
        without=("dev", "proc", "sys"),
    )
