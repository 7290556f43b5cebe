"""Whatever happens to a job's pods: what its sinks hold at the end is what they hold when nothing happens."""

from support.jobs import Jobs


def test_a_process_that_is_killed(jobs: Jobs) -> None:
    job = jobs.started("killed")
    job.feed(3)
    job.wait_until_read()
    with job.fed():
        jobs.cluster.kill_in_pod(job.pod, jobs.namespace)
        job.wait_for_attempt(2)
        job.wait_until_read()
    job.finish()
    failure = job.status["lastFailure"]
    assert (failure["attempt"], failure["exitCode"]) == (1, 137)
    assert "killed by signal 9" in failure["message"]
