"""The programs of a cluster, built from their Go modules."""

import shutil

from scripts import tools
from scripts.kind.steps import HERE, WORK, fingerprint, fresh_folder, run, step

KUBERNETES = tools.pinned_version(tools.KUBERNETES, "k8s.io/kubernetes")
ETCD = HERE / "modules" / "etcd"
COREDNS = "github.com/coredns/coredns@v1.12.1"
KIND = tools.GO_PROGRAMS["kind"].package
HELM = tools.GO_PROGRAMS["helm"].package

COMMANDS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubeadm",
    "kubectl",
    "kubelet",
)

BINARIES = WORK / "bin"
STAMP = BINARIES / "version"
# The files of kind's node image, which its Go module carries.
KIND_FILES = WORK / "kind-files"


def version() -> str:
    """What all this is built from, as a word that changes with it."""
    return fingerprint(KIND, HELM, COREDNS, HERE / "modules")


def build() -> None:
    """Build all programs, unless these very versions are there already."""
    if STAMP.exists() and STAMP.read_text() == version():
        return
    fresh_folder(BINARIES)
    with tools.workshop() as go:
        with step("kind and helm"):
            go.build(KIND)
            go.build(HELM)
            # Modules are read-only, and these files will be changed.
            fresh_folder(KIND_FILES)
            run("cp", "-rT", "--no-preserve=mode", go.source(KIND) / "images/base/files", KIND_FILES)
        with step(f"Kubernetes {KUBERNETES}"):
            go.build(*(f"k8s.io/kubernetes/cmd/{name}" for name in COMMANDS), pinned_by=tools.KUBERNETES)
        with step("etcd and CoreDNS"):
            go.build("go.etcd.io/etcd/server/v3", pinned_by=ETCD)
            go.build(COREDNS)
        (go.bin / "server").rename(go.bin / "etcd")
        for program in (*COMMANDS, "etcd", "coredns"):
            shutil.copy2(go.bin / program, BINARIES / program)
        for name in ("kind", "helm", "kubectl"):
            tools.keep(name, go)
    STAMP.write_text(version())
