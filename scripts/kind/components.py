"""The images of Kubernetes' own components: static programs, under the names that kubeadm expects."""

import re
import subprocess
from pathlib import Path

from scripts.kind.archive import Image, copy_into
from scripts.kind.binaries import KUBERNETES
from scripts.kind.steps import HERE, fresh_folder
from scripts.tools import program

REGISTRY = "registry.k8s.io"
PAUSE = f"{REGISTRY}/pause:3.10.1"
COREDNS = f"{REGISTRY}/coredns/coredns:v1.12.1"
ETCD = f"{REGISTRY}/etcd:3.6.5-0"
POD_NETWORK = "streamjob.dev/kind/pod-network:1"

# What kube-proxy calls; the first answers to all the names of iptables.
PROXY_PROGRAMS = ("usr/sbin/xtables-nft-multi", "usr/sbin/xtables-legacy-multi", "usr/sbin/nft", "usr/sbin/conntrack")
IPTABLES = [f"{ip}tables{act}" for ip in ("ip", "ip6") for act in ("", "-save", "-restore")]


def component_images(node: Path, folder: Path) -> list[Image]:
    """Lay out all images below a folder; small programs are taken from the root of a node."""
    control_plane = [
        image(f"{REGISTRY}/{name}:{KUBERNETES}", folder / name, program(name))
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    ]
    pause = (node / "usr/bin/catatonit", "pause")
    return [
        *control_plane,
        image(ETCD, folder / "etcd", program("etcd")),
        image(COREDNS, folder / "coredns", program("coredns"), entrypoint=("coredns",)),
        image(PAUSE, folder / "pause", pause, entrypoint=("/pause", "-P")),
        kube_proxy(node, folder / "kube-proxy"),
        pod_network(node, folder / "pod-network"),
    ]


def image(name: str, root: Path, *files: Path | tuple[Path, str], entrypoint: tuple[str, ...] = ()) -> Image:
    """An image of a few files."""
    fresh_folder(root)
    (root / "tmp").mkdir()
    copy_into(root, *files)
    return Image(name, root, entrypoint)


def kube_proxy(node: Path, root: Path) -> Image:
    """kube-proxy calls the programs of iptables, so they and their libraries come along."""
    extensions = sorted(path.relative_to(node) for path in node.glob("usr/lib/*/xtables/*.so"))
    programs = [*map(Path, PROXY_PROGRAMS), *extensions]
    libraries = sorted({library for program in programs for library in libraries_of(node, program)})
    files = [(node / path, str(path)) for path in [*programs, *libraries]]
    proxy = image(f"{REGISTRY}/kube-proxy:{KUBERNETES}", root, program("kube-proxy"), *files)
    for name in IPTABLES:
        (root / "usr/sbin" / name).symlink_to("xtables-nft-multi")
    return proxy


def pod_network(node: Path, root: Path) -> Image:
    """The stand-in for kindnetd: a shell script."""
    shell = (node / "bin/busybox", "bin/busybox")
    network = image(POD_NETWORK, root, shell, HERE / "node/pod-network", entrypoint=("pod-network",))
    for name in ("sh", "cat", "ip", "mv", "sleep"):
        (root / "bin" / name).symlink_to("busybox")
    return network


def libraries_of(node: Path, program: Path) -> list[Path]:
    """The libraries that a program of a node loads, as paths below its root."""
    # ldd ends with an error for the extensions' missing symbols, which their program brings.
    listed = subprocess.run(["chroot", node, "ldd", f"/{program}"], capture_output=True, text=True, check=False).stdout
    return [
        Path(path.lstrip("/")) for path in re.findall(r"(/\S+\.so\S*)", listed) if (node / path.lstrip("/")).exists()
    ]
