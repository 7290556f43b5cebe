"""A store in a bucket of S3, or of a server that speaks S3 with its conditional writes (MinIO and others)."""

import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from xml.etree.ElementTree import ParseError

import certifi
import urllib3
from minio import Minio
from minio.credentials.credentials import Credentials
from minio.datatypes import Object
from minio.error import S3Error
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from streamjob_runtime.clock import Clock, SystemClock
from streamjob_runtime.errors import AlreadyExists, JobError, NotFound, Refused, StreamJobError, Unavailable
from streamjob_runtime.patience import alive
from streamjob_runtime.stores.base import Entry
from streamjob_runtime.stores.connections import Connections
from streamjob_runtime.stores.keys import check_key, check_prefix
from streamjob_runtime.stores.s3_answers import BoundedPool, in_pieces
from streamjob_runtime.stores.s3_errors import from_answer, from_network, translate
from streamjob_runtime.stores.s3_signing import signed_put

ENDPOINT = "AWS_ENDPOINT_URL"
REGION = "AWS_REGION"
ACCESS_KEY = "AWS_ACCESS_KEY_ID"
SECRET_KEY = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a key, not a secret
SESSION_TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105

_BUCKET = re.compile(r"(?!.*(\.\.|\.-|-\.))[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_CONNECT_S = 5
_CONNECTIONS = 16
_NEVER_SENT = (NewConnectionError, ConnectTimeoutError)


@dataclass(frozen=True, slots=True)
class S3Access:
    """How an S3 server is reached."""

    endpoint: str | None  # http://host:port or https://host; None: Amazon's own
    region: str | None
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    @property
    def credentials(self) -> Credentials:
        """What requests are signed with."""
        return Credentials(self.access_key, self.secret_key, self.session_token)

    @classmethod
    def from_connections(cls, connections: Connections) -> "S3Access":
        """What the manifest's `s3` and its Secret say, and the usual AWS variables where they say nothing.

        The Secret's keys are named like the variables.
        """
        s3, secrets = connections.s3, connections.secrets
        secret = s3.credentials_secret_ref.name if s3 and s3.credentials_secret_ref else None
        return cls(
            endpoint=(s3.endpoint if s3 else None) or secrets.environ.get(ENDPOINT) or None,
            region=(s3.region if s3 else None) or secrets.environ.get(REGION) or None,
            access_key=secrets.get(secret, ACCESS_KEY),
            secret_key=secrets.get(secret, SECRET_KEY),
            session_token=secrets.find(secret, SESSION_TOKEN),
        )


class S3Store:
    """Objects below `s3://bucket/prefix`; the bucket must be there.

    The atomic create is a PUT with `If-None-Match: *`, `replace` one with `If-Match`; a version is an ETag. A refused
    create is settled by reading back even at the first answer, because a proxy on the way may have sent it twice: so a
    create of the very bytes that stand there succeeds. Times are whole seconds: S3 gives no more to `stat`.
    """

    def __init__(
        self,
        url: str,
        access: S3Access | Callable[[], S3Access],
        read_timeout_s: float = 30,
        clock: Clock | None = None,
    ) -> None:
        self._bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not _BUCKET.fullmatch(self._bucket):
            raise JobError(f"{url!r} names no bucket: write s3://BUCKET/PREFIX, the bucket in lower-case letters.")
        self._base = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        if self._base:
            check_key(self._base.removesuffix("/"))
        self._url = f"s3://{self._bucket}/{self._base}".rstrip("/")
        self._find_access = access if callable(access) else lambda: access
        self._access = self._find_access()
        self._at = f" at {self._access.endpoint}" if self._access.endpoint else ""
        self._clock = clock or SystemClock()
        self._http = BoundedPool(
            self._clock,
            maxsize=_CONNECTIONS,
            timeout=urllib3.Timeout(connect=_CONNECT_S, read=read_timeout_s),
            retries=False,  # a conditional PUT that is sent twice is ours to settle
            cert_reqs="CERT_REQUIRED",
            ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
        )
        self._client = _client(self._access, self._http)

    @classmethod
    def from_url(cls, url: str, connections: Connections) -> "S3Store":
        """The store at `s3://bucket/prefix`."""
        return cls(url, lambda: S3Access.from_connections(connections))

    @property
    def url(self) -> str:
        """See `Store`."""
        return self._url

    def create(self, key: str, data: bytes) -> None:
        """See `Store`."""
        self._put(key, data, None)

    def read(self, key: str) -> bytes:
        """See `Store`."""
        name, place = self._name(key)
        with self._translated(place):
            response = self._client.get_object(self._bucket, name)
            try:
                return b"".join(in_pieces(response, self._clock))
            finally:
                response.close()
                response.release_conn()

    def stat(self, key: str) -> Entry:
        """See `Store`."""
        name, place = self._name(key)
        with self._translated(place):
            try:
                found = self._client.stat_object(self._bucket, name)
            except S3Error as err:
                if err.code == "AccessDenied":
                    # An answer to HEAD has no words: whether it is a right that lacks or the keys are wrong, a listing
                    # says.
                    next(iter(self._client.list_objects(self._bucket, name)), None)
                raise
        return _entry(key, found)

    def list(self, prefix: str = "", recursive: bool = True) -> Iterator[Entry]:
        """See `Store`."""
        check_prefix(prefix)
        with self._translated(f"{self._url}/{prefix}{self._at}"):
            for found in self._client.list_objects(self._bucket, self._base + prefix, recursive):
                alive()  # it comes page by page
                name = found.object_name or ""
                if not name.endswith("/"):  # a folder, or the empty object that a web console makes for one
                    yield _entry(name.removeprefix(self._base), found)

    def replace(self, key: str, data: bytes, expected: str | None) -> str:
        """See `Store`."""
        return self._put(key, data, expected)

    def delete(self, key: str) -> None:
        """See `Store`."""
        name, place = self._name(key)
        with self._translated(place):
            self._client.remove_object(self._bucket, name)

    def close(self) -> None:
        """See `Store`."""
        self._http.clear()

    def _name(self, key: str) -> tuple[str, str]:
        """The object's name in the bucket, and its place for messages."""
        check_key(key)
        return self._base + key, f"{self._url}/{key}{self._at}"

    def _put(self, key: str, data: bytes, expected: str | None) -> str:
        """Write the object if the version `expected` stands there; give back the new version."""
        name, place = self._name(key)
        condition = {"If-None-Match": "*"} if expected is None else {"If-Match": f'"{expected}"'}
        with self._translated(place):
            now_ms = self._clock.now_ms()
            keys = self._access.credentials
            url, headers = signed_put(self._client, keys, self._bucket, name, data, condition, now_ms)
        headers["Content-Length"] = str(len(data))
        # A file goes out in small pieces, each under a timeout of its own. Bytes would go out under a single one, the
        # connect timeout, so that a large object would never get through a narrow line.
        body = _Sent(data)
        try:
            response = self._http.urlopen("PUT", url, body=body, headers=headers, redirect=False)
        except _NEVER_SENT as err:
            raise from_network(err, place) from err
        except HTTPError as err:
            return self._settle(key, data, expected, from_network(err, place))
        if response.status == HTTPStatus.OK:
            return _unquote(response.headers["ETag"])
        failure = _refusal(response, place)
        if isinstance(failure, Refused | Unavailable):
            self._read_access_again()
        return self._settle(key, data, expected, failure)

    @contextmanager
    def _translated(self, place: str) -> Iterator[None]:
        try:
            with translate(place):
                yield
        except (Refused, Unavailable):
            self._read_access_again()
            raise

    def _read_access_again(self) -> None:
        """The Secret may hold other credentials by now: the next call has them."""
        access = self._find_access()
        if access != self._access:
            self._access, self._client = access, _client(access, self._http)

    def _settle(self, key: str, data: bytes, expected: str | None, failure: StreamJobError) -> str:
        """After an answer that leaves open what happened: the version if our bytes stand there, else `failure`."""
        if not isinstance(failure, Unavailable | AlreadyExists):
            raise failure
        try:
            found = self.stat(key)
            if found.size == len(data) and self.read(key) == data:
                return found.version
        except NotFound:
            found = None
        if isinstance(failure, Unavailable) and found is not None and found.version != expected:
            _, place = self._name(key)
            raise AlreadyExists(f"{place} is there already, or was replaced by somebody else.") from failure
        raise failure


def _client(access: S3Access, http: urllib3.PoolManager) -> Minio:
    if access.endpoint is None:
        host, secure, region = "s3.amazonaws.com", True, access.region
    else:
        scheme, _, host = access.endpoint.rstrip("/").partition("://")
        if scheme not in ("http", "https") or not host:
            raise JobError(
                f"s3.endpoint or {ENDPOINT}: {access.endpoint!r} is no URL of a server: write http://HOST:PORT."
            )
        # Only Amazon has a region a bucket; to ask such a server for it would be a request more, and a right more.
        secure, region = scheme == "https", access.region or "us-east-1"
    try:
        return Minio(
            host,
            access_key=access.access_key,
            secret_key=access.secret_key,
            session_token=access.session_token,
            secure=secure,
            region=region,
            http_client=http,
        )
    except ValueError as err:
        raise JobError(f"s3.endpoint {access.endpoint!r} or s3.region {access.region!r} is wrong: {err}.") from err


class _Sent(io.BytesIO):
    """What is sent, in pieces: each that the server takes is a sign of life."""

    def read(self, size: int | None = -1) -> bytes:
        """See `io.BytesIO`."""
        alive()
        return super().read(size)


def _entry(key: str, found: Object) -> Entry:
    modified = found.last_modified
    seconds = int(modified.timestamp()) if modified else 0
    return Entry(key, found.size or 0, seconds * 1000, _unquote(found.etag or ""))


def _unquote(etag: str) -> str:
    return etag.strip('"')


def _refusal(response: urllib3.BaseHTTPResponse, place: str) -> StreamJobError:
    code = message = ""
    with suppress(ParseError, UnicodeDecodeError):  # an answer from a proxy on the way
        error = S3Error.fromxml(response)
        code, message = error.code or "", error.message or ""
    return from_answer(response.status, code, message, place)
