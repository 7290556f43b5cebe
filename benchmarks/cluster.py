"""Measure a job on the kind cluster, beside nothing else: `make bench-cluster` (docs/performance.md).

Every time ends with the store's own word of when it took a COMMIT record.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from support import images
from support.cluster import run
from support.cluster_setup import running_cluster
from support.jobs import Job, Jobs
from support.operator_release import OperatorRelease
from support.storage import Storage

AIMS_S = {"kubectl apply": 5.0, "kill -9": 5.0, "kubectl delete pod": None}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-cluster", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured, with a new job each time")
    rounds = parser.parse_args().rounds
    with _place() as jobs:
        results = [_measure(jobs.job(f"measured-{number}")) for number in range(rounds)]
    print("| to the next committed batch, s | median | least | most | aim |\n| --- | ---: | ---: | ---: | ---: |")
    for name, aim in AIMS_S.items():
        found = [result[name] for result in results]
        aimed = "" if aim is None else f"{aim:.0f}"
        print(f"| `{name}` | {statistics.median(found):.1f} | {min(found):.1f} | {max(found):.1f} | {aimed} |")


@contextmanager
def _place() -> Iterator[Jobs]:
    """A cluster with the operator, a store and a namespace for jobs."""
    with tempfile.TemporaryDirectory() as folder, running_cluster(Path(folder) / "kubeconfig") as cluster:
        images.ensure(cluster)
        minio = run(sys.executable, "-m", "scripts.kind", "image", "minio").strip()
        cluster.load_image(minio)
        with cluster.namespace() as home, cluster.namespace() as store, cluster.namespace() as namespace:
            operator, storage = OperatorRelease(cluster, home), Storage(cluster, store)
            operator.install()
            storage.start(minio)
            try:
                yield Jobs(cluster, storage, namespace)
            finally:
                storage.close()
                operator.uninstall()


def _measure(job: Job) -> dict[str, float]:
    """How long each takes for one job, in seconds."""
    found: dict[str, float] = {}
    job.feed(3)
    began = time.time()
    job.apply()
    found["kubectl apply"] = _first_commit(job, 1) - began
    job.wait_until_ready()
    with job.fed():
        job.wait_until_read()
        node, process = job.cluster.process_of(job.pod, job.namespace)
        began = time.time()
        job.cluster.docker("exec", node, "kill", "-s", "KILL", process)
        found["kill -9"] = _first_commit(job, 2) - began
        job.wait_for_attempt(2)
        job.wait_until_read()
        began = time.time()
        job.cluster.kubectl("delete", "pod", job.pod, "-n", job.namespace, "--wait=false")
        found["kubectl delete pod"] = _first_commit(job, 3) - began
        job.wait_for_attempt(3)
    job.finish()
    job.delete()
    print(json.dumps({"job": job.name} | {name: round(value, 2) for name, value in found.items()}), flush=True)
    return found


def _first_commit(job: Job, epoch: int) -> float:
    """When the store took the first COMMIT of the runtime's start of that number, in seconds since the epoch."""
    known: set[str] = set()

    def look() -> float | None:
        for key, version in sorted(job.versions("checkpoint/log").items()):
            if key not in known:
                known.add(key)
                record = json.loads(job.storage.read(key))
                if record["epoch"] == epoch and record["body"]["kind"] == "COMMIT":
                    return datetime.fromisoformat(version.split(" ", 1)[1]).timestamp()
        return None

    taken = job.cluster.wait(look, 120, f"a COMMIT of {job.name}, start {epoch}")
    assert taken is not None
    return taken


if __name__ == "__main__":
    main()
