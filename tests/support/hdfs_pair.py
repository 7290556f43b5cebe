"""An HDFS of the test's own with two name nodes behind one name, of which one is active."""

import shutil

from support.hdfs import DATA_NODE, NAME_NODE, HdfsServer, Settings

SERVICE = "pair"
_ADMIN = "org.apache.hadoop.hdfs.tools.DFSHAAdmin"


class HdfsPair(HdfsServer):
    """The name service `hdfs://pair`, which only the site files in `conf` know. `nn1` is active at first.

    The name nodes share the folder of their edits, and nobody but `make_active` changes which of them is active.
    """

    nodes = {
        "nn1": (NAME_NODE, "-Ddfs.ha.namenode.id=nn1"),
        "nn2": (NAME_NODE, "-Ddfs.ha.namenode.id=nn2"),
        "datanode": (DATA_NODE,),
    }
    _active = "nn1"

    @property
    def url(self) -> str:
        """See `HdfsServer`."""
        return f"hdfs://{SERVICE}"

    def make_active(self, node: str) -> None:
        """Make that name node the active one, and wait until files can be written; the other one must be dead."""
        self._active = node
        self._run(_ADMIN, "-transitionToActive", "--forceactive", node)

    def settings(self) -> dict[str, Settings]:
        """See `HdfsServer`."""
        settings = super().settings()
        hdfs = settings["hdfs-site"]
        for name in ("dfs.namenode.rpc-address", "dfs.namenode.http-address", "dfs.namenode.name.dir"):
            del hdfs[name]
        hdfs |= {
            "dfs.nameservices": SERVICE,
            f"dfs.ha.namenodes.{SERVICE}": "nn1,nn2",
            f"dfs.client.failover.proxy.provider.{SERVICE}": (
                "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider"
            ),
            "dfs.namenode.shared.edits.dir": f"file://{self._folder}/edits",
            "dfs.ha.tail-edits.period": 1,
        }
        for node in ("nn1", "nn2"):
            hdfs |= {
                f"dfs.namenode.rpc-address.{SERVICE}.{node}": self.at(node),
                f"dfs.namenode.http-address.{SERVICE}.{node}": self.at(f"{node}-http"),
                f"dfs.namenode.name.dir.{SERVICE}.{node}": f"file://{self._folder}/name/{node}",
            }
        return settings

    def _format(self) -> None:
        self._run(*self.nodes["nn1"], "-format", "-nonInteractive")
        shutil.copytree(self._folder / "name" / "nn1", self._folder / "name" / "nn2")

    def _is_ready(self) -> bool:
        status = self._said(f"{self._active}-http", "NameNodeStatus")
        if status is not None and status["State"] == "standby":
            self.make_active(self._active)
        about = self._said(f"{self._active}-http", "NameNodeInfo")
        return about is not None and not about["Safemode"] and "127.0.0.1" in about["LiveNodes"]
