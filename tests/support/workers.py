"""How pytest's workers share the tests, and what each suite has cost.

`make test` runs pytest with some workers (pytest-xdist). One of them takes the tests of the cluster, of which there is
one, and the others take the rest, file by file, first those that need nothing which takes long to build.
"""

from collections import defaultdict
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from support.keeper import KEEPER, keeper

_TOGETHER = ("tests/e2e/", "tests/integration/test_operator_")
"""The tests of files that begin like this are of one worker, for they share what there is once."""

_BUILT_LATE = {"minio", "own_minio", "api_server", "figures"}
"""Fixtures whose servers take minutes to build on a new machine."""

_WORTH_TELLING_S = 60

_running = pytest.StashKey[ExitStack]()
_keeper = pytest.StashKey[str]()


class Shares(LoadScopeScheduling):  # type: ignore[misc]
    """A worker gets the tests of a whole file, or of files that belong together."""

    def _split_scope(self, nodeid: str) -> str:
        file = _file(nodeid)
        return next((together for together in _TOGETHER if file.startswith(together)), file)

    def remove_node(self, node: Any) -> str | None:
        """Give others the tests that a worker left; the one that it died of has failed, and is not tried again.

        Nothing else comes back to the queue: a worker that is given a file without a test to run never asks for more,
        and the run would last for ever.
        """
        left = self.assigned_work[node]
        died_of = next((test for tests in left.values() for test, done in tests.items() if not done), None)
        self.assigned_work[node] = {}
        super().remove_node(node)
        if died_of is not None:
            for tests in left.values():
                tests |= {died_of: True} if died_of in tests else {}
            self.workqueue.update({file: tests for file, tests in left.items() if not all(tests.values())})
            for other in self.assigned_work.keys() & self.registered_collections.keys():
                self._reschedule(other)
        return died_of


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Shares:
    """See the module."""
    config.option.loadscopereorder = False
    return Shares(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the files into the order in which workers take them."""
    if not hasattr(config, "workerinput"):
        return
    late = {
        _file(item.nodeid) for item in items if isinstance(item, pytest.Function) and _needs_what_is_built_late(item)
    }

    def turn(item: pytest.Item) -> tuple[bool, bool, bool]:
        suite, file = _suite(item.nodeid), _file(item.nodeid)
        # The tests of the cluster wait for it from the start; those that need nothing fill what is left in the end.
        return suite != "e2e", suite == "unit", file in late

    items.sort(key=turn)


def _needs_what_is_built_late(item: pytest.Function) -> bool:
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return bool(_BUILT_LATE & set(item.fixturenames)) or "s3" in parameters


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker that begins where the servers are, which this process looks after."""
    stash = node.config.stash
    if _running not in stash:
        stash[_running] = ExitStack()
        stash[_keeper] = stash[_running].enter_context(keeper())
    node.workerinput[KEEPER] = stash[_keeper]


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the servers."""
    if _running in config.stash:
        config.stash[_running].close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how long the tests of each suite took, together and from the first to the last."""
    reports = [r for found in terminalreporter.stats.values() for r in found if isinstance(r, pytest.TestReport)]
    by_suite: dict[str, list[pytest.TestReport]] = defaultdict(list)
    for report in reports:
        by_suite[_suite(report.nodeid)].append(report)
    if sum(report.duration for report in reports) < _WORTH_TELLING_S:
        return
    terminalreporter.section("minutes by suite")
    for suite, found in sorted(by_suite.items()):
        spent = sum(report.duration for report in found) / 60
        lasted = (max(report.stop for report in found) - min(report.start for report in found)) / 60
        tests = len({report.nodeid for report in found})
        terminalreporter.line(f"{suite:12} {tests:5} tests, {spent:5.1f} min of tests within {lasted:5.1f} min")


def _file(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def _suite(nodeid: str) -> str:
    parts = PurePosixPath(_file(nodeid)).parts
    return parts[1] if len(parts) > 2 else parts[0]
