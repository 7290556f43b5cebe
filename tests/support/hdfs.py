"""An HDFS of the test's own: a name node and a data node."""

import json
import os
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar
from xml.sax.saxutils import escape

import psutil
from benchmarks.ports import free_port
from scripts import tools

JARS = tools.place("hdfs").path

NAME_NODE = "org.apache.hadoop.hdfs.server.namenode.NameNode"
DATA_NODE = "org.apache.hadoop.hdfs.server.datanode.DataNode"

Settings = dict[str, object]

_JAVA = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx160m",
    "-Djava.net.preferIPv4Stack=true",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
)
LOG = """\
log4j.rootLogger=WARN,C
log4j.appender.C=org.apache.log4j.ConsoleAppender
log4j.appender.C.layout=org.apache.log4j.PatternLayout
log4j.appender.C.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
"""
_START_S = 120
_STOP_S = 20


def site_file(settings: Settings) -> str:
    """The text of `core-site.xml` or the like."""
    properties = "".join(
        f"<property><name>{key}</name><value>{escape(str(value))}</value></property>\n"
        for key, value in settings.items()
    )
    return f"<configuration>\n{properties}</configuration>\n"


class HdfsServer:
    """An HDFS on free ports of 127.0.0.1, on data in `folder`.

    Its nodes may be stopped, killed or frozen, together or one of them, and started again on the same data.
    """

    nodes: ClassVar[Mapping[str, tuple[str, ...]]] = {"namenode": (NAME_NODE,), "datanode": (DATA_NODE,)}
    """What each node's process is called with."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.reached_at: str | None = None  # clients' address of the name node, where it is not its own
        self.conf = folder / "conf"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ports: dict[str, int] = defaultdict(free_port)

    @property
    def url(self) -> str:
        """The root of the file system."""
        return f"hdfs://{self.reached_at or self.at('rpc')}"

    def create_root(self) -> str:
        """The URL of a folder that nobody else uses; it is not there yet."""
        return f"{self.url}/test-{secrets.token_hex(4)}/a folder"

    def start(self, *nodes: str) -> None:
        """Start these nodes, or all, and wait until files can be written."""
        self._configure()
        if not (self._folder / "name").exists():
            self._format()
        for node in nodes or self.nodes:
            with self._log(node).open("ab") as log:
                self._processes[node] = subprocess.Popen(
                    self._java(*self.nodes[node]), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder
                )
        deadline = time.monotonic() + _START_S
        while len(self._processes) == len(self.nodes) and not self._is_ready():
            for node, process in list(self._processes.items()):
                if process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise RuntimeError(f"The {node} did not start:\n{self._log(node).read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self, *nodes: str) -> None:
        """End these nodes, or all, in an orderly way."""
        for node in reversed(nodes or tuple(self.nodes)):
            if process := self._processes.pop(node, None):
                process.terminate()
                try:
                    process.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(_STOP_S)

    def kill(self, *nodes: str) -> None:
        """End these nodes, or all, as a loss of their machine would."""
        for node in nodes or self.nodes:
            if process := self._processes.pop(node, None):
                process.kill()
                process.wait(_STOP_S)

    @contextmanager
    def frozen(self, node: str) -> Iterator[None]:
        """The node takes connections and answers nothing for as long as this lasts."""
        process = psutil.Process(self._processes[node].pid)
        process.suspend()
        try:
            yield
        finally:
            with suppress(psutil.NoSuchProcess):  # it was killed meanwhile
                process.resume()

    def at(self, port: str) -> str:
        """The address of one of its ports."""
        return f"127.0.0.1:{self.port(port)}"

    def port(self, name: str) -> int:
        """One of its ports."""
        return self._ports[name]

    def settings(self) -> dict[str, Settings]:
        """What stands in the site files, by their names."""
        core: Settings = {
            "fs.defaultFS": self.url,
            "hadoop.tmp.dir": self._folder / "tmp",
            "hadoop.security.token.service.use_ip": "true",
        }
        hdfs: Settings = {
            "dfs.namenode.name.dir": f"file://{self._folder}/name",
            "dfs.datanode.data.dir": f"file://{self._folder}/data",
            "dfs.replication": 1,
            "dfs.namenode.rpc-address": self.at("rpc"),
            "dfs.namenode.http-address": self.at("http"),
            "dfs.datanode.address": "127.0.0.1:0",
            "dfs.datanode.http.address": "127.0.0.1:0",
            "dfs.datanode.ipc.address": "127.0.0.1:0",
            "dfs.datanode.hostname": "127.0.0.1",
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.namenode.safemode.extension": 0,
            "dfs.namenode.safemode.min.datanodes": 1,
            "dfs.heartbeat.interval": 1,
            "dfs.namenode.heartbeat.recheck-interval": 1000,
            "dfs.datanode.du.reserved": 0,
            "dfs.blocksize": 1 << 20,
            "dfs.namenode.fs-limits.min-block-size": 1024,
            "dfs.namenode.handler.count": 4,
            # Killed processes lose nothing that the kernel has, and a disk that others use too is slow.
            "dfs.namenode.edits.noeditlogchannelflush": "true",
            "dfs.client.block.write.locateFollowingBlock.initial.delay.ms": 20,
        }
        return {"core-site": core, "hdfs-site": hdfs}

    def _java(self, *command: str) -> list[str]:
        home = os.environ.get("JAVA_HOME")
        java = f"{home}/bin/java" if home else shutil.which("java")
        assert java is not None, "HDFS needs Java 17"
        return [java, *_JAVA, "-cp", f"{self.conf}:{JARS}/*", *command]

    def _run(self, *command: str) -> None:
        """Run one of Hadoop's own programs to its end."""
        done = subprocess.run(self._java(*command), capture_output=True, check=False, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} has failed:\n{done.stderr[-2000:]}")

    def _format(self) -> None:
        self._run(*self.nodes["namenode"], "-format", "-nonInteractive")

    def _log(self, node: str) -> Path:
        return self._folder / f"{node}.log"

    def _configure(self) -> None:
        # The artifacts of Maven lack the pages of the web servers, without whose folders no node starts.
        for page in ("hdfs", "datanode", "static"):
            (self.conf / "webapps" / page / "WEB-INF").mkdir(parents=True, exist_ok=True)
        for name, settings in self.settings().items():
            (self.conf / f"{name}.xml").write_text(site_file(settings))
        (self.conf / "log4j.properties").write_text(LOG)

    def _is_ready(self) -> bool:
        """Whether the name node is out of its safe mode, and knows a data node that lives."""
        about = self._said("http", "NameNodeInfo")
        return about is not None and not about["Safemode"] and bool(json.loads(about["LiveNodes"]))

    def _said(self, http: str, bean: str) -> dict[str, Any] | None:
        """What the name node at that port says of itself; None: nothing."""
        question = f"http://{self.at(http)}/jmx?qry=Hadoop:service=NameNode,name={bean}"
        try:
            with urllib.request.urlopen(question, timeout=5) as answer:
                beans: list[dict[str, Any]] = json.load(answer)["beans"]
        except (urllib.error.URLError, OSError, ValueError):
            return None
        return beans[0] if beans else None
