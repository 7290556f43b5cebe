"""An HDFS of the test's own that lets in only those whom a Kerberos server knows, and the server."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from benchmarks.ports import free_port
from hdfs_native import Client

from support.hdfs import HdfsServer, Settings

REALM = "EXAMPLE.COM"
USER, STRANGER = f"etl@{REALM}", f"stranger@{REALM}"

_HDFS, _HTTP = f"hdfs/localhost@{REALM}", f"HTTP/localhost@{REALM}"
_KDC = "org.apache.hadoop.minikdc.MiniKdc"
_KDC_SETTINGS = """\
org.name=EXAMPLE
org.domain=COM
kdc.bind.address=localhost
kdc.port={port}
transport=TCP
instance=DefaultKrbServer
max.ticket.lifetime=86400000
max.renewable.lifetime=604800000
debug=false
"""
_START_S = 120


class KerberisedHdfs(HdfsServer):
    """An HDFS whose folder `conf` has a `krb5.conf`, too. The first user that it knows is `USER`.

    The Kerberos server keeps its keys in memory: it stays, whichever nodes are stopped, until `kill` ends everything.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._kdc: subprocess.Popen[bytes] | None = None
        self._kdc_port = free_port()

    @property
    def keytab(self) -> Path:
        """The keys of all users and nodes."""
        return self._folder / "keytab"

    def create_root(self) -> str:
        """See `HdfsServer`; only `USER` may write there."""
        root = super().create_root()
        path = root.removeprefix(self.url)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KRB5_CONFIG", str(self.conf / "krb5.conf"))
            client = Client(
                self.url, config_dir=str(self.conf), kerberos_principal=_HDFS, kerberos_keytab=str(self.keytab)
            )
            client.mkdirs(path, create_parent=True)
            client.set_owner(path, owner=USER.partition("@")[0])
        return root

    def start(self, *nodes: str) -> None:
        """See `HdfsServer`."""
        if self._kdc is None:
            self._start_kdc()
        super().start(*nodes)

    def kill(self, *nodes: str) -> None:
        """See `HdfsServer`."""
        super().kill(*nodes)
        if not nodes and self._kdc is not None:
            self._kdc.kill()
            self._kdc.wait()

    def settings(self) -> dict[str, Settings]:
        """See `HdfsServer`."""
        settings = super().settings()
        settings["core-site"] |= {
            "hadoop.security.authentication": "kerberos",
            "hadoop.security.authorization": "true",
            "hadoop.rpc.protection": "privacy",
        }
        settings["hdfs-site"] |= {
            "dfs.block.access.token.enable": "true",
            "dfs.data.transfer.protection": "integrity",
            # Otherwise a data node wants a port below 1024, or certificates for a web server that nobody asks.
            "ignore.secure.ports.for.testing": "true",
            "dfs.web.authentication.kerberos.principal": _HTTP,
            "dfs.web.authentication.kerberos.keytab": self.keytab,
        }
        for node in ("namenode", "datanode"):
            settings["hdfs-site"] |= {
                f"dfs.{node}.kerberos.principal": _HDFS,
                f"dfs.{node}.keytab.file": self.keytab,
            }
        return settings

    def _configure(self) -> None:
        super()._configure()
        (self.conf / "krb5.conf").write_text(
            f"[libdefaults]\ndefault_realm = {REALM}\nudp_preference_limit = 1\n"
            "dns_canonicalize_hostname = false\nrdns = false\n"
            f"[realms]\n{REALM} = {{\nkdc = localhost:{self._kdc_port}\n}}\n"
        )

    def _java(self, *command: str) -> list[str]:
        java, *options = super()._java(*command)
        return [java, f"-Djava.security.krb5.conf={self.conf}/krb5.conf", *options]

    def _start_kdc(self) -> None:
        folder = self._folder / "kdc"
        folder.mkdir()
        (folder / "settings").write_text(_KDC_SETTINGS.format(port=self._kdc_port))
        names = [name.partition("@")[0] for name in (_HDFS, _HTTP, USER, STRANGER)]
        command = super()._java(_KDC, str(folder), str(folder / "settings"), str(folder / "keytab"), *names)
        with (folder / "log").open("wb") as log:
            self._kdc = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        while "Standalone MiniKdc Running" not in (said := (folder / "log").read_text()):
            if self._kdc.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"The Kerberos server did not start:\n{said[-2000:]}")
            time.sleep(0.05)
        shutil.copy(folder / "keytab", self.keytab)
