"""A Kafka server of the test's own: one process that is broker and controller (KRaft)."""

import base64
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import confluent_kafka
from benchmarks.ports import free_port
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
)
from scripts import tools

JARS = tools.place("kafka").path

_START_S = 90
_STOP_S = 20
_CALL_S = 60

Record = tuple[bytes | None, bytes | None]  # key, value


class KafkaServer:
    """A Kafka on free ports of 127.0.0.1, with its data in `folder`.

    It may be stopped or killed and started again, on the same ports with the same data. `secure`: it also listens on
    `secure_servers`, for who comes by TLS with the user name and the password of `user` and `password`; the
    certificate that tells the server is the PEM file `ca`. `creates`: it makes a topic that a producer asks for.
    """

    def __init__(self, folder: Path, secure: bool = False, creates: bool = False) -> None:
        self._folder = folder
        self._secure = secure
        self._creates = creates
        self._process: subprocess.Popen[bytes] | None = None
        self._port, self._controller_port, self._secure_port = free_port(), free_port(), free_port()
        self.servers = f"127.0.0.1:{self._port}"
        self.secure_servers = f"127.0.0.1:{self._secure_port}"
        self.user, self.password = "app", secrets.token_hex(12)
        self._keys_password = self.password  # the other one a test may change, and start the server again
        self.ca = folder / "ca.pem"

    def start(self) -> None:
        """Start, and wait until the broker takes requests."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "server.properties").write_text(self._properties())
        (self._folder / "log4j2.properties").write_text(_LOGGING)
        if not (self._folder / "data" / "meta.properties").exists():
            if self._secure:
                self._make_certificate()
            cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()
            # With a sign of equality: one in 64 of these begins with a hyphen.
            done = self._java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", "server.properties")
            if done.wait(_START_S) != 0:
                raise RuntimeError(f"Kafka's folder could not be prepared:\n{self.log()[-3000:]}")
        self._process = self._java("kafka.Kafka", "server.properties")
        deadline = time.monotonic() + _START_S
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"Kafka did not start:\n{self.log()[-3000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End in an orderly way."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """End as a loss of the node would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_S)
            self._process = None

    def settle(self, within_s: float = _CALL_S, topic: str | None = None) -> bool:
        """Wait until no transaction (of that topic) is open or waits for its markers; whether it came to that in time.

        To be called before a broker is killed or frozen that has just been told to commit. It answers when it has
        written down what it is about to do, and writes the markers into the partitions afterwards. A broker that comes
        back in between takes up the markers before it knows again who leads the partitions. It holds these for deleted
        and skips them (so since KAFKA-5202; seen in 4.3.1): the transaction never ends, readers of committed records
        stop there, and what the group has committed can never be read again. A cluster has other nodes that know; ours
        is one process.
        """
        deadline = time.monotonic() + within_s
        while self._ends(IsolationLevel.READ_UNCOMMITTED, topic) != self._ends(IsolationLevel.READ_COMMITTED, topic):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _ends(self, isolation: IsolationLevel, topic: str | None) -> dict[tuple[str, int], int]:
        """Where each partition ends for such a reader, without a topic those of the groups' offsets included."""
        with _Admin(self.servers) as admin:
            topics = admin.client.list_topics(topic, timeout=_CALL_S).topics
            asked = {
                TopicPartition(name, partition): OffsetSpec.latest()  # type: ignore[no-untyped-call]
                for name, found in topics.items()
                for partition in found.partitions
            }
            answers = admin.client.list_offsets(asked, isolation_level=isolation, request_timeout=_CALL_S)
            return {(p.topic, p.partition): future.result(_CALL_S).offset for p, future in answers.items()}

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It takes connections and answers nothing for as long as this lasts."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """What the server has said."""
        path = self._folder / "out.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # --- topics

    def create_topic(self, partitions: int = 1, name: str | None = None, **config: str) -> str:
        """A new topic's name; `config` as Kafka calls it, with _ for the dots."""
        if name is None:
            name = f"topic-{secrets.token_hex(4)}"
        settings = {key.replace("_", "."): value for key, value in config.items()}
        with _Admin(self.servers) as admin:
            admin.all(admin.client.create_topics([NewTopic(name, partitions, 1, config=settings)]))
            self._wait_for_partitions(admin.client, name, partitions)
        return name

    def add_partitions(self, topic: str, total: int) -> None:
        """Give the topic more partitions."""
        with _Admin(self.servers) as admin:
            admin.all(admin.client.create_partitions([NewPartitions(topic, total)]))
            self._wait_for_partitions(admin.client, topic, total)

    def _wait_for_partitions(self, client: AdminClient, topic: str, count: int) -> None:
        """Until whoever asks sees them with their leaders: the controller answers before that."""
        deadline = time.monotonic() + _CALL_S
        while True:
            found = client.list_topics(timeout=_CALL_S).topics.get(topic)
            if found is not None and sum(p.leader >= 0 for p in found.partitions.values()) >= count:
                return
            assert time.monotonic() < deadline, f"{topic} has not got its partitions"
            time.sleep(0.05)

    def alter_topic(self, topic: str, **config: str) -> None:
        """Change settings of the topic."""
        resource = ConfigResource(
            ResourceType.TOPIC, topic, {key.replace("_", "."): value for key, value in config.items()}
        )
        with _Admin(self.servers) as admin:
            admin.all(admin.client.alter_configs([resource]))

    def delete_topic(self, topic: str) -> None:
        """Delete it, and wait until it is gone."""
        with _Admin(self.servers) as admin:
            admin.all(admin.client.delete_topics([topic]))
            deadline = time.monotonic() + _CALL_S
            while topic in admin.client.list_topics(timeout=_CALL_S).topics:
                assert time.monotonic() < deadline, f"{topic} is still there"
                time.sleep(0.05)

    def delete_records(self, topic: str, before: int, partition: int = 0) -> None:
        """What retention does: the records before that offset are gone."""
        with _Admin(self.servers) as admin:
            admin.all(admin.client.delete_records([TopicPartition(topic, partition, before)]))

    def deny_group(self, group: str) -> None:
        """Take the consumer group from `user`, who has every other right."""
        rule = AclBinding(
            ResourceType.GROUP,
            group,
            ResourcePatternType.LITERAL,
            f"User:{self.user}",
            "*",
            AclOperation.ALL,
            AclPermissionType.DENY,
        )
        with _Admin(self.servers) as admin:
            admin.all(admin.client.create_acls([rule]))

    # --- records

    def produce(self, topic: str, records: Iterable[bytes | Record | None], partition: int = 0, **extra: Any) -> None:
        """Append records, each a value or a key and a value, and wait until they are there."""
        producer = Producer({"bootstrap.servers": self.servers, "acks": "all", "linger.ms": 5})
        failed: list[str] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failed.append(error.str())

        for record in records:
            key, value = record if isinstance(record, tuple) else (None, record)
            producer.produce(topic, value, key, partition, on_delivery=delivered, **extra)
            producer.poll(0)
        assert producer.flush(_CALL_S) == 0
        assert not failed, failed[0]

    def transaction(self, topic: str, values: Iterable[bytes], commit: bool = True, partition: int = 0) -> None:
        """Append records in a transaction, which is then committed or aborted; readers see that on return."""
        producer = self.transactional(secrets.token_hex(4))
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value, partition=partition)
        producer.flush(_CALL_S)
        if commit:
            producer.commit_transaction(_CALL_S)
        else:
            producer.abort_transaction(_CALL_S)
        assert self.settle(topic=topic)

    def transactional(self, transactional_id: str) -> Producer:
        """A producer that is ready to begin a transaction."""
        producer = Producer({"bootstrap.servers": self.servers, "transactional.id": transactional_id})
        producer.init_transactions(_CALL_S)
        return producer

    def read(self, topic: str, isolation: str = "read_committed") -> list[Message]:
        """Every record that a reader sees, by partition and offset."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": "test",
                "isolation.level": isolation,
                "enable.partition.eof": True,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        try:
            partitions = list(consumer.list_topics(topic, timeout=_CALL_S).topics[topic].partitions)
            consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
            found: list[Message] = []
            ended: set[int] = set()
            deadline = time.monotonic() + _CALL_S
            while len(ended) < len(partitions):
                assert time.monotonic() < deadline, f"only {len(ended)} of {len(partitions)} partitions could be read"
                for message in consumer.consume(10_000, 0.05):
                    error = message.error()
                    if error is None:
                        found.append(message)
                    elif error.name() == "_PARTITION_EOF":
                        ended.add(_not_none(message.partition()))
                    else:
                        raise KafkaException(error)
        finally:
            consumer.close()
        return sorted(found, key=lambda m: (_not_none(m.partition()), _not_none(m.offset())))

    def produce_with_header(self, topic: str, name: bytes) -> None:
        """Append an empty record with a header of that name, which need not be UTF-8: by the library below Python's."""
        folder = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs")
        library = ctypes.CDLL(str(next(folder.glob("librdkafka-*"))))
        for call in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
            getattr(library, call).restype = ctypes.c_void_p
        conf, said = ctypes.c_void_p(library.rd_kafka_conf_new()), ctypes.create_string_buffer(512)
        library.rd_kafka_conf_set(conf, b"bootstrap.servers", self.servers.encode(), said, 512)
        client = ctypes.c_void_p(library.rd_kafka_new(0, conf, said, 512))
        headers = ctypes.c_void_p(library.rd_kafka_headers_new(ctypes.c_size_t(1)))
        library.rd_kafka_header_add(headers, name, ctypes.c_ssize_t(len(name)), b"v", ctypes.c_ssize_t(1))
        # Pairs of a field's number in rdkafka.h and its value: topic, value, headers; 0 ends them.
        value = (4, ctypes.c_char_p(b""), ctypes.c_size_t(0))
        library.rd_kafka_producev(client, 1, ctypes.c_char_p(topic.encode()), *value, 10, headers, 0)
        assert library.rd_kafka_flush(client, _CALL_S * 1000) == 0
        library.rd_kafka_destroy(client)

    def values(self, topic: str) -> list[bytes | None]:
        """The values of `read`."""
        return [message.value() for message in self.read(topic)]

    def committed(self, group: str, topic: str, partition: int = 0) -> int:
        """The offset that a group has committed; negative: none."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": group})
        try:
            return int(consumer.committed([TopicPartition(topic, partition)], timeout=_CALL_S)[0].offset)
        finally:
            consumer.close()

    def commit(self, group: str, topic: str, offset: int, metadata: str = "", partition: int = 0) -> None:
        """Commit an offset for a group that nobody is in."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": group})
        try:
            consumer.commit(offsets=[TopicPartition(topic, partition, offset, metadata)], asynchronous=False)
        finally:
            consumer.close()

    def forget(self, group: str) -> None:
        """Let Kafka forget what a group has committed that nobody is in."""
        with _Admin(self.servers) as admin:
            admin.all(admin.client.delete_consumer_groups([group]))

    # --- the process

    def _properties(self) -> str:
        listeners = {"PLAINTEXT": self._port, "CONTROLLER": self._controller_port}
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
        more: dict[str, str] = {}
        if self._secure:
            listeners["SECURE"], protocols["SECURE"] = self._secure_port, "SASL_SSL"
            login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
            more = {
                "listener.name.secure.sasl.enabled.mechanisms": "PLAIN",
                "listener.name.secure.plain.sasl.jaas.config": f'{login} user_{self.user}="{self.password}";',
                "ssl.keystore.type": "PKCS12",
                "ssl.keystore.location": str(self._folder / "keys.p12"),
                "ssl.keystore.password": self._keys_password,
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
                "allow.everyone.if.no.acl.found": "true",
            }
        addresses = {name: f"{name}://127.0.0.1:{port}" for name, port in listeners.items()}
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": ",".join(addresses.values()),
            "advertised.listeners": ",".join(a for name, a in addresses.items() if name != "CONTROLLER"),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": ",".join(f"{name}:{value}" for name, value in protocols.items()),
            "log.dirs": str(self._folder / "data"),
            "auto.create.topics.enable": str(self._creates).lower(),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "2",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "2",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # After a SIGKILL the controller keeps the port shut until the old session has ended.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
            # Compaction and retention are tested, and nobody wants to wait for them.
            "log.cleaner.backoff.ms": "200",
            "log.cleaner.dedupe.buffer.size": "4194304",
            "log.retention.check.interval.ms": "500",
            # But only what a test deletes or a topic says: records with times of long ago stay.
            "log.retention.ms": "-1",
            # So are transactions that take too long.
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
            "num.network.threads": "2",
            "num.io.threads": "2",
            **more,
        }
        return "".join(f"{key}={value}\n" for key, value in settings.items())

    def _java(self, *arguments: str) -> subprocess.Popen[bytes]:
        java = shutil.which("java")
        assert java is not None
        options = ["-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        options += ["-Djava.net.preferIPv4Stack=true", "-Dlog4j2.configurationFile=log4j2.properties"]
        with (self._folder / "out.log").open("ab") as output:
            return subprocess.Popen(
                [java, *options, "-cp", f"{JARS}/*", *arguments],
                cwd=self._folder,
                env={"PATH": os.environ["PATH"]},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def _make_certificate(self) -> None:
        store = ["-keystore", "keys.p12", "-storetype", "PKCS12", "-storepass", self._keys_password, "-alias", "kafka"]
        new = ["-genkeypair", "-keyalg", "RSA", "-dname", "CN=127.0.0.1", "-ext", "SAN=IP:127.0.0.1", "-validity", "9"]
        for arguments in ([*new, *store], ["-exportcert", "-rfc", "-file", self.ca.name, *store]):
            subprocess.run(["keytool", *arguments], cwd=self._folder, check=True, capture_output=True, timeout=_START_S)

    def _listens(self) -> bool:
        try:
            # The port opens only when the broker takes requests.
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            return False
        return True


class _Admin:
    """An admin client that lives until what it was asked for is done."""

    def __init__(self, servers: str) -> None:
        self.client = AdminClient({"bootstrap.servers": servers})

    def __enter__(self) -> "_Admin":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.poll(0)

    def all(self, futures: Mapping[Any, Any]) -> Sequence[Any]:
        return [future.result(_CALL_S) for future in futures.values()]


def _not_none(number: int | None) -> int:
    assert number is not None
    return number


_LOGGING = """
rootLogger.level=INFO
rootLogger.appenderRef.c.ref=C
appender.c.type=Console
appender.c.name=C
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=[%d] %p %m (%c)%n
"""
