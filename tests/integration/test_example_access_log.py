"""The example that follows a web server's log."""

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.examples import contents, copy_of, json_rows, run

LINE = re.compile(r'(\S+) - \S+ \[(.*?)\] ".*?(?<!\\)" ([1-5]\d\d) (\d+|-) "[^"]*" ".*"')
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Request:
    time: datetime  # UTC
    client: str
    status: str
    size: int  # bytes

    @property
    def minute(self) -> datetime:
        return self.time.replace(second=0)


def read(log: Path) -> tuple[list[Request], list[str]]:
    """The requests of the minutes that are final, and the lines that are none."""
    requests, others = [], []
    for line in log.read_text().splitlines():
        found = LINE.fullmatch(line)
        try:
            time = datetime.strptime(found[2] if found else "", "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC)
        except ValueError:
            others.append(line)
        else:
            assert found is not None
            requests.append(Request(time, found[1], found[3], 0 if found[4] == "-" else int(found[4])))
    watermark = max(r.time for r in requests) - MINUTE
    return [r for r in requests if r.minute + MINUTE <= watermark], others


def by_minute(requests: list[Request]) -> list[tuple[str, int, int, int, int]]:
    grouped = defaultdict(list)
    for request in requests:
        grouped[f"{request.minute:%H:%M}"].append(request)
    return [
        (minute, len(of), sum(r.status[0] in "45" for r in of), sum(r.size for r in of), len({r.client for r in of}))
        for minute, of in sorted(grouped.items())
    ]


def by_class(requests: list[Request]) -> list[tuple[str, str, int, int]]:
    grouped = defaultdict(list)
    for request in requests:
        grouped[f"{request.minute:%H:%M}", f"{request.status[0]}xx"].append(request.size)
    return [(*key, len(sizes), sum(sizes)) for key, sizes in sorted(grouped.items())]


def check(folder: Path, minutes: int, others: int) -> None:
    requests, rejected = read(folder / "logs" / "access.log")
    wanted = by_minute(requests)
    assert (len(wanted), len(rejected)) == (minutes, others)
    found = json_rows(folder / "out" / "by_minute")
    assert all(r["minute"][:11] == "2026-11-21T" for r in found)
    columns = ("requests", "errors", "bytes", "clients")
    assert sorted((r["minute"][11:16], *(r[c] for c in columns)) for r in found) == wanted
    classes = json_rows(folder / "out" / "by_class")
    assert sorted((r["minute"][11:16], r["class"], r["requests"], r["bytes"]) for r in classes) == by_class(requests)
    assert sorted(r["line"] for r in json_rows(folder / "out" / "rejected")) == sorted(rejected)


def test_the_minutes_of_an_access_log(tmp_path: Path) -> None:
    folder = copy_of("access-log", tmp_path)
    shown = run(folder).stdout
    assert re.search(r"2026-11-21T08:06:00Z │ +7 │ +2 │", shown), "a minute that is not final yet is on the console"
    check(folder, minutes=5, others=3)
    before = contents(folder / "out")
    run(folder)
    assert contents(folder / "out") == before
    with (folder / "logs" / "access.log").open("a") as log:
        log.write('192.0.2.10 - - [21/Nov/2026:09:08:30 +0100] "GET / HTTP/1.1" 200 512 "-" "curl/8.14.1"\n')
        log.write("no request\n")
    run(folder)
    check(folder, minutes=7, others=4)
