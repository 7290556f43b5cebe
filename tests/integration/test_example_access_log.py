"""The example that follows a web server's log."""

import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.examples import contents, copy_of, json_rows, run

LINE = re.compile(r'(\S+) - \S+ \[(.*?)\] ".*?(?<!\\)" ([1-5]\d\d) (\d+|-) "[^"]*" ".*"')
MINUTE = timedelta(minutes=1)

Requests = list[tuple[datetime, str, str, int]]


def read(log: Path) -> tuple[Requests, list[str]]:
    """The requests (minute in UTC, client, status, bytes) of final minutes, and the lines that are none."""
    requests, others = [], []
    for line in log.read_text().splitlines():
        found = LINE.fullmatch(line)
        try:
            assert found is not None
            time = datetime.strptime(found[2], "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC)
        except (AssertionError, ValueError):
            others.append(line)
        else:
            requests.append((time, found[1], found[3], 0 if found[4] == "-" else int(found[4])))
    watermark = max(r[0] for r in requests) - MINUTE
    minutes = [(time.replace(second=0), *rest) for time, *rest in requests]
    return [(m, c, s, b) for m, c, s, b in minutes if m + MINUTE <= watermark], others


def by_minute(requests: Requests) -> list[tuple[str, int, int, int, int]]:
    grouped = defaultdict(list)
    for minute, *request in requests:
        grouped[f"{minute:%H:%M}"].append(request)
    return [
        (minute, len(of), sum(s[0] in "45" for _, s, _ in of), sum(b for _, _, b in of), len({c for c, _, _ in of}))
        for minute, of in sorted(grouped.items())
    ]


def by_class(requests: Requests) -> list[tuple[str, str, int, int]]:
    grouped = defaultdict(list)
    for minute, _, status, size in requests:
        grouped[f"{minute:%H:%M}", f"{status[0]}xx"].append(size)
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
