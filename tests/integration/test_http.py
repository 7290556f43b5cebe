"""The HTTP server as a probe, a Prometheus and a browser see it."""

import json
import re
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPMessage
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamjob_runtime.clock import ManualClock
from streamjob_runtime.engine.progress import Progress, SourceNow
from streamjob_runtime.errors import JobError, Unavailable
from streamjob_runtime.server.http import MAX_CONNECTIONS, Server, serve
from support.board import NOW_MS, TROUBLE, board, finished_batch
from support.runtime import wait_for


class Client:
    def __init__(self, server: Server) -> None:
        self._port = server.port

    def ask(self, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, HTTPMessage, bytes]:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def json(self, path: str) -> tuple[int, Any]:
        status, headers, body = self.ask(path)
        assert headers["Content-Type"] == "application/json"
        return status, json.loads(body)

    def metrics(self) -> dict[tuple[str, str], float]:
        """(name, its only label's value) -> value."""
        _, headers, body = self.ask("/metrics")
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return {
            (sample.name, ",".join(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }


@pytest.fixture
def progress() -> Progress:
    return board(batches=0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_MS)


@pytest.fixture
def client(progress: Progress, clock: ManualClock) -> Iterator[Client]:
    server = serve(progress, clock, "127.0.0.1", 0)
    yield Client(server)
    server.close()


def test_metrics_count_every_batch_though_the_board_forgets_old_ones(client: Client, progress: Progress) -> None:
    for batch_id in range(150):
        progress.finished(finished_batch(batch_id, duration_ms=500 if batch_id else 3000))
    found = client.metrics()
    assert found["streamjob_batches_total", ""] == 150
    assert found["streamjob_input_rows_total", ""] == 150_000
    assert found["streamjob_output_rows_total", ""] == 150 * 420
    assert found["streamjob_late_rows_total", ""] == 300
    assert found["streamjob_batch_duration_seconds_bucket", "0.25"] == 0
    assert found["streamjob_batch_duration_seconds_bucket", "0.5"] == 149
    assert found["streamjob_batch_duration_seconds_bucket", "+Inf"] == 150
    assert found["streamjob_batch_duration_seconds_count", ""] == 150
    assert found["streamjob_batch_duration_seconds_sum", ""] == pytest.approx(149 * 0.5 + 3)


def test_metrics_show_the_present_in_base_units(client: Client, progress: Progress) -> None:
    progress.finished(finished_batch(99))
    progress.update(sources=(SourceNow("events", False, "connection refused", 25, 3500), SourceNow("new")))
    found = client.metrics()
    assert found["streamjob_source_lag_records", "events"] == 25
    assert found["streamjob_source_lag_seconds", "events"] == 3.5
    assert found["streamjob_source_connected", "events"] == 0
    assert found["streamjob_source_connected", "new"] == 1
    assert ("streamjob_source_lag_records", "new") not in found  # not 0: nobody knows it yet
    assert found["streamjob_state_rows", "views"] == 45_210
    assert found["streamjob_last_batch_id", ""] == 99
    assert found["streamjob_watermark_timestamp_seconds", ""] == NOW_MS / 1000 - 12
    assert found["streamjob_last_checkpoint_batch_id", ""] == 95
    assert found["streamjob_last_checkpoint_size_bytes", ""] == 3_400_000
    assert found["streamjob_last_checkpoint_timestamp_seconds", ""] == NOW_MS / 1000 - 8
    assert (found["streamjob_up", ""], found["streamjob_trouble", ""]) == (1, 0)
    assert (found["streamjob_phase", "Running"], found["streamjob_phase", "Failed"]) == (1, 0)
    progress.update(troubles=(TROUBLE,))
    found = client.metrics()
    assert (found["streamjob_up", ""], found["streamjob_trouble", ""]) == (0, 1)


def test_every_metric_says_what_it_is(client: Client, progress: Progress) -> None:
    progress.finished(finished_batch(99))
    text = client.ask("/metrics")[2].decode()
    assert set(re.findall(r"^# HELP (\S+) \S", text, re.M)) == set(re.findall(r"^# TYPE (\S+) ", text, re.M))
    assert all(name.startswith("streamjob_") for name in re.findall(r"^# TYPE (\S+) ", text, re.M))


def test_a_job_is_alive_as_long_as_its_loop_moves(client: Client, progress: Progress, clock: ManualClock) -> None:
    assert client.json("/healthz")[0] == 200
    clock.advance(121)
    status, body = client.json("/healthz")
    assert (status, body["reason"]) == (503, "Stalled")
    assert body["message"] == "the loop has not moved for 121 s; 120 s are allowed"
    progress.update(moved=clock.monotonic(), troubles=(TROUBLE,))
    assert client.json("/healthz")[0] == 200
    progress.update(phase="Failed")
    assert client.json("/healthz")[0] == 503


def test_a_long_interval_is_given_its_time(client: Client, progress: Progress, clock: ManualClock) -> None:
    progress.update(interval_ms=60_000)
    clock.advance(500)
    assert client.json("/healthz")[0] == 200
    clock.advance(101)
    assert client.json("/healthz")[0] == 503


def test_a_loop_that_never_began_is_found_too(client: Client, progress: Progress, clock: ManualClock) -> None:
    progress.update(phase="Starting", moved=0.0)
    assert client.json("/healthz")[0] == 200
    clock.advance(121)
    assert client.json("/healthz")[0] == 503


def test_a_job_is_ready_when_batches_go_through(client: Client, progress: Progress) -> None:
    assert client.json("/readyz") == (200, {"ok": True, "reason": "Running", "message": "batches go through"})
    for phase in ("Starting", "Recovering", "Stopping"):
        progress.update(phase=phase)
        status, body = client.json("/readyz")
        assert (status, body["reason"]) == (503, phase)
    progress.update(phase="Running", troubles=(TROUBLE,))
    assert client.json("/readyz") == (
        503,
        {
            "ok": False,
            "reason": "Waiting",
            "message": "the checkpoint store s3://checkpoints/ad-views has failed for 42 s (7 attempts), and is tried "
            "again: connection refused",
        },
    )


def test_progress_has_the_fields_of_spark(client: Client, progress: Progress) -> None:
    progress.finished(finished_batch(99))
    status, body = client.json("/progress")
    assert status == 200
    assert body["recentProgress"] == [
        {
            "id": "9f2c11ab03d4",
            "runId": "9f2c11ab03d4-3",
            "name": "ad-views",
            "timestamp": "2025-12-31T23:59:58.000Z",
            "batchId": 99,
            "batchDuration": 500.0,
            "replayed": False,
            "numInputRows": 1000,
            "numBadRecords": 0,
            "inputRowsPerSecond": 500.0,
            "processedRowsPerSecond": 2000.0,
            "durationMs": {"poll": 1.25, "compute": 498.75},
            "eventTime": {"watermark": "2025-12-31T23:59:48.000Z"},
            "stateOperators": [
                {
                    "operatorName": "views",
                    "numRowsTotal": 45_210,
                    "numRowsUpdated": 400,
                    "numRowsRemoved": 30,
                    "numRowsDroppedByWatermark": 2,
                }
            ],
            "sources": [
                {
                    "description": "events",
                    "startOffset": {"0": 0},
                    "endOffset": {"0": 1000},
                    "latestOffset": {"0": 1025},
                    "numInputRows": 1000,
                    "numBadRecords": 0,
                    "inputRowsPerSecond": 500.0,
                    "processedRowsPerSecond": 2000.0,
                    "lag": 25,
                    "rateLimit": None,
                }
            ],
            "sink": {"description": "views.files, views.console", "numOutputRows": 420},
            "sinks": [
                {"description": "views.files", "numOutputRows": 400},
                {"description": "views.console", "numOutputRows": 20},
            ],
        }
    ]
    assert body["status"]["checkpoint"] == {
        "batchId": 95,
        "timestamp": "2025-12-31T23:59:52.000Z",
        "ageMs": 8000,
        "sizeBytes": 3_400_000,
    }
    assert body["status"]["trouble"] is None
    assert body["status"]["troubles"] == []


def test_all_troubles_are_shown_and_the_oldest_comes_first(client: Client, progress: Progress) -> None:
    younger = TROUBLE._replace(what='source "events"', error="refused", since_ms=NOW_MS - 3000, attempts=1)
    progress.update(troubles=(TROUBLE, younger))
    message = client.json("/readyz")[1]["message"]
    assert message.index("the checkpoint store") < message.index('; source "events" has failed for 3 s (1 attempt)')
    body = client.json("/progress")[1]["status"]
    assert [t["what"] for t in body["troubles"]] == [TROUBLE.what, 'source "events"']
    assert body["trouble"] == body["troubles"][0]


def test_progress_holds_the_last_hundred_batches(client: Client, progress: Progress) -> None:
    for batch_id in range(130):
        progress.finished(finished_batch(batch_id))
    assert [b["batchId"] for b in client.json("/progress")[1]["recentProgress"]] == list(range(30, 130))


def test_fewer_batches_may_be_asked_for_and_the_rates_stay(client: Client, progress: Progress) -> None:
    for batch_id in range(80, 100):
        progress.finished(finished_batch(batch_id))
    for asked, there in (("0", []), ("1", [99]), ("3", [97, 98, 99]), ("100", list(range(80, 100)))):
        status, body = client.json(f"/progress?batches={asked}")
        assert (status, [b["batchId"] for b in body["recentProgress"]]) == (200, there)
        assert body["status"]["inputRowsPerSecond"] == 500.0


@pytest.mark.parametrize("wrong", ["", "-1", "101", "2.5", "all", "1" * 400, "%C2%B2", "%D9%A3"])
def test_a_number_of_batches_that_is_none_is_refused_in_words(client: Client, wrong: str) -> None:
    status, body = client.json(f"/progress?batches={wrong}")
    assert status == 400
    assert body["error"].startswith("batches must be a whole number from 0 to 100, and not '")


def test_the_rate_falls_to_nothing_when_the_sources_fall_silent(
    client: Client, progress: Progress, clock: ManualClock
) -> None:
    for batch_id in range(80, 100):
        progress.finished(finished_batch(batch_id))
    assert client.json("/progress")[1]["status"]["inputRowsPerSecond"] == 500.0
    clock.advance(60)
    assert client.json("/progress")[1]["status"]["inputRowsPerSecond"] == 0.0


def test_the_page_needs_nothing_from_elsewhere(client: Client) -> None:
    status, headers, body = client.ask("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    page = body.decode()
    assert "<title>StreamJob</title>" in page
    # The one address in it is the name of the SVG language.
    assert set(re.findall(r"https?://[^\s\"']+", page)) == {"http://www.w3.org/2000/svg"}


def test_head_gives_the_headers_alone(client: Client) -> None:
    for path in ("/", "/metrics", "/progress", "/healthz"):
        status, headers, body = client.ask(path, "HEAD")
        assert (status, body) == (200, b"")
        assert int(headers["Content-Length"]) > 0


def test_an_unknown_path_is_told_the_known_ones(client: Client) -> None:
    status, body = client.json("/metric?x=1")
    assert status == 404
    assert body["error"] == "there is no /metric"
    assert {"/", "/healthz", "/readyz", "/metrics", "/progress"} == set(body["routes"])


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(client: Client, method: str) -> None:
    status, headers, body = client.ask("/progress", method, b"x" * 10_000)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert "GET and HEAD" in json.loads(body)["error"]


def test_a_client_that_says_nothing_keeps_nobody_waiting(
    client: Client, progress: Progress, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(progress, ManualClock(NOW_MS), "127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as silent:
        silent.sendall(b"GET /metr")
        assert Client(server).ask("/healthz")[0] == 200
        progress.finished(finished_batch(99))
        server.close()
    assert capfd.readouterr() == ("", "")


def test_a_port_that_is_taken_is_named(progress: Progress, clock: ManualClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Unavailable, match=rf"port {port} on 127\.0\.0\.1 is taken.*--http-port"):
            serve(progress, clock, "127.0.0.1", port)


def test_an_address_that_is_not_ours_is_the_jobs_fault(progress: Progress, clock: ManualClock) -> None:
    with pytest.raises(JobError, match=r"cannot listen on 192\.0\.2\.1 port 0"):
        serve(progress, clock, "192.0.2.1", 0)


def ask_as(port: int, host: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest("GET", "/progress", skip_host=True)
        connection.putheader("Host", host)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_server_of_this_machine_answers_to_no_other_name(progress: Progress, clock: ManualClock) -> None:
    """A page of the web may let its own name point to this machine."""
    server = serve(progress, clock, "127.0.0.1", 0)
    try:
        for host in ("localhost", f"localhost:{server.port}", "127.0.0.1", "[::1]:8080", "LOCALHOST."):
            assert ask_as(server.port, host) == 200
        for host in ("example.com", "example.com:80", "localhost.example.com", "10.0.0.1", "", "[", "[::2]"):
            assert ask_as(server.port, host) == 421
    finally:
        server.close()


def test_a_server_for_others_answers_to_every_name(progress: Progress, clock: ManualClock) -> None:
    server = serve(progress, clock, "0.0.0.0", 0)
    try:
        assert ask_as(server.port, "job.namespace.svc:8080") == 200
    finally:
        server.close()


def test_connections_too_many_are_turned_away_and_harm_nobody(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamjob_runtime.server.http._Handler.timeout", 300.0)  # none is let go meanwhile
    open_ones = [socket.create_connection(("127.0.0.1", client._port), 30) for _ in range(MAX_CONNECTIONS)]
    try:
        with socket.create_connection(("127.0.0.1", client._port), 30) as one_more:
            assert one_more.recv(100).startswith(b"HTTP/1.0 503 ")
    finally:
        for each in open_ones:
            each.close()
    wait_for(lambda: client.ask("/healthz")[0] == 200)
