"""Fixtures that any test may ask for."""

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, cast

import pytest
from benchmarks.scale.control_plane import TOOLS as CONTROL_PLANE
from benchmarks.scale.control_plane import ControlPlane
from hypothesis import settings

from streamjob_runtime.stores.base import Store
from support import stores
from support.control_plane import control_plane
from support.hdfs import HdfsServer
from support.hdfs_kerberos import KerberisedHdfs
from support.hdfs_pair import HdfsPair
from support.installed import require
from support.kafka import KafkaServer
from support.keeper import KEEPER, ask, keeper
from support.minio import MinioServer
from support.postgres import PostgresServer
from support.registry import RegistryServer

pytest_plugins = ["support.workers"]

Servers = Callable[[str], Any]

# CI judges a change: there the same examples each time. Elsewhere new ones, which find new faults. How long an example
# takes says nothing of it where other workers and builds want the same two cores.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("elsewhere", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "elsewhere")


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    """Servers for the whole session, which all workers of pytest share. Nobody stops or kills one of them."""
    given = getattr(request.config, "workerinput", {}).get(KEEPER)
    with keeper() if given is None else nullcontext(given) as address:
        yield lambda name: ask(address, name)


@pytest.fixture(scope="session")
def minio(servers: Servers) -> MinioServer:
    """A MinIO for the whole session; a test makes its own bucket."""
    require("minio")
    return cast(MinioServer, servers("minio"))


@pytest.fixture
def own_minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MinioServer]:
    """A MinIO for one test, which may stop, kill and restart it."""
    require("minio")
    server = MinioServer(tmp_path_factory.mktemp("own-minio") / "data")
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def postgres(servers: Servers) -> PostgresServer:
    """A PostgreSQL for the whole session; a test makes its own schema."""
    require("postgres")
    return cast(PostgresServer, servers("postgres"))


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for one test, which may stop, kill and restart it."""
    require("postgres")
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def hdfs(servers: Servers) -> HdfsServer:
    """An HDFS for the whole session; a test uses a folder of its own."""
    require("hdfs")
    return cast(HdfsServer, servers("hdfs"))


@pytest.fixture(scope="module")
def hdfs_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HdfsPair]:
    """Two name nodes for the tests of a module, which may do with them what they like and start them again."""
    require("hdfs")
    pair = HdfsPair(tmp_path_factory.mktemp("hdfs-pair"))
    try:
        pair.start()
        yield pair
    finally:
        pair.kill()


@pytest.fixture(scope="module")
def kerberised_hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KerberisedHdfs]:
    """An HDFS with Kerberos for the tests of a module."""
    require("hdfs")
    server = KerberisedHdfs(tmp_path_factory.mktemp("hdfs-kerberos"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def own_hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HdfsServer]:
    """An HDFS for one test, which may stop, kill and restart its nodes."""
    require("hdfs")
    server = HdfsServer(tmp_path_factory.mktemp("hdfs"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def kafka(servers: Servers) -> KafkaServer:
    """A Kafka for the whole session; a test makes its own topics."""
    require("kafka")
    return cast(KafkaServer, servers("kafka"))


@pytest.fixture
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A Kafka for one test, which may stop, kill and restart it."""
    require("kafka")
    server = KafkaServer(tmp_path_factory.mktemp("own-kafka"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def registry(servers: Servers) -> RegistryServer:
    """A schema registry for the whole session; a test has subjects of its own."""
    require("registry")
    return cast(RegistryServer, servers("registry"))


@pytest.fixture
def own_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A schema registry for one test, which may kill and restart it."""
    require("registry")
    server = RegistryServer(tmp_path_factory.mktemp("registry"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def api_server() -> Iterator[ControlPlane]:
    """A Kubernetes control plane without a kubelet, for the whole session."""
    require(*CONTROL_PLANE)
    with control_plane() as plane:
        yield plane


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
