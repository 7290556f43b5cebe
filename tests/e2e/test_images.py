"""The runtime's image as a pod has it: read-only, without rights, as the first process of its container."""

import json
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.cluster import Cluster
from support.images import OPERATOR, RUNTIME

JOB = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: tiny, namespace: shop}}
spec:
  batchInterval: 1s
  sources: [{{name: r, rate: {{rowsPerSecond: {rate}}}}}]
  pipeline: [{{name: v, sql: "{sql}"}}]
  sinks: [{{from: v, mode: update, console: {{rows: 1}}}}]
  checkpoint: {{location: /tmp/ck}}
"""
COUNT = "SELECT value % 3 AS k, count(*) AS n FROM r GROUP BY 1"
PROBE = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"

MANIFEST = "/etc/streamjob/job/streamjob.yaml"
Start = Callable[..., str]


@pytest.fixture
def start(cluster: Cluster, images: None, tmp_path: Path) -> Iterator[Start]:
    """Starts a container of the runtime with the rights of a pod and a volume at /tmp; gives its name."""
    name = f"streamjob-test-{secrets.token_hex(4)}"
    started: list[str] = []

    def run(
        *command: str, manifest: str = JOB.format(rate=10, sql=COUNT), memory: str = "1g", entrypoint: str = "streamjob"
    ) -> str:
        container = f"{name}-{len(started)}"
        started.append(container)
        file = tmp_path / f"{container}.yaml"
        file.write_text(manifest)
        file.chmod(0o644)
        rights = ("--read-only", "--user", "65532:65532", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
        limits = ("--memory", memory, "--memory-swap", memory, "--cpus", "1")
        volumes = ("-v", f"{name}:/tmp", "-v", f"{file}:{MANIFEST}:ro")
        how = ("--detach", "--name", container, "--entrypoint", entrypoint)
        cluster.docker("run", *how, *rights, *limits, *volumes, RUNTIME, *command)
        return container

    yield run
    for container in started:
        cluster.docker("rm", "--force", container)
    if started:
        cluster.docker("volume", "rm", name)


def log(container: str) -> str:
    done = subprocess.run(["docker", "logs", container], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout + done.stderr


def ended(cluster: Cluster, container: str, seconds: float = 60) -> tuple[int, bool]:
    """Its exit code, and whether the kernel killed it for its memory."""

    def state() -> dict[str, object] | None:
        found = dict(json.loads(cluster.docker("inspect", "--format", "{{json .State}}", container)))
        return None if found["Running"] else found

    found = cluster.wait(state, seconds, f"the end of {container}")
    assert found is not None
    return int(str(found["ExitCode"])), bool(found["OOMKilled"])


def test_a_job_runs_stops_and_is_checked_and_deleted(cluster: Cluster, start: Start) -> None:
    runs = start("run", MANIFEST, "--http-host", "0.0.0.0", "--http-port", "8080", "--termination-log", "/tmp/end")
    cluster.wait(lambda: "batch=2 " in log(runs), what="the third batch")
    progress = json.loads(
        cluster.docker("exec", runs, "python", "-c", PROBE, "http://127.0.0.1:8080/progress?batches=1")
    )
    assert (progress["status"]["name"], len(progress["recentProgress"])) == ("tiny", 1)
    cluster.docker("stop", "--time", "30", runs)
    assert ended(cluster, runs) == (0, False)
    reads = start("-c", "print(open('/tmp/end').read())", entrypoint="python")
    assert ended(cluster, reads) == (0, False)
    end = json.loads(log(reads))
    assert (end["reason"], end["exitCode"]) == ("Stopped", 0)
    checks = start("check", MANIFEST)
    assert ended(cluster, checks) == (0, False), log(checks)
    assert "the log there: fits; a start goes on from the checkpoint of batch" in log(checks)
    for said in (
        "objects of the job shop/tiny deleted at /tmp/ck.",
        "There is nothing of the job shop/tiny at /tmp/ck.",
    ):
        deletes = start("checkpoints", "delete", MANIFEST, "--yes")
        assert ended(cluster, deletes) == (0, False), log(deletes)
        assert said in log(deletes)


def test_a_check_hears_the_signal_though_it_is_the_first_process(cluster: Cluster, start: Start) -> None:
    s3 = "location: s3://bucket/ck}\n  s3: {endpoint: 'http://127.0.0.1:1', credentialsSecretRef: {name: keys}}"
    manifest = JOB.format(rate=10, sql=COUNT).replace("location: /tmp/ck}", s3)
    secret = "from pathlib import Path; d = Path('/tmp/secrets/keys'); d.mkdir(parents=True)"
    secret += "; [(d / f'AWS_{k}').write_text('x') for k in ('ACCESS_KEY_ID', 'SECRET_ACCESS_KEY')]"
    assert ended(cluster, start("-c", secret, entrypoint="python")) == (0, False)
    checks = start("check", MANIFEST, "--secrets", "/tmp/secrets", manifest=manifest)
    cluster.wait(lambda: "waiting for a system outside" in log(checks), what="the first attempt")
    cluster.docker("stop", "--time", "60", checks)
    assert ended(cluster, checks) == (128 + 15, False)


def test_a_state_that_outgrows_the_container_is_refused_before_the_kernel_kills_it(
    cluster: Cluster, start: Start
) -> None:
    sql = "SELECT value, count(*) AS n FROM r GROUP BY value"
    grows = start("run", MANIFEST, manifest=JOB.format(rate=400_000, sql=sql), memory="384m")
    assert ended(cluster, grows, seconds=300) == (78, False), log(grows)[-1000:]
    assert "of 384 MiB. Give the job more memory (spec.resources.limits.memory on a cluster)" in log(grows)


@pytest.mark.parametrize(("image", "command"), [(RUNTIME, "streamjob"), (OPERATOR, "streamjob-operator")])
def test_an_image_starts_as_a_user_without_rights(cluster: Cluster, images: None, image: str, command: str) -> None:
    said = cluster.docker("run", "--rm", "--read-only", image, "--help")
    assert f"Usage: {command}".lower() in said.lower()
    config = json.loads(cluster.docker("inspect", "--format", "{{json .Config}}", image))
    assert config["User"] == "65532:65532"
