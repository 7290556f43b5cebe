"""The rules of the connection to HDFS. Like those of `rules`, they look at plain trees."""

from collections.abc import Iterator

from streamjob_api.trees import Broken, Tree


def connection(hdfs: Tree) -> Iterator[Broken]:
    """The rules of the connection."""
    if hdfs.get("user") is not None and hdfs.get("kerberos") is not None:
        yield Broken(("user",), "with kerberos the principal says who the job is", "leave it out")
