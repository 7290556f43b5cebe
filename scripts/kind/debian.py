"""Root file systems of Debian, from its packages."""

from pathlib import Path

from scripts.kind.steps import run

RELEASE = "bookworm"
NOT_NEEDED = ("doc", "info", "locale", "man")


def install(root: Path, *packages: str) -> None:
    """Make a small Debian with some packages below a folder; mmdebstrap does it in half the time of debootstrap."""
    # A system whose /bin is /usr/bin from the start needs no Perl that makes it so.
    merged = [
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
        f"--include={','.join([*packages, 'usr-is-merged'])}",
    ]
    # Whoever loses power meanwhile starts again anyway.
    quick = "--dpkgopt=force-unsafe-io"
    without = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in NOT_NEEDED]
    run("mmdebstrap", "--variant=minbase", *merged, quick, *without, RELEASE, root)
