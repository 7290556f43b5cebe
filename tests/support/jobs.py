"""StreamJobs on the cluster: what they are, what they read, what they have written."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from streamjob_api import names
from support import feed
from support.cluster import WAIT_S, Cluster, Object
from support.feed import Output
from support.storage import BUCKET, NAME, Storage

FEED_S = 0.2
START_S = 180
"""How long a pod may take to become ready on a machine that does much else."""

TOTALS = "SELECT kind, count(*) AS n, sum(id)::BIGINT AS total FROM events GROUP BY kind"
WINDOWS = f"""
SELECT kind, window_start, count(*) AS n, sum(id)::BIGINT AS total
FROM events GROUP BY kind, tumble(t, INTERVAL '{feed.WINDOW_S} seconds')
"""


class Jobs:
    """The jobs of one namespace, in which the storage's Secret is made."""

    def __init__(self, cluster: Cluster, storage: Storage, namespace: str) -> None:
        self.cluster, self.storage, self.namespace = cluster, storage, namespace
        self._names: set[str] = set()
        self._present: list[str] = []
        cluster.apply(json.dumps(storage.secret()), namespace)

    def job(self, name: str, **spec: Any) -> "Job":
        """A job that is not applied yet; `spec`: fields that differ from those of `Job.spec`."""
        assert name not in self._names, f"another test has a job {name}"
        self._names.add(name)
        self._present.append(name)
        return Job(self, name, spec)

    def running(self, name: str, **spec: Any) -> "Job":
        """A job that is in the middle of its work."""
        job = self.job(name, **spec)
        job.feed(3)
        job.apply()
        job.wait_until_ready()
        job.wait_until_read()
        return job

    @contextmanager
    def passing(self) -> Iterator[None]:
        """The jobs made while this lasts are deleted afterwards, without waiting for their end."""
        before = len(self._present)
        yield
        gone = self._present[before:]
        del self._present[before:]
        if gone:
            self.cluster.kubectl("delete", "stj", *gone, "-n", self.namespace, "--wait=false", "--ignore-not-found")


class Job:
    """One job: the rows of a files source, the sums of all of them, and those of closed windows, each into a sink.

    All of it is below one prefix of the storage.
    """

    def __init__(self, jobs: Jobs, name: str, spec: dict[str, Any]) -> None:
        self.cluster, self.storage, self.namespace = jobs.cluster, jobs.storage, jobs.namespace
        self.name = name
        self.prefix = f"{jobs.namespace}/{name}"
        self.spec = self._default_spec() | spec
        self.files = 0  # that were fed
        self._parts: dict[str, list[Object]] = {}

    def _default_spec(self) -> Object:
        place = f"s3://{BUCKET}/{self.prefix}"
        return {
            "batchInterval": "200ms",
            "sources": [
                {
                    "name": "events",
                    "files": {"path": f"{place}/in/", "maxFilesPerBatch": 4},
                    "format": "json",
                    "schema": {"id": "BIGINT", "kind": "VARCHAR", "t": "TIMESTAMP"},
                    "watermark": {"column": "t", "delay": "3s"},
                }
            ],
            "pipeline": [{"name": "totals", "sql": TOTALS}, {"name": "windows", "sql": WINDOWS}],
            "sinks": [
                {"from": "events", "mode": "append", "files": {"path": f"{place}/rows/"}, "format": "json"},
                {"from": "windows", "mode": "append", "files": {"path": f"{place}/windows/"}, "format": "json"},
                {"from": "totals", "mode": "complete", "files": {"path": f"{place}/totals/"}, "format": "json"},
            ],
            "checkpoint": {"location": f"{place}/checkpoint", "interval": "1s"},
            "s3": {"endpoint": self.storage.endpoint, "credentialsSecretRef": {"name": NAME}},
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        }

    # --- as its user treats it

    def apply(self, **spec: Any) -> None:
        """`kubectl apply`; `spec`: fields that change from now on."""
        self.spec |= spec
        tree = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "metadata": {"name": self.name},
            "spec": self.spec,
        }
        self.cluster.apply(json.dumps(tree), self.namespace)

    def delete(self, *flags: str) -> None:
        """`kubectl delete`, which waits until the job is gone."""
        self.cluster.kubectl("delete", "stj", self.name, "-n", self.namespace, f"--timeout={START_S}s", *flags)

    def restart(self, value: str) -> None:
        """Set the annotation that starts a failed or running job again."""
        annotation = f"{names.RESTART_ANNOTATION}={value}"
        self.cluster.kubectl("annotate", "--overwrite", "stj", self.name, "-n", self.namespace, annotation)

    # --- what is said of it

    @property
    def status(self) -> Object:
        """Its status."""
        return dict(self.cluster.get("stj", self.name, self.namespace).get("status") or {})

    def condition(self, kind: str) -> Object:
        """One of its conditions; empty where there is none yet."""
        return next((c for c in self.status.get("conditions") or () if c["type"] == kind), {})

    def wait_until_ready(self) -> None:
        """`kubectl wait`, as a user would."""
        self.wait_for("condition=Ready")

    def wait_for(self, what: str) -> None:
        """`kubectl wait --for=…`."""
        self.cluster.kubectl("wait", f"--for={what}", "stj", self.name, "-n", self.namespace, f"--timeout={START_S}s")

    def wait_for_condition(self, kind: str, reason: str, timeout: float = START_S) -> str:
        """Until a condition has that reason; its message."""
        last: Object = {}

        def has_reason() -> bool:
            nonlocal last
            last = self.condition(kind)
            return bool(last.get("reason") == reason)

        try:
            self.cluster.wait(has_reason, timeout, f"{kind} with reason {reason}")
        except AssertionError as error:
            error.add_note(f"{kind} was last: {json.dumps(last)}")
            raise
        return str(last["message"])

    def wait_for_attempt(self, attempt: int, timeout: float = START_S) -> None:
        """Until that attempt is the present one, and ready."""
        self.cluster.wait(
            lambda: self.status.get("attempt", 0) >= attempt, timeout, f"attempt {attempt} of {self.name}"
        )
        self.wait_until_ready()
        assert self.status["attempt"] == attempt

    def pods(self, role: str = names.ROLE_RUNTIME) -> list[Object]:
        """Its pods of one role, the newest last."""
        selector = f"{names.LABEL_JOB}={self.name},{names.LABEL_ROLE}={role}"
        found = self.cluster.objects("pods", self.namespace, selector)
        return sorted(found, key=lambda pod: int(pod["metadata"]["labels"][names.LABEL_ATTEMPT]))

    @property
    def pod(self) -> str:
        """The name of the newest attempt's pod."""
        return str(self.pods()[-1]["metadata"]["name"])

    # --- what it reads

    def feed(self, files: int = 1) -> None:
        """So many more files, one after the other."""
        for _ in range(files):
            self.storage.put(f"{self.prefix}/in/{self.files:06d}.json", feed.file(self.files))
            self.files += 1

    def end_feed(self) -> None:
        """The last file, which makes every window before it final."""
        self.storage.put(f"{self.prefix}/in/{self.files:06d}.json", feed.last_file(self.files))

    @contextmanager
    def fed(self) -> Iterator[None]:
        """For as long as this lasts, a file five times a second."""
        stop = threading.Event()
        trouble: list[BaseException] = []

        def feed_on() -> None:
            try:
                while not stop.wait(FEED_S):
                    self.feed()
            except BaseException as error:
                trouble.append(error)

        thread = threading.Thread(target=feed_on)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert not trouble, trouble[0]

    # --- what it has written

    def output(self) -> Output:
        """What stands in its sinks."""
        rows, windows, totals = self.rows("rows"), self.rows("windows"), self.rows("totals")
        return Output(
            rows=sorted(row["id"] for row in rows),
            windows=sorted((row["kind"], row["window_start"], row["n"], row["total"]) for row in windows),
            totals={row["kind"]: (row["n"], row["total"]) for row in totals},
        )

    def rows(self, sink: str) -> list[Object]:
        """What stands in one of its sinks, in the order of the batches."""
        found: list[Object] = []
        for key, version in sorted(self.versions(sink).items()):
            # What has been read once need not be fetched again.
            part = self._parts.get(f"{key} {version}")
            if part is None:
                part = [json.loads(line) for line in self.storage.read(key).splitlines()]
                self._parts[f"{key} {version}"] = part
            found += part
        return found

    def versions(self, part: str) -> dict[str, str]:
        """The objects of a sink or of the checkpoint, each with what changes whenever it is written."""
        return self.storage.versions(f"{self.prefix}/{part}/")

    def wait_until_read(self, timeout: float = WAIT_S) -> None:
        """Until the rows of every file fed so far are in the sink."""
        last = self.files * feed.ROWS - 1
        what = f"row {last} in the sink of {self.name}"
        self.cluster.wait(lambda: any(row["id"] == last for row in self.rows("rows")), timeout, what)

    def wait_until_complete(self, timeout: float = WAIT_S) -> None:
        """Until the sinks hold exactly what a run without faults writes; called after `end_feed`."""
        wanted = feed.expected(self.files)
        last = ""

        def is_complete() -> bool:
            nonlocal last
            last = self.output().differs_from(wanted)
            return not last

        try:
            self.cluster.wait(is_complete, timeout, f"the output without faults of {self.name}")
        except AssertionError as error:
            error.add_note(last)
            raise

    def finish(self, timeout: float = WAIT_S) -> None:
        """End the input, and wait for the output."""
        self.end_feed()
        self.wait_until_complete(timeout)
