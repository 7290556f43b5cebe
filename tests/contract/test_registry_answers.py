"""What a server may say that is no schema registry, and what it is told."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from streamjob_runtime.connectors.kafka.registry import Registry
from streamjob_runtime.errors import JobError, Unavailable
from support.trickle import TiringClock, trickling


@contextmanager
def serving(answer: Any) -> Iterator[tuple[str, list[str]]]:
    """A server that gives the same answer to everything: its address, and the credentials that it was told."""
    told: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.append(self.headers.get("Authorization", ""))
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", told
        finally:
            server.shutdown()
            thread.join(20)


@pytest.mark.parametrize(
    "ask",
    [
        Registry.subjects,
        lambda registry: registry.by_id(1),
        lambda registry: registry.version("s", 1),
        lambda registry: registry.find("s", "{}"),
        lambda registry: registry.register("s", "{}"),
        lambda registry: registry.objections("s", "{}"),
    ],
    ids=["subjects", "by_id", "version", "find", "register", "objections"],
)
@pytest.mark.parametrize("answer", ["hello", 1, None, [None], {"id": "x", "schema": 1, "messages": 1}], ids=repr)
def test_json_that_is_no_answer_of_a_registry_is_refused(answer: Any, ask: Callable[[Registry], Any]) -> None:
    with serving(answer) as (url, _):
        registry = Registry("source", url, lambda: None, None)
        with pytest.raises(JobError, match=r"does not answer as a schema registry: .*Correct schemaRegistry.url"):
            ask(registry)
        registry.close()


def test_a_password_may_be_in_any_script() -> None:
    with serving([]) as (url, told):
        registry = Registry("source", url, lambda: ("me", "пароль-é"), None)
        assert registry.subjects() == []
        registry.close()
    assert base64.b64decode(told[0].removeprefix("Basic ")).decode() == "me:пароль-é"


def test_a_password_that_has_changed_in_the_secret_is_the_next_one_told() -> None:
    passwords = ["at the start", "first", "second"]
    with serving([]) as (url, told):
        registry = Registry("source", url, lambda: ("me", passwords.pop(0)), None)
        registry.subjects()
        registry.subjects()
        registry.close()
    assert [base64.b64decode(t.removeprefix("Basic ")).decode() for t in told] == ["me:first", "me:second"]


def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamjob_runtime.connectors.kafka.registry._LONGEST", 1000)
    with serving(["subject"] * 1000) as (url, _):
        registry = Registry("source", url, lambda: None, None)
        with pytest.raises(Unavailable, match="does not answer as it should: more than"):
            registry.subjects()
        registry.close()


def test_an_answer_that_comes_a_byte_at_a_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamjob_runtime.connectors.kafka.registry.SystemClock", TiringClock)
    with trickling() as url:
        registry = Registry("source", url, lambda: None, None)
        with pytest.raises(Unavailable, match=r"does not answer as it should: more than .* or for longer than"):
            registry.subjects()
        registry.close()
