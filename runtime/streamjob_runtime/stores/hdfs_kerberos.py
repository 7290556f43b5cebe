"""Who a job is where HDFS authenticates by Kerberos.

The client library brings no Kerberos of its own: it loads MIT's, `libgssapi_krb5.so.2`, when it is needed. With a
keytab the tickets stay in memory, and are renewed as long as the keytab is good.
"""

import ctypes
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streamjob_runtime.errors import JobError
from streamjob_runtime.stores.connections import Kerberos, Secrets
from streamjob_runtime.stores.hdfs_site import Site

KRB5_CONFIG = "KRB5_CONFIG"

_LIBRARY = "libgssapi_krb5.so.2"


@dataclass(frozen=True, slots=True)
class Login:
    """A principal and the file with its keys."""

    principal: str
    keytab: Path

    @classmethod
    def of(cls, kerberos: Kerberos, secrets: Secrets) -> "Login":
        """What the manifest says. Raises `JobError` when there is no such keytab."""
        reference = kerberos.keytab_secret_ref
        return cls(kerberos.principal, secrets.file(reference.name, reference.key))

    def prepare(self, site: Site) -> dict[str, str]:
        """What the client is told. Raises `JobError` when the site files want no Kerberos, or it is not installed."""
        if not site.is_kerberos:
            raise JobError(
                f"hdfs.kerberos names {self.principal}, and the site files do not say hadoop.security.authentication: "
                "kerberos. Give those of a cluster that does (hdfs.configMapRef), or leave hdfs.kerberos out."
            )
        try:
            ctypes.CDLL(_LIBRARY)
        except OSError:
            raise JobError(
                f"hdfs.kerberos needs {_LIBRARY}, which is not installed: apt-get install libgssapi-krb5-2."
            ) from None
        return {"kerberos_principal": self.principal, "kerberos_keytab": str(self.keytab)}


def use_krb5_conf(conf_dir: Path, environ: Mapping[str, str]) -> None:
    """Make a `krb5.conf` beside the site files the process's own, unless the environment names another one."""
    if KRB5_CONFIG not in environ and (conf_dir / "krb5.conf").is_file():
        # The library takes it from nowhere else, and a process runs one job.
        os.environ[KRB5_CONFIG] = str(conf_dir / "krb5.conf")
