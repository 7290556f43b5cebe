"""Fixtures that any test may ask for."""

import os
from collections.abc import Iterator
from typing import cast

import pytest
from hypothesis import settings

from streamjob_runtime.stores.base import Store
from support import stores
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


def require_minio() -> None:
    """Skip the test where MinIO is not installed; fail in CI, which installs it."""
    if BINARY.exists():
        return
    message = f"MinIO is not installed; to run this test: {INSTALL}"
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
