"""A Docker engine of the project's own, for machines without one: Debian's, started by hand and taken away again."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from scripts.kind.steps import HERE, WORK, StepError, run, say, step, works

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
            BEFORE.write_text(json.dumps({"forward": forward_policy(), "ip_forward": IP_FORWARD.read_text().strip()}))
        command = ["dockerd", f"--data-root={DATA}", f"--exec-root={RUNTIME_FILES}", f"--pidfile={PID}"]
        command.append("--host=unix:///var/run/docker.sock")
        if not has_sys_resource():
            command.append("--oom-score-adjust=0")
            command.append(f"--add-runtime=limited={HERE / 'runc-without-sys-resource'}")
            command.append("--default-runtime=limited")
        with LOG.open("wb") as log:
            daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + SECONDS_TO_START
        while not is_running():
            if daemon.poll() is not None or time.monotonic() > deadline:
                last = "\n".join(LOG.read_text(errors="replace").splitlines()[-10:])
                raise StepError(f"dockerd did not start; the end of {LOG}:\n{last}")
            time.sleep(0.2)


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
        remove_network(bridges, before["forward"])
        IP_FORWARD.write_text(before["ip_forward"])
        shutil.rmtree(RUNTIME_FILES, ignore_errors=True)
        BEFORE.unlink()


def stop_process() -> None:
    """End our dockerd and wait for it."""
    if not PID.exists():
        return
    pid = int(PID.read_text())
    deadline = time.monotonic() + SECONDS_TO_STOP
    try:
        os.kill(pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.1)
        say(f"dockerd ({pid}) does not stop; it is killed")
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    PID.unlink(missing_ok=True)


def remove_network(bridges: list[str], forward: str) -> None:
    """Remove the bridges and the firewall's rules and chains of an engine that is gone."""
    for bridge in bridges:
        works("ip", "link", "delete", bridge)
    for table in ("filter", "nat"):
        rules = run("iptables", "-w", "-t", table, "-S").splitlines()
        for rule in rules:
            words = rule.split()
            if words[0] == "-A" and (is_ours(words, bridges)):
                works("iptables", "-w", "-t", table, "-D", *words[1:])
        for rule in rules:
            words = rule.split()
            if words[0] == "-N" and words[1].startswith("DOCKER"):
                works("iptables", "-w", "-t", table, "-F", words[1])
                works("iptables", "-w", "-t", table, "-X", words[1])
    works("iptables", "-w", "-P", "FORWARD", forward)


def is_ours(words: list[str], bridges: list[str]) -> bool:
    """Whether a firewall rule belongs to one of our bridges, or leads to a chain of Docker."""
    return any(word in bridges or word.startswith("DOCKER") for word in words)


def forward_policy() -> str:
    """What the firewall does with forwarded packets that no rule names: ACCEPT or DROP."""
    return run("iptables", "-w", "-S", "FORWARD").split()[2]


def has_sys_resource() -> bool:
    """Whether this machine lets its processes have CAP_SYS_RESOURCE."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1)
    return True
