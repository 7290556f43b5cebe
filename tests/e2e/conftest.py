"""Fixtures of the tests that need a real cluster, and what is shown of it when one fails."""

from collections.abc import Generator, Iterator

import pytest

from support.cluster import Cluster
from support.cluster_setup import running_cluster


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of three nodes; tests take care of their own namespaces."""
    output = request.config.pluginmanager.getplugin("capturemanager")
    kubeconfig = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    setup = running_cluster(kubeconfig)
    # Making a cluster may take minutes: its steps are shown.
    with output.global_and_fixture_disabled():
        running = setup.__enter__()
    yield running
    with output.global_and_fixture_disabled():
        setup.__exit__(None, None, None)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own, under the `restricted` Pod Security level."""
    with cluster.namespace() as name:
        yield name


@pytest.fixture(autouse=True)
def thaw(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a node frozen for the next."""
    yield
    if "cluster" in request.fixturenames:
        request.getfixturevalue("cluster").unpause_all_nodes()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the cluster of a test that fails, before its namespace is removed."""
    report = yield
    cluster = item.funcargs.get("cluster")
    if report.failed and isinstance(cluster, Cluster):
        report.sections.append(("cluster", cluster.diagnosis()))
    return report
