"""An HDFS of the test's own with two name nodes behind one name, of which one is active."""

import shutil
from typing import ClassVar

from support.hdfs import DATA_NODE, NAME_NODE, HdfsServer, Settings

SERVICE = "pair"
_ADMIN = "org.apache.hadoop.hdfs.tools.DFSHAAdmin"


class HdfsPair(HdfsServer):
    """The name service `hdfs://pair`, which only the site files in `conf` know. `nn1` is active at first.

    The name nodes share the folder of their edits, and nobody but `fail_over` changes which of them is active.
    """

    nodes: ClassVar = {
        "nn1": (NAME_NODE, "-Ddfs.ha.namenode.id=nn1"),
        "nn2": (NAME_NODE, "-Ddfs.ha.namenode.id=nn2"),
        "datanode": (DATA_NODE,),
    }
    active = "nn1"
    """The node that is active, or the last that was."""

    @property
    def url(self) -> str:
        """See `HdfsServer`."""
        return f"hdfs://{SERVICE}"

    @property
    def standby(self) -> str:
        """The other one."""
        return "nn1" if self.active == "nn2" else "nn2"

    def fail_over(self) -> None:
        """Make the standby active, though the other one is dead or does not answer."""
        self._make_active(self.standby)

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

    def _make_active(self, node: str) -> None:
        self._run(_ADMIN, "-transitionToActive", "--forceactive", node)
        self.active = node

    def _is_ready(self) -> bool:
        states = {node: self._said(f"{node}-http", "NameNodeStatus") for node in ("nn1", "nn2")}
        active = states[self.active]
        if active is not None and active["State"] == "standby":
            self._make_active(self.active)
        about = self._said(f"{self.active}-http", "NameNodeInfo")
        is_writable = about is not None and not about["Safemode"] and "127.0.0.1" in about["LiveNodes"]
        return is_writable and None not in states.values()
