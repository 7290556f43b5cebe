"""Requests to S3 that carry a condition, signed with it, so that nobody on the way can take it off."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit, urlunsplit

from minio import Minio
from minio.credentials.credentials import Credentials
from minio.signer import sign_v4_s3

_UNSIGNED = "UNSIGNED-PAYLOAD"  # what S3 allows where TLS guards the body
_ADDRESS_S = timedelta(seconds=60)


def signed_put(
    client: Minio,
    credentials: Credentials,
    bucket: str,
    name: str,
    body: bytes,
    condition: Mapping[str, str],
    now_ms: int,
) -> tuple[str, dict[str, str]]:
    """The URL of an object, and the headers of a PUT of it (AWS Signature Version 4), among them the condition.

    minio's own PUT takes no header of ours, and its signed URLs leave headers out of the signature. Where the object is
    (the style of the host, the bucket's region) only its client knows: its signed URL says so, and is used for no more.
    """
    parts = urlsplit(client.get_presigned_url("PUT", bucket, name, _ADDRESS_S))
    region = parse_qs(parts.query)["X-Amz-Credential"][0].split("/")[2]
    target = parts._replace(query="")
    digest = _UNSIGNED if parts.scheme == "https" else hashlib.sha256(body).hexdigest()
    date = datetime.fromtimestamp(now_ms / 1000, UTC)
    headers: dict[str, str | list[str] | tuple[str]] = {
        "Host": target.netloc,
        "x-amz-date": date.strftime("%Y%m%dT%H%M%SZ"),
        "x-amz-content-sha256": digest,
        **condition,
    }
    if credentials.session_token:
        headers["x-amz-security-token"] = credentials.session_token
    signed = sign_v4_s3(
        method="PUT",
        url=target,
        region=region,
        headers=headers,
        credentials=credentials,
        content_sha256=digest,
        date=date,
    )
    return urlunsplit(target), {name: str(value) for name, value in signed.items()}
