"""Fixtures that any test may ask for."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import cast

import pytest
from benchmarks.scale.control_plane import ROOT, ControlPlane, missing
from hypothesis import settings

from streamjob_runtime.stores.base import Store
from support import hdfs as hdfs_support
from support import postgres as postgres_support
from support import stores
from support.control_plane import control_plane
from support.distance import at_a_distance
from support.hdfs import HdfsServer
from support.hdfs_kerberos import KerberisedHdfs
from support.hdfs_pair import HdfsPair
from support.kafka import INSTALL as INSTALL_KAFKA
from support.kafka import JARS as KAFKA_JARS
from support.kafka import KafkaServer
from support.minio import BINARY, INSTALL, MinioServer
from support.postgres import PostgresServer
from support.registry import INSTALL as INSTALL_REGISTRY
from support.registry import JARS as REGISTRY_JARS
from support.registry import RegistryServer

# CI judges a change: there the same examples each time. Elsewhere new ones, which find new faults.
# No deadline: how long an example takes says how busy the machine is.
settings.register_profile("elsewhere", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "elsewhere")


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    """A MinIO for the whole session; a test makes its own bucket, and neither stops nor kills this server."""
    require_minio()
    server = MinioServer(tmp_path_factory.mktemp("minio") / "data")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    """A MinIO for one test, which may stop, kill and restart it."""
    require_minio()
    server = MinioServer(tmp_path_factory.mktemp("own-minio") / "data")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for the whole session; a test makes its own schema, and neither stops nor kills this server."""
    yield from _postgres()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for one test, which may stop, kill and restart it."""
    yield from _postgres()


@pytest.fixture(scope="session")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HdfsServer]:
    """An HDFS for the whole session; a test uses a folder of its own, and neither stops nor kills a node.

    Its name node is some milliseconds away. The client asks whether a file that it closes is complete, and waits half a
    second when the data node's report comes after the question, as it does where all is on one machine.
    """
    for server in _hdfs(tmp_path_factory):
        with at_a_distance(server.port("rpc"), 0.005) as port:
            server.reached_at = f"127.0.0.1:{port}"
            yield server


@pytest.fixture(scope="module")
def hdfs_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HdfsPair]:
    """Two name nodes for the tests of a module, which may do with them what they like and start them again."""
    require_hdfs()
    pair = HdfsPair(tmp_path_factory.mktemp("hdfs-pair"))
    try:
        pair.start()
        yield pair
    finally:
        pair.kill()


@pytest.fixture(scope="module")
def kerberised_hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KerberisedHdfs]:
    """An HDFS with Kerberos for the tests of a module."""
    require_hdfs()
    server = KerberisedHdfs(tmp_path_factory.mktemp("hdfs-kerberos"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def own_hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HdfsServer]:
    """An HDFS for one test, which may stop, kill and restart its nodes."""
    yield from _hdfs(tmp_path_factory)


def _hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HdfsServer]:
    require_hdfs()
    server = HdfsServer(tmp_path_factory.mktemp("hdfs"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _postgres() -> Iterator[PostgresServer]:
    if postgres_support.binaries() is None:
        _not_installed("PostgreSQL", postgres_support.INSTALL)
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A Kafka for the whole session; a test makes its own topics, and neither stops nor kills this server."""
    require_kafka()
    server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A Kafka for one test, which may stop, kill and restart it."""
    require_kafka()
    server = KafkaServer(tmp_path_factory.mktemp("own-kafka"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A schema registry for the whole session; a test has subjects of its own, and nobody stops this server."""
    yield from _registry(tmp_path_factory)


@pytest.fixture
def own_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A schema registry for one test, which may kill and restart it."""
    yield from _registry(tmp_path_factory)


def _registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    if not REGISTRY_JARS.is_dir():
        _not_installed("The schema registry", INSTALL_REGISTRY)
    server = RegistryServer(tmp_path_factory.mktemp("registry"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def api_server() -> Iterator[ControlPlane]:
    """A Kubernetes control plane without a kubelet, for the whole session."""
    if os.environ.get("CI"):
        for install in (["-m", "scripts.kind", "programs"], ["scripts/tools.py", "kwok"]):
            subprocess.run([sys.executable, *install], cwd=ROOT, check=True)
    if missing():
        _not_installed("The API server", "make bench-scale")
    with control_plane() as plane:
        yield plane


def require_minio() -> None:
    """Skip the test where MinIO is not installed; fail in CI, which installs it."""
    if not BINARY.exists():
        _not_installed("MinIO", INSTALL)


def require_kafka() -> None:
    """The same for Kafka."""
    if not KAFKA_JARS.is_dir():
        _not_installed("Kafka", INSTALL_KAFKA)


def require_hdfs() -> None:
    """The same for HDFS."""
    if not hdfs_support.JARS.is_dir():
        _not_installed("HDFS", hdfs_support.INSTALL)


def _not_installed(what: str, install: str) -> None:
    message = f"{what} is not installed; to run this test: {install}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(params=stores.KINDS)
def open_again(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[stores.OpenStore]:
    """Opens the test's own store, as often as it is called, as other processes would; a test for each kind of store.

    A test that has no need of a real store, or one more kind, may parametrise it indirectly: "memory".
    """

    def minio() -> MinioServer:
        return cast(MinioServer, request.getfixturevalue("minio"))

    def hdfs() -> HdfsServer:
        return cast(HdfsServer, request.getfixturevalue("hdfs"))

    with stores.opener(request.param, tmp_path_factory.mktemp("store"), minio, hdfs) as opened:
        yield opened


@pytest.fixture
def store(open_again: stores.OpenStore) -> Store:
    """An empty store of its own; a test for each kind of store."""
    return open_again()
