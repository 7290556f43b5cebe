"""An S3 store in the cluster, for jobs, and a way for tests to look into it."""

import io
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, S3Error, ServerError

from support.cluster import Cluster, CommandFailed, Object

PORT = 9000
NAME = "minio"
BUCKET = "jobs"
PATIENCE_S = 60
TIMEOUT_S = 5.0
PAUSE_S = 0.2
_LABELS = {"app": NAME}
# What MinIO says in the moments after its health probe has become good.
_NOT_YET = frozenset({"XMinioServerNotInitialized", "ServiceUnavailable", "SlowDown"})

_Value = TypeVar("_Value")


class Storage:
    """MinIO as a pod with a Service. Jobs of any namespace reach it; `put`, `read` and the like go by a forwarded port.

    The pod stands on the first worker, and keeps its data for as long as it is there.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._access_key, self._secret_key = secrets.token_hex(8), secrets.token_hex(16)
        self._lock = threading.Lock()
        self._forward = ExitStack()
        self._client: Minio | None = None

    @property
    def endpoint(self) -> str:
        """Where jobs find it."""
        return f"http://{NAME}.{self._namespace}:{PORT}"

    def secret(self) -> Object:
        """The Secret that a job needs in its own namespace."""
        keys = {"AWS_ACCESS_KEY_ID": self._access_key, "AWS_SECRET_ACCESS_KEY": self._secret_key}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}, "stringData": keys}

    def start(self, image: str) -> None:
        """Start the pod, and wait until the bucket is there."""
        manifests = [self.secret(), self._pod(image), self._service()]
        self._cluster.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}), self._namespace)
        self._cluster.wait(lambda: self._cluster.is_ready("pod", NAME, self._namespace), what="MinIO's start")
        self._ask(lambda client: client.bucket_exists(BUCKET) or client.make_bucket(BUCKET))

    def close(self) -> None:
        """Give up the forwarded port."""
        self._forward.close()

    def put(self, key: str, data: bytes) -> None:
        """An object; over the one that is there."""
        self._ask(lambda client: client.put_object(BUCKET, key, io.BytesIO(data), len(data)))

    def read(self, key: str) -> bytes:
        """What is in an object."""

        def get(client: Minio) -> bytes:
            answer = client.get_object(BUCKET, key)
            try:
                return bytes(answer.read())
            finally:
                answer.close()
                answer.release_conn()

        return self._ask(get)

    def versions(self, prefix: str) -> dict[str, str]:
        """The keys of the objects below a prefix, each with what changes whenever the object is written."""

        def listed(client: Minio) -> dict[str, str]:
            found = client.list_objects(BUCKET, prefix, recursive=True)
            return {str(o.object_name): f"{o.etag} {o.last_modified}" for o in found}

        return self._ask(listed)

    def remove(self, prefix: str) -> None:
        """Delete the objects below a prefix."""
        keys = [DeleteObject(key) for key in self.versions(prefix)]
        self._ask(lambda client: list(client.remove_objects(BUCKET, keys)))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It takes connections and answers nothing for as long as this lasts."""
        self._cluster.kill_in_pod(NAME, self._namespace, "STOP")
        try:
            yield
        finally:
            self._cluster.kill_in_pod(NAME, self._namespace, "CONT")

    def _ask(self, question: Callable[[Minio], _Value]) -> _Value:
        """The answer; the port is forwarded anew when the way there has broken down."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            client = None
            try:
                client = self._reach()
                return question(client)
            except (CommandFailed, urllib3.exceptions.HTTPError, InvalidResponseError, ServerError) as error:
                assert time.monotonic() < deadline, f"MinIO cannot be reached through a forwarded port: {error}"
            except S3Error as error:
                assert error.code in _NOT_YET and time.monotonic() < deadline, error
            self._lose(client)
            time.sleep(PAUSE_S)

    def _reach(self) -> Minio:
        with self._lock:
            if self._client is None:
                port = self._forward.enter_context(self._cluster.port_forward(f"pod/{NAME}", PORT, self._namespace))
                self._client = Minio(
                    f"127.0.0.1:{port}",
                    access_key=self._access_key,
                    secret_key=self._secret_key,
                    secure=False,
                    region="us-east-1",
                    http_client=urllib3.PoolManager(retries=False, timeout=TIMEOUT_S),
                )
            return self._client

    def _lose(self, client: Minio | None) -> None:
        with self._lock:
            if self._client is client:
                self._forward.close()
                self._client = None

    def _pod(self, image: str) -> Object:
        keys = {"MINIO_ROOT_USER": "AWS_ACCESS_KEY_ID", "MINIO_ROOT_PASSWORD": "AWS_SECRET_ACCESS_KEY"}
        secret = [
            {"name": name, "valueFrom": {"secretKeyRef": {"name": NAME, "key": key}}} for name, key in keys.items()
        ]
        limits = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": NAME, "labels": _LABELS},
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": self._cluster.workers()[0]},
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "fsGroup": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": NAME,
                        "image": image,
                        "args": ["server", "/data"],
                        "env": [{"name": "HOME", "value": "/data"}, *secret],
                        "readinessProbe": {
                            "httpGet": {"path": "/minio/health/ready", "port": PORT},
                            "periodSeconds": 1,
                        },
                        "securityContext": limits,
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }
                ],
                "volumes": [{"name": "data", "emptyDir": {}}],
            },
        }

    def _service(self) -> Object:
        spec = {"selector": _LABELS, "ports": [{"port": PORT}]}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME}, "spec": spec}
