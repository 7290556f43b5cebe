"""How a job reaches HDFS."""

from typing import Annotated, ClassVar

from pydantic import Field

from streamjob_api import rules_hdfs
from streamjob_api.base import KeyRef, NameRef, Part, Ruled
from streamjob_api.texts import KerberosPrincipal
from streamjob_api.trees import Rules


class Kerberos(Part):
    """Who the job is where HDFS authenticates by Kerberos."""

    principal: KerberosPrincipal = Field(description="The job's principal, such as `etl@EXAMPLE.COM`.")
    keytab_secret_ref: KeyRef = Field(
        description="The key of a Secret that holds the principal's keytab, as a file. On a laptop: in the folder of "
        "Secrets."
    )


class HdfsConnection(Ruled):
    """How every `hdfs://` location of the job is reached."""

    _rules: ClassVar[Rules] = staticmethod(rules_hdfs.connection)

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
