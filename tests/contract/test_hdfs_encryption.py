"""A folder of HDFS in an encryption zone: what cannot be written or read there is said, and never waited for."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hdfs_native import Client

from streamjob_runtime.errors import JobError, Unavailable
from streamjob_runtime.stores.connections import Connections, Secrets
from streamjob_runtime.stores.hdfs import HdfsStore
from streamjob_runtime.stores.hdfs_errors import translate
from support.delta import delta_folder
from support.hdfs import HdfsServer, Settings, site_file
from support.installed import require

_KEY_SHELL = "org.apache.hadoop.crypto.key.KeyShell"
_CRYPTO_ADMIN = "org.apache.hadoop.hdfs.tools.CryptoAdmin"
_SHELL = "org.apache.hadoop.fs.FsShell"
_PROVIDER = "hadoop.security.key.provider.path"


class Zoned(HdfsServer):
    """An HDFS whose folder `/zone` is an encryption zone; its keys are in a file."""

    def settings(self) -> dict[str, Settings]:
        settings = super().settings()
        settings["core-site"][_PROVIDER] = f"jceks://file{self._folder}/keys.jceks"
        return settings

    def start(self, *nodes: str) -> None:
        self._configure()
        self._run(_KEY_SHELL, "create", "key", "-size", "128")
        super().start(*nodes)
        Client(self.url).mkdirs("/zone")
        self._run(_CRYPTO_ADMIN, "-createZone", "-keyName", "key", "-path", "/zone")

    def put(self, path: Path) -> None:
        """Copy a file or a folder into the zone, as Hadoop itself does."""
        self._run(_SHELL, "-put", str(path), "/zone/")


@pytest.fixture(scope="module")
def zoned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoned]:
    require("hdfs")
    server = Zoned(tmp_path_factory.mktemp("hdfs-zone"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


def test_a_zone_whose_key_server_nobody_names_is_refused(zoned: Zoned, tmp_path: Path) -> None:
    store = HdfsStore(f"{zoned.url}/zone")
    (tmp_path / "there").write_text("secret")
    zoned.put(tmp_path / "there")
    for call in (lambda: store.create("a", b"1"), lambda: store.read("there")):
        with pytest.raises(JobError, match=rf"/zone/.*encryption zone.*: give the site files .*{_PROVIDER}"):
            call()


def test_a_delta_table_in_a_zone_is_refused(zoned: Zoned, tmp_path: Path) -> None:
    write_deltalake(tmp_path / "old", pa.table({"word": ["a"], "n": [1]}))
    zoned.put(tmp_path / "old")
    for name in ("new", "old"):
        with (
            delta_folder(f"{zoned.url}/zone/{name}", Connections(None, Secrets(None, {}))) as there,
            pytest.raises(
                JobError, match=rf"/zone/{name} cannot be used .*: choose a folder outside of the encryption"
            ),
        ):
            there.opened()


@pytest.mark.parametrize(
    "uri", ["jceks://file/x", "kms://ftp@h:1/kms", "kms://http@/kms", "kms://h:1/kms", "kms://http@h h:1/kms"]
)
def test_an_address_that_is_no_key_servers_is_refused(tmp_path: Path, uri: str) -> None:
    (tmp_path / "core-site.xml").write_text(site_file({_PROVIDER: uri}))
    (tmp_path / "hdfs-site.xml").write_text(site_file({}))
    with pytest.raises(JobError, match=rf"hdfs://host:1/x .*: write {_PROVIDER}.* as kms://http@HOST:PORT/kms"):
        HdfsStore("hdfs://host:1/x", conf_dir=str(tmp_path))


# What hdfs-native makes of a key server's answers.
ANSWERS = [
    ('OperationFailed("KMS rejected SPNEGO authentication")', JobError, "name a principal and its keytab"),
    (
        'OperationFailed("KMS request failed (403 Forbidden): User:etl not allowed to do DECRYPT_EEK")',
        JobError,
        "let the",
    ),
    ('OperationFailed("KMS request failed (404 Not Found): no such page")', JobError, f"write {_PROVIDER}"),
    ('OperationFailed("KMS request failed (500 Internal Server Error): oh")', Unavailable, "cannot be reached now"),
    ('OperationFailed("KMS HTTP error: error sending request for url (http://k:1/kms)")', Unavailable, "cannot be"),
]


@pytest.mark.parametrize(("said", "error", "words"), ANSWERS)
def test_answers_of_a_key_server(said: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words), translate("hdfs://x/a"):
        raise RuntimeError(said)


def test_what_the_client_does_not_know_is_refused() -> None:
    with (
        pytest.raises(JobError, match=r"hdfs://x/a cannot be used \(SM4 cipher suite\): .*does not know"),
        translate("hdfs://x/a"),
    ):
        raise NotImplementedError("SM4 cipher suite")
