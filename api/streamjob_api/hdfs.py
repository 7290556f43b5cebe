"""How a job reaches HDFS."""

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from streamjob_api.base import KeyRef, NameRef, Part, Ruled
from streamjob_api.cel import CelRule, CelRules
from streamjob_api.texts import Text
from streamjob_api.trees import Broken, Rules, Tree

KerberosPrincipal = Annotated[
    str,
    Text(
        pattern=r"^[^\x00-\x20\x7f@/]+(/[^\x00-\x20\x7f@/]+)?@[A-Za-z0-9._-]+$",
        max_length=253,
        name="principal",
        words="a principal with its realm, such as etl@EXAMPLE.COM or etl/host@EXAMPLE.COM",
        varies=True,
    ),
]


def hdfs(tree: Tree) -> Iterator[Broken]:
    """The rules of the connection."""
    if tree.get("user") is not None and tree.get("kerberos") is not None:
        yield Broken(("user",), "with kerberos the principal says who the job is", "leave it out")


HDFS_CEL: CelRules = {
    "": (
        CelRule(
            "!has(self.user) || !has(self.kerberos)",
            "with kerberos the principal says who the job is; leave it out",
            field="user",
        ),
    ),
}


class Kerberos(Part):
    """Who the job is where HDFS authenticates by Kerberos."""

    principal: KerberosPrincipal = Field(description="The job's principal, such as `etl@EXAMPLE.COM`.")
    keytab_secret_ref: KeyRef = Field(
        description="The key of a Secret that holds the principal's keytab, as a file. On a laptop: in the folder of "
        "Secrets."
    )


class HdfsConnection(Ruled):
    """How every `hdfs://` location of the job is reached."""

    _rules: ClassVar[Rules] = staticmethod(hdfs)

    user: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        None, description="Who the job is there. Left out: `HADOOP_USER_NAME`, or else the process's own user."
    )
    config_map_ref: NameRef | None = Field(
        None,
        description="The ConfigMap with the files `core-site.xml` and `hdfs-site.xml`, which know the name nodes "
        "behind a name, and for Kerberos with `krb5.conf`. On a laptop: the folder that `HADOOP_CONF_DIR` names.",
    )
    kerberos: Kerberos | None = Field(
        None,
        description="Needed where the site files say `hadoop.security.authentication: kerberos`. On a laptop the "
        "ticket of `kinit` does as well.",
    )
