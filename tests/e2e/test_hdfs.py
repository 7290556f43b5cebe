"""A job whose checkpoints are in HDFS: it starts when its site files are there, and is restored from HDFS alone."""

import json

from support.hdfs_in_cluster import SITE, HdfsInCluster
from support.jobs import Jobs


def test_a_job_that_is_killed_and_deleted_is_restored_from_hdfs(jobs: Jobs, hdfs_in_cluster: HdfsInCluster) -> None:
    hdfs_in_cluster.create_folder("/checkpoints", owner="etl")
    job = jobs.job(
        "hdfs",
        checkpoint={"location": "hdfs:///checkpoints/hdfs", "interval": "1s"},
        hdfs={"user": "etl", "configMapRef": {"name": SITE}},
    )
    job.feed(3)
    job.apply()
    said = job.wait_for_condition("Ready", "ConfigMapMissing")
    assert said.startswith(f'ConfigMap "{SITE}" is missing: create it in namespace "{jobs.namespace}"')
    jobs.cluster.apply(json.dumps(hdfs_in_cluster.site_files()), jobs.namespace)
    job.wait_until_ready()

    with job.fed():
        job.wait_until_read()
        jobs.cluster.kill_in_pod(job.pod, jobs.namespace)
        job.wait_for_attempt(2)
        job.wait_until_read()
        jobs.cluster.kubectl("delete", "pod", job.pod, "-n", jobs.namespace, "--grace-period=0", "--force")
        job.wait_for_attempt(3)
        job.wait_until_read()
    hdfs_in_cluster.kill_name_node()
    job.feed(3)
    job.finish(timeout=120)
    assert job.status["attempt"] == 3
    said = jobs.cluster.logs(job.pod, jobs.namespace)
    assert "waiting for a system outside" in said and "the system outside answers again" in said
    listed = hdfs_in_cluster.dfs("-ls", "/checkpoints/hdfs/state/totals").splitlines()
    owners = {line.split()[2] for line in listed if line.endswith(".parquet")}
    assert owners == {"etl"}, listed
