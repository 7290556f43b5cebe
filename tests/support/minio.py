"""A MinIO server of the test's own."""

import io
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import urllib3
from benchmarks.ports import free_port
from minio import Minio, MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import S3Error, ServerError
from scripts import tools

from streamjob_runtime.stores.connections import Connections, Secrets
from streamjob_runtime.stores.s3 import S3Access, S3Store

BINARY = tools.program("minio")

_START_S = 90
_STOP_S = 10


class _Ref:
    def __init__(self, name: str) -> None:
        self.name = name


class _Connection:
    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.region = None
        self.credentials_secret_ref = _Ref("minio")


class MinioServer:
    """A MinIO on a free port of 127.0.0.1, with random credentials, on the data in `folder`.

    It may be stopped or killed and started again, on the same port with the same data.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.access_key = secrets.token_hex(8)
        self.secret_key = secrets.token_hex(16)

    def start(self) -> None:
        """Start, and wait until the server takes requests."""
        self._folder.mkdir(parents=True, exist_ok=True)
        environ = {
            "HOME": str(self._folder),
            "MINIO_ROOT_USER": self.access_key,
            "MINIO_ROOT_PASSWORD": self.secret_key,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
        }
        log = self._folder.with_suffix(".log")
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [BINARY, "server", self._folder, "--address", f"127.0.0.1:{self.port}"],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + _START_S
        while not (self._is_healthy() and self._answers()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"MinIO did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End in an orderly way."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """End as a loss of the node would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_S)
            self._process = None

    def create_bucket(self) -> str:
        """A new empty bucket's name."""
        name = f"test-{secrets.token_hex(4)}"
        self._client().make_bucket(name)
        return name

    def put_raw(self, url: str, name: str) -> None:
        """An empty object of any name in the bucket at `url`, as other tools may write it."""
        self._client().put_object(url.removeprefix("s3://").partition("/")[0], name, io.BytesIO(), 0)

    @property
    def access(self) -> S3Access:
        return S3Access(self.url, None, self.access_key, self.secret_key)

    @property
    def environ(self) -> dict[str, str]:
        """The credentials, as a process takes them from its environment."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    @property
    def connections(self) -> Connections:
        """What `open_store` takes to reach the server."""
        return Connections(_Connection(self.url), Secrets(None, self.environ))

    def store(self, location: str) -> S3Store:
        """A store at `bucket` or `bucket/prefix`."""
        return S3Store(f"s3://{location}", self.access)

    def admin(self) -> MinioAdmin:
        """A client for users and their rights."""
        keys = StaticProvider(self.access_key, self.secret_key)
        return MinioAdmin(endpoint=f"127.0.0.1:{self.port}", credentials=keys, secure=False)

    def _client(self) -> Minio:
        return Minio(
            f"127.0.0.1:{self.port}",
            access_key=self.access_key,
            secret_key=self.secret_key,
            secure=False,
            region="us-east-1",
            # While it starts, MinIO says 503 with "Retry-After: 60", which urllib3 would obey.
            http_client=urllib3.PoolManager(retries=False),
        )

    def _answers(self) -> bool:
        """Whether requests are served: that begins a moment after the health probe says so."""
        try:
            self._client().list_buckets()
        except (S3Error, ServerError, urllib3.exceptions.HTTPError):
            return False
        return True

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/minio/health/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
