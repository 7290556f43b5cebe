"""What S3 and the way to it answer, in the runtime's own errors."""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from xml.etree.ElementTree import ParseError

from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError, SSLError

from streamjob_runtime.errors import AlreadyExists, JobError, NotFound, Refused, StreamJobError, Unavailable

_KEYS = (
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the Secret that s3.credentialsSecretRef names, "
    "or in the environment where it names none"
)
_REGION = "set s3.region to the region of the bucket"
_FRESH = "put fresh temporary credentials into the Secret"
_CLOCK = "this machine's clock or the server's is wrong: set them, by NTP"
_REMEDIES = {
    "AccessDenied": "allow these credentials s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket there",
    "AuthorizationHeaderMalformed": _REGION,
    "ExpiredToken": _FRESH,
    "IllegalLocationConstraintException": _REGION,
    "InvalidAccessKeyId": f"check {_KEYS}",
    "InvalidToken": _FRESH,
    "MethodNotAllowed": "choose a server with S3's conditional writes",
    "NoSuchBucket": "create the bucket (mc mb ALIAS/BUCKET), or correct its name",
    "NotImplemented": "choose a server with S3's conditional writes",
    "PermanentRedirect": _REGION,
    "RequestTimeTooSkewed": _CLOCK,
    "SignatureDoesNotMatch": f"check {_KEYS}",
}
# Where these credentials worked before, others may be on their way to the Secret, or to the server.
_CREDENTIALS = {"InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"}
# What time mends, or whoever looks after it meanwhile.
_PASSING = {"ExpiredToken", "RequestTimeTooSkewed"}
_TRANSIENT_CODES = {
    "ConditionalRequestConflict",
    "OperationAborted",
    "RequestTimeout",
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "TemporaryRedirect",
    "XMinioStorageFull",
}
# 499: our connection broke off, as it does when this process was frozen in the middle of a request.
_TRANSIENT_STATUS = {307, 408, 409, 425, 429, 499}


def from_answer(status: int, code: str, message: str, place: str) -> StreamJobError:
    """The error for an HTTP answer that is none of the good ones; `code` and `message` as S3's XML has them."""
    said = f"HTTP {status} {code}".strip() + (f", {message[:200]}" if message else "")
    if code == "NoSuchKey":
        return NotFound(f"There is no object {place}.")
    if code == "PreconditionFailed" or status == 412:
        return AlreadyExists(f"{place} is there already, or was replaced by somebody else.")
    remedy = _REMEDIES.get(code)
    # It does not say what is missing: MinIO answers so when it wakes in the middle of a request. What is no S3 server
    # has a page to show.
    nothing_said = status == HTTPStatus.NOT_FOUND and not code and not message
    transient = status >= 500 or status in _TRANSIENT_STATUS or code in _TRANSIENT_CODES or nothing_said
    if remedy is None and transient:
        return Unavailable(f"{place} cannot be reached now ({said}).")
    if code in _PASSING:
        return Unavailable(f"{place} cannot be used now ({said}): {remedy}.")
    kind = Refused if code in _CREDENTIALS else JobError
    return kind(f"{place} cannot be used ({said})" + (f": {remedy}." if remedy else "."))


def from_network(err: HTTPError, place: str) -> StreamJobError:
    """The error for a request that got no answer."""
    cause = err.args[0] if err.args else None
    if isinstance(err, SSLError) and isinstance(cause, ssl.SSLCertVerificationError):
        return JobError(
            f"{place} cannot be used: the server's certificate is not trusted ({cause.verify_message}). "
            "Give its authority's certificates in a file named by SSL_CERT_FILE."
        )
    return Unavailable(f"{place} cannot be reached now ({type(err).__name__}: {err}).")


@contextmanager
def translate(place: str) -> Iterator[None]:
    """Turn what minio and urllib3 raise over `place` into the runtime's errors."""
    try:
        yield
    except S3Error as err:
        raise from_answer(err.response.status, err.code or "", err.message or "", place) from err
    except ServerError as err:
        raise from_answer(err.status_code, "", "", place) from err
    except InvalidResponseError as err:  # a proxy's page, most often; its status stands in the text only
        found = re.search(r"Response code: (\d+)", str(err))
        raise from_answer(int(found[1]) if found else 0, "", str(err), place) from err
    except HTTPError as err:
        raise from_network(err, place) from err
    except (MinioException, ParseError) as err:
        raise Unavailable(f"{place} answers, but not as an S3 server does ({err}).") from err
