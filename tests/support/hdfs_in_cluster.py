"""An HDFS in the cluster, for the checkpoints of jobs."""

import json
from typing import Any

from support.cluster import Cluster, Object
from support.hdfs import DATA_NODE, LOG, NAME_NODE, site_file

NAME = "hdfs"
SITE = "hadoop-site"
_PORTS = {"rpc": 8020, "http": 9870, "data": 9866}
_LABELS = {"app": NAME}
_START_S = 120


class HdfsInCluster:
    """A pod with a name node and a data node, and a Service. Jobs of any namespace reach it by `site_files`.

    A node that is killed is started again on the same data, for as long as the pod is there.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._host = f"{NAME}.{namespace}"

    def site_files(self) -> Object:
        """The ConfigMap that a job needs in its own namespace."""
        data = {"core-site.xml": site_file({"fs.defaultFS": f"hdfs://{self._host}:{_PORTS['rpc']}"})}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": SITE}, "data": data}

    def start(self, image: str) -> None:
        """Start the pod, and wait until files can be written."""
        manifests = [self._configuration(), self._pod(image), self._service()]
        self._cluster.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}), self._namespace)
        self._cluster.wait(
            lambda: self._cluster.is_ready("pod", NAME, self._namespace), timeout=_START_S, what="HDFS's start"
        )
        self._cluster.wait(self._has_a_data_node, timeout=_START_S, what="the data node's report")

    def create_folder(self, path: str, owner: str) -> None:
        """A folder in which only its owner may write."""
        self.dfs("-mkdir", "-p", path)
        self.dfs("-chown", owner, path)

    def dfs(self, *arguments: str) -> str:
        """What `hdfs dfs` prints."""
        return self._exec("org.apache.hadoop.fs.FsShell", *arguments)

    def kill_name_node(self) -> None:
        """As a loss of its memory would; the kubelet starts it again."""
        self._cluster.kill(*self._cluster.process_of(NAME, self._namespace, "namenode"))

    def _has_a_data_node(self) -> bool:
        return "Live datanodes (1)" in self._exec("org.apache.hadoop.hdfs.tools.DFSAdmin", "-report")

    def _exec(self, *command: str) -> str:
        java = ("/opt/java/bin/java", "-Xmx64m", "-XX:TieredStopAtLevel=1")
        return self._cluster.exec(NAME, self._namespace, *java, *command)

    def _configuration(self) -> Object:
        hdfs: dict[str, object] = {
            "dfs.namenode.name.dir": "file:///data/name",
            "dfs.datanode.data.dir": "file:///data/data",
            "dfs.replication": 1,
            "dfs.namenode.rpc-address": f"{self._host}:{_PORTS['rpc']}",
            "dfs.namenode.rpc-bind-host": "0.0.0.0",
            "dfs.namenode.http-address": f"0.0.0.0:{_PORTS['http']}",
            "dfs.datanode.address": f"0.0.0.0:{_PORTS['data']}",
            # A pod has no name that its address could be asked for.
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.namenode.safemode.extension": 0,
            "dfs.heartbeat.interval": 1,
            "dfs.namenode.handler.count": 4,
            "dfs.blocksize": 1 << 20,
        }
        site = self.site_files()
        files = {**site["data"], "hdfs-site.xml": site_file(hdfs), "log4j.properties": LOG}
        return {**site, "metadata": {"name": f"{NAME}-nodes"}, "data": files}

    def _pod(self, image: str) -> Object:
        def container(name: str, *arguments: str, **more: Any) -> Object:
            return {
                "name": name,
                "image": image,
                "args": ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx160m", *arguments],
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [
                    {"name": "data", "mountPath": "/data"},
                    {"name": "configuration", "mountPath": "/etc/hadoop"},
                ],
                **more,
            }

        ready = {"tcpSocket": {"port": _PORTS["rpc"]}, "periodSeconds": 1}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": NAME, "labels": _LABELS},
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": self._cluster.workers()[0]},
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "fsGroup": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "initContainers": [container("format", NAME_NODE, "-format", "-nonInteractive")],
                "containers": [
                    container("namenode", NAME_NODE, readinessProbe=ready),
                    container("datanode", DATA_NODE),
                ],
                "volumes": [
                    {"name": "data", "emptyDir": {}},
                    {"name": "configuration", "configMap": {"name": f"{NAME}-nodes"}},
                ],
            },
        }

    def _service(self) -> Object:
        # Without an address of its own its name is the pod's address, for the nodes themselves before they are ready.
        ports = [{"name": name, "port": port} for name, port in _PORTS.items()]
        spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": _LABELS, "ports": ports}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME}, "spec": spec}
