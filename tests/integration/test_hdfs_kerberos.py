"""HDFS that authenticates by Kerberos: a job with a keytab, and what is said to those without."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from streamjob_runtime.errors import JobError, Unavailable
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.connections import Connections, Secrets
from streamjob_runtime.stores.open import open_store
from support.command import streamjob
from support.hdfs_kerberos import STRANGER, USER, KerberisedHdfs

MANIFEST = """
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: kerberised}}
spec:
  batchInterval: 50ms
  trigger: availableNow
  sources: [{{name: lines, files: {{path: "{root}/in/", maxFilesPerBatch: 1}}, format: text}}]
  pipeline: [{{name: sums, sql: "SELECT count(*) AS n, sum(value::BIGINT)::BIGINT AS total FROM lines"}}]
  sinks: [{{from: sums, mode: complete, files: {{path: "{root}/sums/"}}, format: json}}]
  checkpoint: {{location: "{root}/checkpoint", interval: 250ms}}
  hdfs:
    configMapRef: {{name: hadoop-site}}
    kerberos: {{principal: {principal}, keytabSecretRef: {{name: etl, key: etl.keytab}}}}
"""


@pytest.fixture
def secrets(tmp_path: Path, kerberised_hdfs: KerberisedHdfs, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of Secrets with the keytab; what the store makes of the process's environment is undone."""
    monkeypatch.setenv("KRB5_CONFIG", "")
    folder = tmp_path / "secrets"
    (folder / "etl").mkdir(parents=True)
    shutil.copy(kerberised_hdfs.keytab, folder / "etl" / "etl.keytab")
    return folder


def opened(
    server: KerberisedHdfs,
    root: str,
    secrets: Path,
    principal: str = USER,
    key: str = "etl.keytab",
    environ: Mapping[str, str] | None = None,
) -> Store:
    kerberos = SimpleNamespace(principal=principal, keytab_secret_ref=SimpleNamespace(name="etl", key=key))
    hdfs = SimpleNamespace(user=None, config_map_ref=None, kerberos=kerberos)
    return open_store(
        root, Connections(None, Secrets(secrets, {"HADOOP_CONF_DIR": str(server.conf), **(environ or {})}), hdfs)
    )


def test_a_job_with_a_keytab(tmp_path: Path, kerberised_hdfs: KerberisedHdfs, secrets: Path) -> None:
    root = kerberised_hdfs.create_root()
    store = opened(kerberised_hdfs, root, secrets)
    for n in range(5):
        store.create(f"in/{n}", f"{n}\n".encode())
    (tmp_path / "job.yaml").write_text(MANIFEST.format(root=root, principal=USER))
    environ = {"HADOOP_CONF_DIR": str(kerberised_hdfs.conf)}
    for _ in range(2):  # the second one goes on from the first one's checkpoint
        done = streamjob("run", "job.yaml", "--secrets", secrets, cwd=tmp_path, environ=environ)
        assert done.returncode == 0, done.stderr
    assert json.loads(store.read("sums/table.json")) == {"n": 5, "total": 10}

    (tmp_path / "job.yaml").write_text(MANIFEST.format(root=root, principal=STRANGER))
    done = streamjob("check", "job.yaml", "--secrets", secrets, cwd=tmp_path, environ=environ)
    assert done.returncode == 78
    assert "Permission denied: user=stranger" in done.stderr


def test_who_is_not_known_is_told_so(kerberised_hdfs: KerberisedHdfs, secrets: Path) -> None:
    root = kerberised_hdfs.create_root()
    with pytest.raises(
        JobError,
        match=r"/a cannot be used \(No credentials were supplied.*name a principal and its keytab \(hdfs.kerberos\)",
    ):
        opened(kerberised_hdfs, root, secrets, principal="nobody@EXAMPLE.COM").create("a", b"1")
    with pytest.raises(JobError, match=r"Secret 'etl' has no key 'absent': no file .*Add it"):
        opened(kerberised_hdfs, root, secrets, key="absent")


def test_a_kerberos_server_that_is_away_is_waited_for(
    kerberised_hdfs: KerberisedHdfs, tmp_path: Path, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = kerberised_hdfs.create_root()
    nobody_there = tmp_path / "krb5.conf"
    nobody_there.write_text(re.sub(r"localhost:\d+", "localhost:1", (kerberised_hdfs.conf / "krb5.conf").read_text()))
    monkeypatch.setenv("KRB5_CONFIG", str(nobody_there))
    store = opened(kerberised_hdfs, root, secrets, environ={"KRB5_CONFIG": str(nobody_there)})
    with pytest.raises(Unavailable, match=r"/a cannot be reached now \(.*Cannot contact any KDC for realm"):
        store.create("a", b"1")
    shutil.copy(kerberised_hdfs.conf / "krb5.conf", nobody_there)
    store.create("a", b"1")


def test_site_files_without_kerberos_are_refused(
    kerberised_hdfs: KerberisedHdfs, tmp_path: Path, secrets: Path
) -> None:
    simple = SimpleNamespace(conf=tmp_path)
    (tmp_path / "core-site.xml").write_text("<configuration/>")
    with pytest.raises(JobError, match=r"hdfs.kerberos names etl@EXAMPLE.COM, and the site files do not say"):
        opened(simple, "hdfs://127.0.0.1:1/x", secrets)  # type: ignore[arg-type]
