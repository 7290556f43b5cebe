"""A Docker engine of the project's own, for machines without one: Debian's, started by hand and taken away again."""

import itertools
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from scripts import cache
from scripts.kind.steps import HERE, StepError, run, step, wait_for, works

WORK = cache.folder() / "engine"
DATA = WORK / "docker"
LOG = WORK / "dockerd.log"
PID = WORK / "dockerd.pid"
# What the machine was like before: dockerd changes it, and does not change it back.
BEFORE = WORK / "before-dockerd.json"
RUNTIME_FILES = Path("/run/streamjob-docker")
IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")

SECONDS_TO_START = 30
SECONDS_TO_STOP = 30

CAP_SYS_RESOURCE = 24

FIREWALLS = ("iptables", "ip6tables")
TABLES = ("filter", "nat", "raw")


def is_running() -> bool:
    """Whether a Docker engine answers."""
    return works("docker", "info")


def start() -> None:
    """Start an engine; the programs must be installed. An engine that answers already is used as it is."""
    if is_running():
        return
    with step("starting dockerd"):
        WORK.mkdir(parents=True, exist_ok=True)
        if not BEFORE.exists():
            policies = {firewall: forward_policy(firewall) for firewall in FIREWALLS}
            BEFORE.write_text(json.dumps({"forward": policies, "ip_forward": IP_FORWARD.read_text().strip()}))
        command = ["dockerd", f"--data-root={DATA}", f"--exec-root={RUNTIME_FILES}", f"--pidfile={PID}"]
        command.append("--host=unix:///var/run/docker.sock")
        if not has_sys_resource():
            command.append("--oom-score-adjust=0")
            command.append(f"--add-runtime=limited={HERE / 'runc-without-sys-resource'}")
            command.append("--default-runtime=limited")
        with LOG.open("wb") as log:
            daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        wait_for(lambda: is_running() or daemon.poll() is not None, SECONDS_TO_START)
        if not is_running():
            last = "\n".join(LOG.read_text(errors="replace").splitlines()[-10:])
            raise StepError(f"dockerd did not start; the end of {LOG}:\n{last}")


def stop() -> None:
    """Stop the engine that `start` started, if any, and remove what it left in the machine's network."""
    if not BEFORE.exists():
        return
    with step("stopping dockerd"):
        bridges = ["docker0"]
        if is_running():
            for network in run("docker", "network", "ls", "-q", "--filter", "driver=bridge").split():
                bridges.append(f"br-{network}")
                works("docker", "network", "rm", network)
        stop_process()
        before = json.loads(BEFORE.read_text())
        remove_bridges(bridges)
        for firewall, policy in before["forward"].items():
            run(firewall, "-w", "-P", "FORWARD", policy)
        IP_FORWARD.write_text(before["ip_forward"])
        shutil.rmtree(RUNTIME_FILES, ignore_errors=True)
        BEFORE.unlink()


def stop_process() -> None:
    """End our dockerd and wait for it."""
    if not PID.exists():
        return
    process = Path("/proc") / PID.read_text().strip()

    def is_gone() -> bool:
        # After a restart of the machine the number may be somebody else's.
        return not process.exists() or (process / "comm").read_text() != "dockerd\n"

    for number in (signal.SIGTERM, signal.SIGKILL):
        if not is_gone():
            os.kill(int(process.name), number)
        if wait_for(is_gone, SECONDS_TO_STOP):
            break
    PID.unlink(missing_ok=True)


def remove_bridges(bridges: list[str]) -> None:
    """Remove the bridges of an engine that is gone, and what the firewall has of them and of Docker."""
    for bridge in bridges:
        works("ip", "link", "delete", bridge)
    for firewall, table in itertools.product(FIREWALLS, TABLES):
        command = [firewall, "-w", "-t", table]
        rules = [rule.split() for rule in run(*command, "-S").splitlines()]
        for rule in rules:
            if rule[0] == "-A" and any(word in bridges or word.startswith("DOCKER") for word in rule):
                works(*command, "-D", *rule[1:])
        for rule in rules:
            if rule[0] == "-N" and rule[1].startswith("DOCKER"):
                works(*command, "-X", rule[1])


def forward_policy(firewall: str) -> str:
    """What a firewall does with forwarded packets that no rule names: ACCEPT or DROP."""
    return run(firewall, "-w", "-S", "FORWARD").split()[2]


def has_sys_resource() -> bool:
    """Whether this machine lets its processes have CAP_SYS_RESOURCE."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1)
    return True
