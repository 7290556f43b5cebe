"""The programs of a cluster, and the files of kind's node image."""

from pathlib import Path

from scripts import tools

NAMES = ("kind", "kubernetes", "etcd", "coredns")
KUBERNETES = tools.GO_PROGRAMS["kubernetes"].module_version()


def build() -> None:
    """Have all programs, built from their Go modules. Raises `InstallError`."""
    tools.install(*NAMES)


def version() -> str:
    """A word that changes with any of them."""
    return " ".join(tools.place(name).version for name in NAMES)


def kind_files() -> Path:
    """The files of kind's node image, which its Go module carries."""
    return tools.place("kind").path / "files"
