"""The examples and the README's manifest, run as a user runs them."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from support.kafka import KafkaServer
from support.runtime import wait_for

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/streamjob.yaml"))
STREAMJOB = Path(sys.executable).with_name("streamjob")
TIMEOUT_S = 180


def streamjob(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [STREAMJOB, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """A copy of the examples, so that a run leaves nothing behind."""
    ignore = shutil.ignore_patterns("out", ".streamjob")
    return Path(shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=ignore))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda f: f.parent.name)
def test_every_example_is_valid(file: Path) -> None:
    done = streamjob("validate", file, cwd=ROOT)
    assert (done.returncode, f"{file}: valid" in done.stdout.splitlines()) == (0, True)


def test_the_readmes_manifest_is_valid(tmp_path: Path) -> None:
    (manifest,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    (tmp_path / "job.yaml").write_text(manifest)
    done = streamjob("validate", "job.yaml", cwd=tmp_path)
    assert (done.returncode, "job.yaml: valid" in done.stdout.splitlines()) == (0, True)


def test_word_count_shows_the_top_ten_of_all_texts(examples: Path) -> None:
    done = streamjob("run", "word-count/streamjob.yaml", cwd=examples)
    assert done.returncode == 0, done.stderr
    words = re.findall(r"[a-z]+", " ".join(f.read_text() for f in sorted(examples.glob("word-count/texts/*"))).lower())
    counts = sorted((-words.count(w), w) for w in set(words))[:10]
    last = done.stdout[done.stdout.rindex("word ") :]
    shown = re.findall(r"^([a-z]+) +│ +(\d+)$", last, re.M)
    assert shown == [(word, str(-n)) for n, word in counts]


def test_kafka_ad_views_counts_what_comes_and_goes_on_where_it_was(kafka: KafkaServer, examples: Path) -> None:
    file = examples / "kafka-ad-views" / "streamjob.yaml"
    topics = {"events": kafka.create_topic(2), "campaign-views": kafka.create_topic(2)}
    text = file.read_text().replace("localhost:9092", kafka.servers)
    for name, topic in topics.items():
        text = text.replace(f"topic: {name}", f"topic: {topic}")
    file.write_text(text.replace("  batchInterval: 1s", "  batchInterval: 1s\n  trigger: availableNow"))
    ad = (file.parent / "reference" / "ads.csv").read_text().splitlines()[1].split(",")[0]

    def view(seconds: int) -> None:
        event = {"ad_id": ad, "event_type": "view", "event_time": f"2026-01-01 00:00:{seconds:02d}"}
        kafka.produce(topics["events"], [json.dumps(event).encode()])

    for seconds in (1, 2, 11, 31):
        view(seconds)
    for _ in range(2):
        done = streamjob("run", "kafka-ad-views/streamjob.yaml", cwd=examples)
        assert done.returncode == 0, done.stderr
        view(55)
    views = [json.loads(value or b"") for value in kafka.values(topics["campaign-views"])]
    assert sorted((row["window_start"][11:19], row["views"]) for row in views) == [
        ("00:00:00", 2),
        ("00:00:10", 1),
        ("00:00:30", 1),
    ]


def test_netcat_word_count_goes_on_where_it_was(examples: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        manifest = examples / "netcat-word-count" / "streamjob.yaml"
        text = manifest.read_text().replace("port: 9999", f"port: {server.getsockname()[1]}")
        manifest.write_text(text.replace("batchInterval: 2s", "batchInterval: 200ms"))
        server.settimeout(TIMEOUT_S)
        first = _type(server, manifest, examples, b"one two two\n", "two")
        assert "two  │     2" in first
        second = _type(server, manifest, examples, b"two three\n", "three")
        assert "two   │     3" in second
        assert "one   │     1" in second


def _type(server: socket.socket, manifest: Path, cwd: Path, line: bytes, until: str) -> str:
    """Run the job; when it has connected send the line; when `until` is shown press Ctrl-C. What it printed."""
    process = subprocess.Popen([STREAMJOB, "run", manifest], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    shown: list[bytes] = []
    errors: list[bytes] = []
    readers = [
        threading.Thread(target=lambda: shown.extend(process.stdout or ())),
        threading.Thread(target=lambda: errors.extend(process.stderr or ())),
    ]
    try:
        for reader in readers:
            reader.start()
        connection, _ = server.accept()
        with connection:
            connection.sendall(line)
            wait_for(lambda: until.encode() in b"".join(shown) or process.poll() is not None)
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT_S) == 0, b"".join(errors).decode()
        return b"".join(shown).decode()
    finally:
        process.kill()
        process.wait()
        for reader in readers:
            reader.join()
        process.stdout.close()
        process.stderr.close()


def test_ad_views_writes_each_window_once_when_it_is_final(examples: Path) -> None:
    for _ in range(2):  # the second run finds nothing new
        done = streamjob("run", "ad-views/streamjob.yaml", cwd=examples)
        assert done.returncode == 0, done.stderr
        rows = [
            json.loads(row) for f in (examples / "ad-views/out").glob("*.json") for row in f.read_text().splitlines()
        ]
        expected = _views(examples / "ad-views")
        found = {(r["campaign_id"], r["window_start"][17:19]): r["views"] for r in rows}
        assert len(found) == len(rows)
        assert found == expected


def _views(folder: Path) -> dict[tuple[str, str], int]:
    ads = dict(line.split(",") for line in (folder / "reference/ads.csv").read_text().split()[1:])
    counts: dict[tuple[str, str], int] = {}
    for file in folder.glob("events/*.json"):
        for event in map(json.loads, file.read_text().splitlines()):
            second = int(event["event_time"][-2:])
            # 59 seconds are the newest, less 10 of delay: windows that end at 49 or before are final.
            if event["event_type"] == "view" and second < 40:
                key = (ads[event["ad_id"]], f"{second // 10 * 10:02d}")
                counts[key] = counts.get(key, 0) + 1
    return counts


def test_the_quickstart_can_be_pasted_block_by_block(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "quickstart.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M)
    assert len(blocks) >= 5
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = "set -eux\n" + "\n".join(blocks).replace("8080", str(port))
    path = f"{STREAMJOB.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "turnover.yaml: valid" in done.stdout
    assert '"reason": "Running"' in done.stdout
    assert "all whole" in done.stdout
