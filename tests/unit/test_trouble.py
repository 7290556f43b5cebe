"""What the log hears of systems that fail and of sources that wait: each news once."""

from dataclasses import dataclass, field
from typing import Any, cast

from streamjob_runtime.clock import ManualClock
from streamjob_runtime.connectors.source import Source, SourceStatus
from streamjob_runtime.engine.progress import Progress
from streamjob_runtime.engine.trouble import SourceNews, TroubleBoard
from streamjob_runtime.patience import Trouble


@dataclass
class Said:
    """A log."""

    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, level: str, message: str, **fields: Any) -> None:
        self.lines.append((level, message, fields))


@dataclass
class Standing:
    """A source of which only the status is asked."""

    now: SourceStatus

    def status(self) -> SourceStatus:
        return self.now


def trouble(attempts: int) -> Trouble:
    return Trouble("the store", "no answer", 1, attempts)


def test_one_trouble_of_many_threads_is_said_like_that_of_one() -> None:
    said = Said()
    hear = TroubleBoard(Progress(), ManualClock(), said).listener("the store")
    for attempts in (1, 1, 1, 2, 2, 3, 1, 4, 3, 5, 8, 8):
        hear(trouble(attempts))
    assert [fields["n"] for _, _, fields in said.lines] == [1, 2, 4, 8]


def test_a_trouble_that_comes_again_is_news_again() -> None:
    said, progress = Said(), Progress()
    hear = TroubleBoard(progress, ManualClock(), said).listener("the store")
    hear(trouble(1))
    assert progress.status.trouble is not None
    hear(None)
    assert progress.status.trouble is None
    hear(trouble(1))
    assert [message for _, message, _ in said.lines] == [
        "waiting for a system outside",
        "the system outside answers again",
        "waiting for a system outside",
    ]


def test_a_source_that_waits_is_said_once_and_that_it_goes_on() -> None:
    said, progress = Said(), Progress()
    news = SourceNews(progress, said)
    source = Standing(SourceStatus(connected=False, message="cannot connect"))
    for _ in range(3):
        news.tell({"lines": cast(Source, source)})
    assert progress.status.sources_message == {"lines": "cannot connect"}
    source.now = SourceStatus()
    for _ in range(3):
        news.tell({"lines": cast(Source, source)})
    assert progress.status.sources_message == {}
    assert said.lines == [
        ("warning", "the source waits", {"source": "lines", "why": "cannot connect"}),
        ("info", "the source goes on", {"source": "lines"}),
    ]


def test_a_number_that_changes_in_a_sources_words_is_no_news() -> None:
    said, progress = Said(), Progress()
    news = SourceNews(progress, said)
    for message in ("waits for 3 files", "waits for 4 files", "", "waits for 5 files"):
        news.tell({"files": cast(Source, Standing(SourceStatus(message=message)))})
    assert [fields["what"] for _, _, fields in said.lines] == ["waits for 3 files"]
    assert progress.status.sources_message == {"files": "waits for 5 files"}
