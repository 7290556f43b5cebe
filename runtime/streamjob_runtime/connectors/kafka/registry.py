"""A schema registry, as Confluent's REST API has it: schemas by their number, and the versions of a subject."""

import base64
import json
import os
import ssl
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import certifi
import urllib3

from streamjob_runtime.clock import SystemClock
from streamjob_runtime.errors import JobError, NotFound, Refused, Unavailable
from streamjob_runtime.stores.connections import Secrets

T = TypeVar("T")

_CONNECT_S = 5.0
_ANSWER_S = 20.0  # for each piece of an answer
_WHOLE_ANSWER_S = 60.0
_LONGEST = 32 << 20  # bytes of an answer: the names of a million subjects
_PIECE = 1 << 16
_TYPE = "application/vnd.schemaregistry.v1+json"
_REFUSED_SCHEMA = (409, 422)


class Reference(NamedTuple):
    """A schema that another one uses."""

    subject: str
    version: int


class Schema(NamedTuple):
    """A schema as the registry has it."""

    text: str
    kind: str  # AVRO, JSON or PROTOBUF
    references: tuple[Reference, ...]


class Registry:
    """Asks a schema registry.

    Raises `JobError` where it refuses what is asked, `NotFound` where it has no such thing, `Unavailable` where it does
    not answer as it should.
    """

    def __init__(
        self, who: str, url: str, find_login: Callable[[], tuple[str, str] | None], authorities: str | None
    ) -> None:
        self.url = url.rstrip("/")
        self._who = f"{who}: the schema registry at {self.url}"
        self._clock = SystemClock()
        self._find_login = find_login  # user name and password, as they are now
        find_login()
        public = os.environ.get("SSL_CERT_FILE") or certifi.where()
        try:
            context = ssl.create_default_context(cafile=None if authorities else public, cadata=authorities)
        except ssl.SSLError:
            raise JobError(
                f"{who}: ca.crt in the Secret of schemaRegistry.certificatesSecretRef holds no certificate in PEM."
            ) from None
        timeout = urllib3.Timeout(connect=_CONNECT_S, read=_ANSWER_S)
        self._http = urllib3.PoolManager(timeout=timeout, retries=False, ssl_context=context)

    @classmethod
    def from_manifest(cls, who: str, registry: Any, secrets: Secrets) -> "Registry":
        """`registry`: a `SchemaRegistry` of the manifest. Raises `JobError` if a Secret is missing."""
        authorities = None

        def find_login() -> tuple[str, str] | None:
            if registry.auth_secret_ref is None:
                return None
            secret = registry.auth_secret_ref.name
            user = secrets.get(secret, "username", "SCHEMA_REGISTRY_USERNAME")
            return user, secrets.get(secret, "password", "SCHEMA_REGISTRY_PASSWORD")

        if registry.certificates_secret_ref is not None:
            authorities = secrets.get(registry.certificates_secret_ref.name, "ca.crt", "SCHEMA_REGISTRY_CA")
        return cls(who, registry.url, find_login, authorities)

    def subjects(self) -> list[str]:
        """The names of all subjects."""
        return self._ask("GET", "/subjects", lambda found: [_of(str, subject) for subject in _of(list, found)])

    def by_id(self, schema_id: int) -> Schema:
        """The schema of a number. Raises `NotFound`."""
        return self._ask("GET", f"/schemas/ids/{schema_id}", _schema)

    def version(self, subject: str, version: int | str) -> Schema:
        """A version of a subject's schema, or its `latest`. Raises `NotFound`."""
        return self._ask("GET", f"/subjects/{quote(subject, safe='')}/versions/{version}", _schema)

    def find(self, subject: str, schema: str) -> int:
        """The number of the schema if it is one of the subject's. Raises `NotFound`."""
        return self._ask("POST", f"/subjects/{quote(subject, safe='')}", _number, {"schema": schema})

    def register(self, subject: str, schema: str) -> int:
        """Make the schema the subject's newest; its number. Raises `JobError` if the registry does not take it."""
        return self._ask("POST", f"/subjects/{quote(subject, safe='')}/versions", _number, {"schema": schema})

    def objections(self, subject: str, schema: str) -> str:
        """Why the schema could not be the subject's newest; empty: it could, or there is no such subject."""
        path = f"/compatibility/subjects/{quote(subject, safe='')}/versions/latest?verbose=true"
        try:
            return self._ask("POST", path, _objections, {"schema": schema})
        except NotFound:
            return ""

    def close(self) -> None:
        """Let go of the connections."""
        self._http.clear()

    def _ask(self, method: str, path: str, read: Callable[[Any], T], body: Mapping[str, Any] | None = None) -> T:
        """What `read` makes of the answer; it may take it for what it should be."""
        headers = {"Accept": _TYPE, **({"Content-Type": _TYPE} if body is not None else {})}
        login = self._find_login()
        if login is not None:
            # In UTF-8, as RFC 7617 has it; urllib3 knows latin-1 alone.
            headers["authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
        sent = None if body is None else json.dumps(body)
        try:
            response = self._http.request(method, self.url + path, headers=headers, body=sent, preload_content=False)
            with response:
                data = self._read(response)
        except urllib3.exceptions.SSLError as error:
            if "certificate verify failed" in str(error).lower():
                raise JobError(
                    f"{self._who} has a certificate that is not trusted ({error}). Name a Secret with its authority as "
                    "ca.crt in schemaRegistry.certificatesSecretRef."
                ) from None
            raise Unavailable(f"{self._who} does not answer: {error}") from None
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"{self._who} does not answer: {_reason(error)}") from None
        if response.status == 200:
            try:
                found = json.loads(data)
            except ValueError:
                raise JobError(
                    f"{self._who} answers with something else than JSON. Correct schemaRegistry.url."
                ) from None
            try:
                return read(found)
            except (KeyError, TypeError, ValueError):
                raise JobError(
                    f"{self._who} does not answer as a schema registry: {json.dumps(found)[:80]}. Correct "
                    "schemaRegistry.url."
                ) from None
        raise self._refusal(response, data)

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """The answer's body. Raises `Unavailable` if it is no answer of a registry for its length or its slowness."""
        began, pieces, length = self._clock.monotonic(), list[bytes](), 0
        while piece := response.read1(_PIECE):  # `read` would wait for as much
            pieces.append(piece)
            length += len(piece)
            if length > _LONGEST or self._clock.monotonic() - began > _WHOLE_ANSWER_S:
                raise Unavailable(
                    f"{self._who} does not answer as it should: more than {_LONGEST >> 20} MiB, or for longer than "
                    f"{_WHOLE_ANSWER_S:g} s"
                )
        return b"".join(pieces)

    def _refusal(self, response: urllib3.BaseHTTPResponse, data: bytes) -> Exception:
        code, said = _said(response, data)
        if response.status in (401, 403):
            return Refused(
                f"{self._who} refuses this job ({said}). Correct the Secret of schemaRegistry.authSecretRef, or give "
                "its user the right."
            )
        if response.status == 404 and code // 100 == 404:  # 40401 … 40403: it is the registry itself that says so
            return NotFound(f"{self._who} says: {said}")
        if response.status in _REFUSED_SCHEMA:
            return JobError(f"{self._who} does not take the schema: {said}")
        if response.status == 429 or response.status >= 500:
            return Unavailable(f"{self._who} does not answer as it should: {response.status} {said}")
        return JobError(f"{self._who} answers with {response.status} {said}. Correct schemaRegistry.url.")


def _of(kind: type[T], value: Any) -> T:
    """The value. Raises `TypeError` if it is of another kind."""
    if not isinstance(value, kind):
        raise TypeError
    return value


def _schema(found: Any) -> Schema:
    found = _of(dict, found)
    references = tuple(Reference(_of(str, r["subject"]), _of(int, r["version"])) for r in found.get("references") or ())
    return Schema(_of(str, found["schema"]), _of(str, found.get("schemaType") or "AVRO"), references)


def _number(found: Any) -> int:
    return _of(int, found["id"])


def _objections(found: Any) -> str:
    if _of(dict, found).get("is_compatible"):
        return ""
    return "; ".join(found.get("messages") or []) or str(found.get("reason") or "it is not compatible")


def _said(response: urllib3.BaseHTTPResponse, data: bytes) -> tuple[int, str]:
    """The registry's own code, 0 if it has none, and its words."""
    try:
        found = json.loads(data)
        return int(found["error_code"]), str(found.get("message") or "")
    except (ValueError, KeyError, TypeError):
        return 0, (response.reason or "").strip()


def _reason(error: Exception) -> str:
    """The innermost words of urllib3's error."""
    return str(getattr(error, "reason", None) or error).rpartition(": ")[2]
