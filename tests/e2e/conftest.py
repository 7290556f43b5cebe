"""Fixtures of the tests that need a real cluster, and what is shown of it when one fails."""

import sys
from collections.abc import Generator, Iterator

import pytest

from support import images as own_images
from support.cluster import Cluster, run
from support.cluster_setup import running_cluster
from support.hdfs_in_cluster import HdfsInCluster
from support.jobs import Jobs
from support.operator_release import OperatorRelease
from support.storage import Storage


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


@pytest.fixture(scope="session")
def images(cluster: Cluster, request: pytest.FixtureRequest) -> None:
    """The project's images, of the present sources, are in the cluster."""
    output = request.config.pluginmanager.getplugin("capturemanager")
    with output.global_and_fixture_disabled():
        own_images.ensure(cluster)


@pytest.fixture(scope="session")
def operator(cluster: Cluster, images: None) -> Iterator[OperatorRelease]:
    """The operator, installed by its chart for all namespaces."""
    with cluster.namespace() as name:
        release = OperatorRelease(cluster, name)
        release.install()
        yield release
        release.uninstall()


@pytest.fixture(scope="session")
def storage(cluster: Cluster) -> Iterator[Storage]:
    """MinIO in the cluster; each job has a prefix of its own."""
    image = run(sys.executable, "-m", "scripts.kind", "image", "minio").strip()
    cluster.load_image(image)
    with cluster.namespace() as name:
        made = Storage(cluster, name)
        made.start(image)
        yield made
        made.close()


@pytest.fixture(scope="session")
def hdfs_in_cluster(cluster: Cluster) -> Iterator[HdfsInCluster]:
    """HDFS in the cluster; each job has a folder of its own."""
    image = run(sys.executable, "-m", "scripts.kind", "image", "hdfs").strip()
    cluster.load_image(image)
    with cluster.namespace() as name:
        made = HdfsInCluster(cluster, name)
        made.start(image)
        yield made


@pytest.fixture(scope="session")
def jobs_of_session(cluster: Cluster, operator: OperatorRelease, storage: Storage) -> Iterator[Jobs]:
    """Where all jobs are: a namespace goes slowly, so the tests share one."""
    with cluster.namespace() as name:
        yield Jobs(cluster, storage, name)


@pytest.fixture
def jobs(jobs_of_session: Jobs) -> Iterator[Jobs]:
    """Makes the test's jobs, each of a name that no other test uses; they go when the test is over."""
    with jobs_of_session.passing():
        yield jobs_of_session


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
    cluster, namespace = (item.funcargs.get(name) for name in ("cluster", "namespace"))
    if report.failed and isinstance(cluster, Cluster):
        report.sections.append(("cluster", cluster.diagnosis(str(namespace) if namespace else None)))
    return report
