"""The S3 store where the answer is lost, wrong or a refusal; and on a server that is killed."""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import urllib3
from benchmarks.ports import free_port

from streamjob_runtime.clock import SystemClock
from streamjob_runtime.errors import AlreadyExists, JobError, NotFound, Refused, Unavailable
from streamjob_runtime.patience import Trouble
from streamjob_runtime.stores.connections import Connections, Secrets
from streamjob_runtime.stores.open import open_store
from streamjob_runtime.stores.retrying import RetryingStore
from streamjob_runtime.stores.s3 import S3Access, S3Store
from streamjob_runtime.stores.s3_errors import from_answer
from support.minio import MinioServer
from support.proxy import CUT_AFTER, CUT_BEFORE, HANG_AFTER, HANG_BEFORE, Lost, Proxy, proxy


def xml(status: int, code: str, forward: bool) -> Lost:
    return Lost(forward, status, f"<Error><Code>{code}</Code><Message>so it is</Message></Error>".encode())


PAGE = Lost(False, 503, b"<html>come back later</html>", "text/html")
CONFLICT = xml(409, "ConditionalRequestConflict", forward=False)
SLOW_DOWN = xml(503, "SlowDown", forward=False)
NOT_APPLIED = {"cut": CUT_BEFORE, "page": PAGE, "conflict": CONFLICT, "slow down": SLOW_DOWN, "hang": HANG_BEFORE}
APPLIED = {
    "cut": CUT_AFTER,
    "hang": HANG_AFTER,
    "internal error": xml(500, "InternalError", forward=True),
    "sent twice by a proxy": xml(412, "PreconditionFailed", forward=True),
}


@pytest.fixture
def between(minio: MinioServer) -> Iterator[Proxy]:
    """A proxy before the server."""
    with proxy(minio.port) as opened:
        yield opened


@pytest.fixture
def direct(minio: MinioServer) -> Iterator[S3Store]:
    """A store that reaches the server directly."""
    store = minio.store(minio.create_bucket())
    yield store
    store.close()


@pytest.fixture
def through(minio: MinioServer, direct: S3Store, between: Proxy) -> Iterator[S3Store]:
    """The same store, through the proxy."""
    store = S3Store(direct.url, replace(minio.access, endpoint=between.url), read_timeout_s=0.5)
    yield store
    store.close()


@pytest.mark.parametrize("fault", APPLIED.values(), ids=APPLIED)
def test_a_create_whose_answer_is_lost_is_settled(
    direct: S3Store, through: S3Store, between: Proxy, fault: Lost
) -> None:
    between.put.append(fault)
    through.create("log/000", b"nonce 1")
    assert direct.read("log/000") == b"nonce 1"


@pytest.mark.parametrize("fault", APPLIED.values(), ids=APPLIED)
def test_a_create_whose_answer_is_lost_was_not_first(
    direct: S3Store, through: S3Store, between: Proxy, fault: Lost
) -> None:
    direct.create("log/000", b"nonce 2")
    between.put.append(fault)
    with pytest.raises(AlreadyExists, match="log/000"):
        through.create("log/000", b"nonce 1")
    assert direct.read("log/000") == b"nonce 2"


@pytest.mark.parametrize("fault", NOT_APPLIED.values(), ids=NOT_APPLIED)
def test_a_create_that_did_not_arrive_may_be_tried_again(
    direct: S3Store, through: S3Store, between: Proxy, fault: Lost
) -> None:
    between.put.append(fault)
    with pytest.raises(Unavailable, match="log/000"):
        through.create("log/000", b"nonce 1")
    assert list(direct.list()) == []
    through.create("log/000", b"nonce 1")
    assert direct.read("log/000") == b"nonce 1"


@pytest.mark.parametrize("fault", APPLIED.values(), ids=APPLIED)
def test_a_replace_whose_answer_is_lost_is_settled(
    direct: S3Store, through: S3Store, between: Proxy, fault: Lost
) -> None:
    old = direct.replace("out", b"old", None)
    between.put.append(fault)
    version = through.replace("out", b"new", old)
    assert version == direct.stat("out").version != old
    assert direct.read("out") == b"new"


def test_a_replace_whose_answer_is_lost_was_not_first(direct: S3Store, through: S3Store, between: Proxy) -> None:
    old = direct.replace("out", b"old", None)
    direct.replace("out", b"somebody's", old)
    between.put.append(CUT_AFTER)
    with pytest.raises(AlreadyExists, match="out"):
        through.replace("out", b"new", old)
    assert direct.read("out") == b"somebody's"


def test_a_replace_that_did_not_arrive_may_be_tried_again(direct: S3Store, through: S3Store, between: Proxy) -> None:
    old = direct.replace("out", b"old", None)
    between.put.append(CUT_BEFORE)
    with pytest.raises(Unavailable, match="out"):
        through.replace("out", b"new", old)
    through.replace("out", b"new", old)
    assert direct.read("out") == b"new"


@pytest.mark.parametrize("fault", [HANG_BEFORE, PAGE, CUT_BEFORE], ids=["hang", "page", "cut"])
def test_a_server_that_does_not_answer_is_unavailable(through: S3Store, between: Proxy, fault: Lost) -> None:
    between.every = fault
    for call in (
        lambda: through.create("a", b"x"),
        lambda: through.replace("a", b"x", "0" * 32),
        lambda: through.read("a"),
        lambda: through.stat("a"),
        lambda: list(through.list()),
        lambda: through.delete("a"),
    ):
        with pytest.raises(Unavailable, match="cannot be reached now"):
            call()
    between.every = None
    through.create("a", b"x")
    assert through.read("a") == b"x"


def test_an_object_may_take_longer_than_any_timeout_as_long_as_it_moves(
    minio: MinioServer, direct: S3Store, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamjob_runtime.stores.s3._CONNECT_S", 0.5)  # the client's timeout for sending, too
    large = random.Random(1).randbytes(16 << 20)
    store = S3Store(direct.url, replace(minio.access, endpoint=between.url))
    between.bytes_per_s = 14e6
    store.create("new connection", large)
    assert direct.read("new connection") == large
    old = direct.replace("used connection", b"old", None)
    version = store.replace("used connection", large, old)
    assert direct.stat("used connection").version == version
    store.close()


def test_nobody_listens_there() -> None:
    store = S3Store("s3://bucket", S3Access(f"http://127.0.0.1:{free_port()}", None, "key", "secret"))
    with pytest.raises(Unavailable, match="refused"):
        store.create("a", b"x")
    with pytest.raises(Unavailable, match="refused"):
        store.read("a")


def test_a_bucket_that_is_not_there_is_named_with_the_remedy(minio: MinioServer) -> None:
    store = minio.store("no-such-bucket/prefix")
    for call in (lambda: store.create("a", b"x"), lambda: list(store.list()), lambda: store.read("a")):
        with pytest.raises(JobError, match=r"s3://no-such-bucket/prefix/.*NoSuchBucket.*mc mb"):
            call()
    store.close()


def test_refused_credentials_are_named_but_never_shown(minio: MinioServer) -> None:
    bucket = minio.create_bucket()
    wrong = "a-secret-that-is-wrong"
    for access in (replace(minio.access, secret_key=wrong), replace(minio.access, access_key=wrong)):
        store = S3Store(f"s3://{bucket}", access)
        for call in (lambda: store.create("a", b"x"), lambda: store.read("a"), lambda: list(store.list())):  # noqa: B023
            with pytest.raises(JobError, match="AWS_SECRET_ACCESS_KEY") as raised:
                call()
            assert wrong not in str(raised.value)
            assert minio.secret_key not in str(raised.value)
        assert wrong not in repr(access)
        store.close()


def test_a_clock_that_is_wrong_is_named(through: S3Store, between: Proxy) -> None:
    between.put.append(xml(403, "RequestTimeTooSkewed", forward=False))
    with pytest.raises(Unavailable, match=r"clock.*NTP"):
        through.create("a", b"x")


def test_a_condition_that_is_taken_off_on_the_way_is_noticed(direct: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PUT without its condition would replace what another process has written."""
    direct.create("a", b"first")
    real = urllib3.PoolManager.urlopen

    def without(self: urllib3.PoolManager, method: str, url: str, **rest: Any) -> urllib3.BaseHTTPResponse:
        rest["headers"] = {k: v for k, v in rest["headers"].items() if k != "If-None-Match"}
        return real(self, method, url, **rest)

    with monkeypatch.context() as patched:
        patched.setattr(urllib3.PoolManager, "urlopen", without)
        with pytest.raises(JobError, match=r"AccessDenied|SignatureDoesNotMatch"):
            direct.create("a", b"second")
    assert direct.read("a") == b"first"


class Rotation:
    """A user of a MinIO, whose keys change there and in a Secret."""

    def __init__(self, server: MinioServer, folder: Path) -> None:
        self.server = server
        self.admin = server.admin()
        self.secret = folder / "s3"
        self.secret.mkdir()
        self.in_server("the first secret")
        self.admin.policy_set("readwrite", user="job")
        self.in_secret("the first secret")
        self.heard: list[Trouble | None] = []
        self.then: list[Callable[[], None]] = []  # what happens at the next troubles
        self.store = self.open()

    def in_server(self, key: str) -> None:
        self.admin.user_add("job", key)

    def in_secret(self, key: str) -> None:
        (self.secret / "AWS_ACCESS_KEY_ID").write_text("job")
        (self.secret / "AWS_SECRET_ACCESS_KEY").write_text(key)

    def open(self) -> RetryingStore:
        ref = type("Ref", (), {"name": "s3"})()
        s3 = type("S3", (), {"endpoint": self.server.url, "region": None, "credentials_secret_ref": ref})()
        inner = open_store(f"s3://{self.server.create_bucket()}", Connections(s3, Secrets(self.secret.parent, {})))
        return RetryingStore(inner, SystemClock(), random.Random(1), threading.Event(), self.hear, "the store")

    def hear(self, trouble: Trouble | None) -> None:
        self.heard.append(trouble)
        if trouble and self.then:
            self.then.pop(0)()


@pytest.fixture
def rotation(minio: MinioServer, tmp_path: Path) -> Iterator[Rotation]:
    made = Rotation(minio, tmp_path)
    yield made
    made.store.close()
    made.admin.user_remove("job")


CALLS: dict[str, Callable[[RetryingStore], object]] = {
    "create": lambda store: store.create("b", b"x"),
    "read": lambda store: store.read("a"),
    "stat": lambda store: store.stat("a"),
    "list": lambda store: store.list(),
    "delete": lambda store: store.delete("a"),
}


@pytest.mark.parametrize("name", CALLS)
def test_keys_that_change_first_in_the_secret_and_then_in_the_server_stop_nothing(
    rotation: Rotation, name: str
) -> None:
    rotation.store.create("a", b"x")
    rotation.in_secret("the second secret")
    rotation.in_server("the second secret")
    CALLS[name](rotation.store)


@pytest.mark.parametrize("name", CALLS)
def test_keys_that_change_first_in_the_server_are_waited_for_and_said(rotation: Rotation, name: str) -> None:
    rotation.store.create("a", b"x")
    rotation.in_server("the second secret")
    rotation.then = [lambda: None, lambda: rotation.in_secret("the second secret")]
    CALLS[name](rotation.store)
    assert [t and t.attempts for t in rotation.heard][:2] == [1, 2]
    assert rotation.heard[-1] is None
    assert "SignatureDoesNotMatch" in rotation.heard[0].error  # type: ignore[union-attr]


def test_keys_that_never_worked_are_refused_at_once(rotation: Rotation) -> None:
    rotation.in_secret("another secret")
    with pytest.raises(Refused, match="SignatureDoesNotMatch"):
        rotation.open().create("a", b"x")
    assert rotation.heard == []


def test_the_folders_of_a_web_console_are_no_objects(minio: MinioServer) -> None:
    store = minio.store(minio.create_bucket())
    minio.put_raw(store.url, "in/")
    store.create("in/a", b"x")
    assert [entry.key for entry in store.list()] == ["in/a"]
    assert [entry.key for entry in store.list("in/")] == ["in/a"]
    store.close()


@pytest.mark.parametrize("url", ["s3://", "s3:///prefix", "s3://UPPER/x", "s3://a_b", "s3://b..c/x"])
def test_a_url_without_a_bucket_is_refused(url: str) -> None:
    with pytest.raises(JobError, match="s3://BUCKET/PREFIX"):
        S3Store(url, S3Access(None, None, "key", "secret"))


@pytest.mark.parametrize("endpoint", ["minio:9000", "ftp://minio", "http://", "http://minio:9000/path"])
def test_an_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    with pytest.raises(JobError, match=r"s3\.endpoint"):
        S3Store("s3://bucket", S3Access(endpoint, None, "key", "secret"))


def test_a_location_is_opened_with_the_secret_of_the_manifest(minio: MinioServer) -> None:
    bucket = minio.create_bucket()
    store = open_store(f"s3://{bucket}/checkpoints/views/", minio.connections)
    assert store.url == f"s3://{bucket}/checkpoints/views"
    store.create("log/000", b"x")
    assert minio.store(bucket).read("checkpoints/views/log/000") == b"x"
    with pytest.raises(JobError, match="AWS_ACCESS_KEY_ID"):
        open_store(f"s3://{bucket}", Connections(None, Secrets(None, {})))
    store.close()


def test_a_server_that_is_killed_and_comes_back_costs_nothing(own_minio: MinioServer) -> None:
    troubles: list[Trouble | None] = []
    in_trouble = threading.Event()

    def on_trouble(trouble: Trouble | None) -> None:
        troubles.append(trouble)
        in_trouble.set()

    inner = own_minio.store(own_minio.create_bucket())
    stop = threading.Event()
    store = RetryingStore(inner, SystemClock(), random.Random(1), stop, on_trouble, "the checkpoint store")
    written: list[str] = []
    under_way = threading.Event()

    def write() -> None:
        for number in range(2000):
            if stop.is_set() or (None in troubles and len(written) >= 50):
                return
            store.create(f"log/{number:04}", b"record %d" % number)
            written.append(f"log/{number:04}")
            if number == 20:
                under_way.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert under_way.wait(20)
        own_minio.kill()
        assert in_trouble.wait(20)
        own_minio.start()
        writer.join(60)
        assert not writer.is_alive()
    finally:
        stop.set()
        writer.join(60)
    assert troubles[-1] is None
    assert [entry.key for entry in store.list("log/")] == written
    assert all(store.read(key) == b"record %d" % number for number, key in enumerate(written))
    with pytest.raises(NotFound):
        store.read("log/none")
    store.close()


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, ""), (499, ""), (503, "SlowDown"), (409, "ConditionalRequestConflict"), (400, "ExpiredToken")],
)
def test_what_may_be_otherwise_in_a_moment_is_tried_again(status: int, code: str) -> None:
    assert isinstance(from_answer(status, code, "", "s3://b/k"), Unavailable)


@pytest.mark.parametrize(("status", "code"), [(404, "NoSuchBucket"), (403, "AccessDenied"), (400, "")])
def test_what_stays_so_is_refused(status: int, code: str) -> None:
    assert isinstance(from_answer(status, code, "", "s3://b/k"), JobError)


def test_a_page_of_what_is_no_s3_server_is_refused() -> None:
    assert isinstance(from_answer(404, "", "non-XML response from server; Body: <html>", "s3://b/k"), JobError)
