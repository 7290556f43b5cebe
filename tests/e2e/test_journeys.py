"""What a user does with jobs on a cluster, by kubectl, and what kubectl says to it."""

from support.jobs import Jobs


def test_a_job_becomes_ready_and_kubectl_get_tells_how_it_fares(jobs: Jobs) -> None:
    job = jobs.job("views")
    job.feed(3)
    job.apply()
    job.wait_until_ready()
    job.wait_until_read()
    jobs.cluster.wait(lambda: job.status.get("lastCheckpoint"), what="a checkpoint in the status")
    header, row = jobs.cluster.kubectl("get", "stj", "-n", jobs.namespace).splitlines()
    assert header.split() == ["NAME", "READY", "PHASE", "BATCH", "CHECKPOINT", "RESTARTS", "AGE"]
    name, ready, phase, batch, checkpoint, restarts, _ = row.split()
    assert (name, ready, phase, restarts) == ("views", "True", "Running", "0")
    assert int(batch) >= 0 and checkpoint.endswith("s")
    job.finish()
