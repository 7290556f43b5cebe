"""Fixtures that any test may ask for."""

import os
from collections.abc import Iterator
from typing import cast

import pytest
from hypothesis import settings

from streamjob_runtime.stores.base import Store
from support import stores
from support.kafka import INSTALL as INSTALL_KAFKA
from support.kafka import JARS as KAFKA_JARS
from support.kafka import KafkaServer
from support.minio import BINARY, INSTALL, MinioServer

# CI judges a change: there the same examples each time. Elsewhere new ones, which find new faults.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


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


def require_minio() -> None:
    """Skip the test where MinIO is not installed; fail in CI, which installs it."""
    if not BINARY.exists():
        _not_installed("MinIO", INSTALL)


def require_kafka() -> None:
    """The same for Kafka."""
    if not KAFKA_JARS.is_dir():
        _not_installed("Kafka", INSTALL_KAFKA)


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

    def server() -> MinioServer:
        return cast(MinioServer, request.getfixturevalue("minio"))

    with stores.opener(request.param, tmp_path_factory.mktemp("store"), server) as opened:
        yield opened


@pytest.fixture
def store(open_again: stores.OpenStore) -> Store:
    """An empty store of its own; a test for each kind of store."""
    return open_again()
