"""Secrets: where they are looked for, and what is said when they are not there."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from streamjob_runtime.errors import JobError
from streamjob_runtime.stores.connections import Connections, S3Connection, SecretRef, Secrets
from streamjob_runtime.stores.s3 import S3Access

VARIABLES = {"AWS_ACCESS_KEY_ID": "from-environ", "AWS_SECRET_ACCESS_KEY": "hidden-environ"}


class Minio:
    endpoint: str | None = "http://minio:9000"
    region: str | None = None

    def __init__(self, secret: str | None) -> None:
        self.credentials_secret_ref: SecretRef | None = SimpleNamespace(name=secret) if secret else None


def write(folder: Path, secret: str, **values: str) -> None:
    (folder / secret).mkdir(parents=True)
    for key, value in values.items():
        (folder / secret / key).write_text(value)


def access(connection: S3Connection | None, folder: Path | None, environ: dict[str, str]) -> S3Access:
    return S3Access.from_connections(Connections(connection, Secrets(folder, environ)))


def test_a_mounted_secret_is_a_folder_with_a_file_a_key(tmp_path: Path) -> None:
    write(
        tmp_path, "minio", AWS_ACCESS_KEY_ID="from-file\n", AWS_SECRET_ACCESS_KEY="hidden file", AWS_SESSION_TOKEN="t"
    )
    found = access(Minio("minio"), tmp_path, VARIABLES)
    assert (found.access_key, found.secret_key, found.session_token) == ("from-file", "hidden file", "t")


@pytest.mark.parametrize("connection", [None, Minio(None), Minio("minio")], ids=["no s3", "no secret", "secret"])
def test_without_a_folder_the_environment_gives_the_credentials(connection: Minio | None) -> None:
    found = access(connection, None, VARIABLES)
    assert (found.access_key, found.secret_key, found.session_token) == ("from-environ", "hidden-environ", None)


def test_a_job_that_names_no_secret_takes_the_environment(tmp_path: Path) -> None:
    assert access(Minio(None), tmp_path, VARIABLES).access_key == "from-environ"


def test_the_manifest_goes_before_the_usual_variables() -> None:
    variables = VARIABLES | {"AWS_ENDPOINT_URL": "https://s3.example.org", "AWS_REGION": "eu-west-1"}
    for connection, endpoint in ((None, "https://s3.example.org"), (Minio(None), "http://minio:9000")):
        found = access(connection, None, variables)
        assert (found.endpoint, found.region) == (endpoint, "eu-west-1")


def test_a_missing_secret_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=rf"no Secret 'minio': no folder {tmp_path}/minio.*AWS_ACCESS_KEY_ID"):
        access(Minio("minio"), tmp_path, VARIABLES)


@pytest.mark.parametrize("values", [{}, {"AWS_SECRET_ACCESS_KEY": "\n"}], ids=["missing", "empty"])
def test_a_missing_key_is_named_with_its_place(tmp_path: Path, values: dict[str, str]) -> None:
    write(tmp_path, "minio", AWS_ACCESS_KEY_ID="visible", **values)
    with pytest.raises(JobError, match=rf"'minio' has no key 'AWS_SECRET_ACCESS_KEY'.*{tmp_path}/minio/AWS") as raised:
        access(Minio("minio"), tmp_path, VARIABLES)
    assert "visible" not in str(raised.value)


def test_a_missing_variable_is_named_with_both_remedies() -> None:
    with pytest.raises(JobError, match=r"AWS_SECRET_ACCESS_KEY of Secret 'minio'.*environment.*--secrets DIR"):
        access(Minio("minio"), None, {"AWS_ACCESS_KEY_ID": "x"})


def test_a_secret_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    write(tmp_path, "minio")
    (tmp_path / "minio" / "AWS_ACCESS_KEY_ID").write_bytes(b"\xff\xfe")
    with pytest.raises(JobError, match="AWS_ACCESS_KEY_ID cannot be read"):
        access(Minio("minio"), tmp_path, {})


def test_no_value_shows_when_things_are_printed() -> None:
    secrets = Secrets(None, VARIABLES)
    assert "environ'" not in repr(Connections(None, secrets)) + repr(access(None, None, VARIABLES))
    assert "hidden" not in repr(secrets) + repr(access(None, None, VARIABLES))
