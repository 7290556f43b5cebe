"""Sources on a bench: what stands behind one, and how it is restarted."""

import itertools
import random
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from streamjob_api.sources import Source as SourceModel
from streamjob_runtime.clock import ManualClock, SystemClock
from streamjob_runtime.connectors.files.decoding import FileDecoder
from streamjob_runtime.connectors.files.follow import FollowSource
from streamjob_runtime.connectors.files.source import FilesSource
from streamjob_runtime.connectors.kafka.source import KafkaSource
from streamjob_runtime.connectors.queue.source import QueueSource
from streamjob_runtime.connectors.rate.source import RateSource
from streamjob_runtime.connectors.shared.input_queue import InputQueue
from streamjob_runtime.connectors.source import Source
from streamjob_runtime.connectors.source_context import SourceContext
from streamjob_runtime.connectors.tcp.source import TcpSource
from streamjob_runtime.formats.text import TextDecoder
from streamjob_runtime.patience import Patient, Trouble
from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.connections import Connections, Secrets
from support.kafka import KafkaServer
from support.memory import MemoryStore

KAFKA_METADATA: dict[str, pa.DataType] = {
    "_key": pa.string(),
    "_raw_key": pa.binary(),
    "_headers": pa.list_(pa.struct([pa.field("key", pa.string()), pa.field("value", pa.binary())])),
    "_topic": pa.string(),
    "_partition": pa.int32(),
    "_offset": pa.int64(),
    "_timestamp": pa.timestamp("us"),
}
TEXT = pa.schema([pa.field("value", pa.string())])
DEADLINE_S = 20.0


def wait_until(condition: "Condition") -> None:
    """Wait for something that another thread brings about; fail after `DEADLINE_S`."""
    clock, never = SystemClock(), threading.Event()
    end = clock.monotonic() + DEADLINE_S
    while not condition():
        assert clock.monotonic() < end, "waited in vain"
        clock.wait(0.001, never)


class Condition(Protocol):
    """What is waited for."""

    def __call__(self) -> bool: ...


class Bench(Protocol):
    """One source's surroundings, which outlive it."""

    clock: ManualClock
    added: list[str]  # all that a source must give, in order

    def make(self, epoch: int) -> Source:
        """A new source, as a start of the runtime makes it; not opened."""
        ...

    def add(self, count: int, source: Source) -> None:
        """Bring `count` more rows, all of them there for the next `poll`."""
        ...

    def close(self) -> None:
        """End what the bench has started."""
        ...


class QueueBench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.added: list[str] = []
        self._queue = InputQueue()

    def make(self, epoch: int) -> Source:
        return QueueSource("q", self._queue, TEXT)

    def add(self, count: int, source: Source) -> None:
        new = [f"row {len(self.added) + i}" for i in range(count)]
        self.added += new
        self._queue.put(pa.table({"value": new}) if count % 2 else [{"value": value} for value in new])

    def close(self) -> None:
        pass


class RateBench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.added = ["0"]

    def make(self, epoch: int) -> Source:
        return RateSource("r", 10)

    def add(self, count: int, source: Source) -> None:
        if source.snapshot()["t0"] is not None:  # before the first batch nothing is due
            self.clock.advance(count / 10)
            self.added += [str(len(self.added) + i) for i in range(count)]

    def close(self) -> None:
        pass


class FilesBench:
    def __init__(self, store: Store | None = None) -> None:
        self.added: list[str] = []
        self._names = itertools.count(9999, -1)
        if store is None:
            self.clock = ManualClock()
            self.store: Store = MemoryStore(self.clock)
        else:
            # Whatever it holds has settled, and its times may be equal: only names tell the order.
            self.clock = ManualClock(SystemClock().now_ms() + 60_000)
            self.store = store
            self._names = itertools.count(1000)

    def make(self, epoch: int) -> Source:
        return FilesSource("f", self.store, FileDecoder(TextDecoder()), TEXT, 3, self.clock)

    def add(self, count: int, source: Source) -> None:
        """A file of `count` lines."""
        new = [f"row {len(self.added) + i}" for i in range(count)]
        self.added += new
        # Names fall while times rise: the order is that of the times.
        self.store.create(f"{next(self._names)}.txt", "".join(line + "\n" for line in new).encode())
        self.clock.advance(2)

    def close(self) -> None:
        pass


def patient(on_trouble: Callable[[Trouble | None], None] = lambda trouble: None) -> Patient:
    """Waits for ever, as a runtime does that nobody stops."""
    return Patient(SystemClock(), random.Random(1), threading.Event(), on_trouble, "Kafka")


class KafkaBench:
    """One partition, so that records have one order. Other keywords are the manifest's, below `kafka`."""

    def __init__(self, server: KafkaServer, topic: str | None = None, **config: Any) -> None:
        self.clock = ManualClock()
        self.added: list[str] = []
        self.server = server
        self.topic = topic or server.create_topic()
        self.said: list[str] = []  # warnings
        self.secrets: Path | None = None
        what = {} if "topicPattern" in config else {"topic": self.topic}
        self._config = {"bootstrapServers": server.servers, "groupId": self.topic, **what, **config}

    def make(self, epoch: int) -> Source:
        model = SourceModel.model_validate({"name": "k", "format": "text", "kafka": self._config})
        metadata = [pa.field(name, KAFKA_METADATA[name]) for name in model.metadata]
        return KafkaSource.from_manifest(model, pa.schema([*TEXT, *metadata]), self.context(epoch))

    def context(self, epoch: int) -> SourceContext:
        return SourceContext(
            Connections(None, Secrets(self.secrets, {})),
            MemoryStore(),
            epoch,
            SystemClock(),
            random.Random(epoch),
            patience=lambda what: patient(),
            say=lambda level, message, **fields: self.said.append(f"{level}: {message} {fields}"),
        )

    def add(self, count: int, source: Source) -> None:
        new = [f"row {len(self.added) + i}" for i in range(count)]
        self.added += new
        self.server.produce(self.topic, [value.encode() for value in new])

    def close(self) -> None:
        pass


class TcpBench:
    def __init__(self, store: Store | None = None, max_buffer_bytes: int = 1 << 20) -> None:
        self.clock = ManualClock()
        self.added: list[str] = []
        self.store: Store = store or MemoryStore()
        self.server = LineServer()
        self._max_buffer_bytes = max_buffer_bytes

    def make(self, epoch: int) -> Source:
        return TcpSource(
            "t",
            "127.0.0.1",
            self.server.port,
            self.store,
            TextDecoder(),
            TEXT,
            epoch,
            random.Random(epoch),
            SystemClock(),
            self._max_buffer_bytes,
        )

    def add(self, count: int, source: Source) -> None:
        new = [f"row {len(self.added) + i}" for i in range(count)]
        self.added += new
        self.server.send("".join(line + "\n" for line in new).encode())
        wait_until(lambda: source.status().latest["lines"] == len(self.added))

    def close(self) -> None:
        self.server.stop()


class LineServer:
    """Listens on a free port of 127.0.0.1; whoever has connected last gets what is sent."""

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._peer: socket.socket | None = None
        self._accepted = threading.Condition()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with self._accepted:
                if self._peer is not None:
                    self._peer.close()
                self._peer = peer
                self._accepted.notify_all()

    def peer(self) -> socket.socket:
        """The connection, as soon as there is one that its other end has not closed."""
        with self._accepted:
            assert self._accepted.wait_for(lambda: self._peer is not None and not _ended(self._peer), DEADLINE_S)
            assert self._peer is not None
            return self._peer

    def send(self, data: bytes) -> None:
        self.peer().sendall(data)

    def hang_up(self) -> None:
        """Close the connection in good order: the other end sees the end of the stream."""
        peer = self.peer()
        with self._accepted:
            self._peer = None
        peer.close()

    def reset(self) -> None:
        """Break the connection off."""
        peer = self.peer()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        with self._accepted:
            self._peer = None
        peer.close()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(DEADLINE_S)
        if self._peer is not None:
            self._peer.close()


def _ended(peer: socket.socket) -> bool:
    """Whether the other end has closed the connection: it sends nothing, so that readable means ended."""
    try:
        return peer.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class FollowBench:
    """A file that grows, and is put aside now and then: renamed, or copied and cut off."""

    def __init__(self, pattern: str = "access.log") -> None:
        self.clock = ManualClock()
        self.added: list[str] = []
        self.said: list[str] = []  # warnings
        self._pattern = pattern
        self._scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self._scratch.name)
        self.log = self.folder / "access.log"
        self.log.touch()

    def make(self, epoch: int) -> Source:
        return FollowSource("f", self.folder, self._pattern, TextDecoder(), TEXT, patient(), self._say)

    def _say(self, level: str, message: str, **fields: Any) -> None:
        self.said.append(f"{level}: {message} {fields}")

    def add(self, count: int, source: Source) -> None:
        new = [f"row {len(self.added) + i}" for i in range(count)]
        self.added += new
        self.append("".join(line + "\n" for line in new))

    def append(self, text: str) -> None:
        with self.log.open("a") as file:
            file.write(text)

    def close(self) -> None:
        self._scratch.cleanup()
