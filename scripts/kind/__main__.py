"""The cluster that StreamJob is tried and tested on: `python -m scripts.kind up`."""

import argparse
import signal
import sys
from pathlib import Path

from scripts import cache
from scripts.go import InstallError
from scripts.kind import cluster, from_source, images
from scripts.kind.steps import ImpossibleHere, StepError, say


def main(arguments: list[str]) -> int:
    """Do what was asked; the exit code, 3 where the machine lacks what only its user may install."""
    parser = argparse.ArgumentParser(prog="python -m scripts.kind", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="make the cluster, unless it runs")
    up.add_argument("--kubeconfig", type=Path, help="where access to it is written, in place of kubectl's usual file")
    up.add_argument("--with-images", action="store_true", help="build the project's images first")
    down = commands.add_parser("down", help="remove the cluster, and the Docker engine if this project started it")
    down.add_argument("--keep-engine", action="store_true", help="remove the cluster alone")
    commands.add_parser("from-source", help="make Docker engine and node image from packages; changes this machine")
    image = commands.add_parser("image", help="have an image in the Docker engine, and print its name")
    made = {"python": images.python, "minio": images.minio, "hdfs": images.hdfs}
    image.add_argument("which", choices=list(made))
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing half made is left
    try:
        # One engine and one cluster of these names are all that a machine has: each waits for the other.
        with cache.lock("cluster"):
            if asked.command == "up":
                cluster.up(asked.kubeconfig, asked.with_images)
            elif asked.command == "down":
                cluster.down(asked.keep_engine)
            elif asked.command == "from-source":
                from_source.make()
            else:
                print(made[asked.which]())
    except (StepError, InstallError, OSError) as err:
        say(str(err))
        return 3 if isinstance(err, ImpossibleHere) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
