"""The cluster that StreamJob is tried and tested on: `python -m scripts.kind up`."""

import argparse
import sys
from pathlib import Path

from scripts.kind import binaries, cluster, from_source, images
from scripts.kind.steps import ImpossibleHere, StepError, say
from scripts.tools import InstallError


def main(arguments: list[str]) -> int:
    """Do what was asked; the exit code, 3 where the machine lacks what only its user may install."""
    parser = argparse.ArgumentParser(prog="python -m scripts.kind", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="make the cluster, unless it runs")
    up.add_argument("--kubeconfig", type=Path, help="where access to it is written, in place of kubectl's usual file")
    commands.add_parser("down", help="remove the cluster, and the Docker engine if this project started it")
    commands.add_parser("from-source", help="make Docker engine and node image from packages; changes this machine")
    commands.add_parser("programs", help="build Kubernetes, etcd and CoreDNS; changes nothing outside .tools")
    image = commands.add_parser("image", help="have an image in the Docker engine, and print its name")
    made = {"python": images.python, "minio": images.minio, "hdfs": images.hdfs}
    image.add_argument("which", choices=list(made))
    asked = parser.parse_args(arguments)
    try:
        if asked.command == "up":
            cluster.up(asked.kubeconfig)
        elif asked.command == "down":
            cluster.down()
        elif asked.command == "from-source":
            from_source.make()
        elif asked.command == "programs":
            binaries.build()
        else:
            print(made[asked.which]())
    except (StepError, InstallError, OSError) as err:
        say(str(err))
        return 3 if isinstance(err, ImpossibleHere) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
