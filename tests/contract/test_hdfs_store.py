"""What an HDFS store promises besides: unclear answers, nodes that go away, words for what is wrong."""

import random
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hdfs_native import Client, WriteOptions

from streamjob_runtime.clock import SystemClock
from streamjob_runtime.errors import AlreadyExists, JobError, NotFound, Unavailable
from streamjob_runtime.patience import Trouble
from streamjob_runtime.stores.connections import Connections, Secrets
from streamjob_runtime.stores.hdfs import HdfsStore
from streamjob_runtime.stores.hdfs_errors import translate
from streamjob_runtime.stores.open import open_store
from streamjob_runtime.stores.proof import prove_atomic_create
from streamjob_runtime.stores.retrying import RetryingStore
from support.hdfs import HdfsServer


@pytest.fixture
def store(hdfs: HdfsServer) -> HdfsStore:
    return HdfsStore(hdfs.create_root())


def retrying(inner: HdfsStore, on_trouble: Callable[[Trouble | None], None] = lambda _: None) -> RetryingStore:
    return RetryingStore(inner, SystemClock(), random.Random(1), threading.Event(), on_trouble, "the store")


def break_renames(store: HdfsStore, monkeypatch: pytest.MonkeyPatch, applied: bool) -> None:
    """The answer to each rename gets lost, after it was applied or before."""
    client = store._calls._client
    rename = client.rename

    def broken(*arguments: Any) -> None:
        if applied:
            rename(*arguments)
        raise OSError("connection reset")

    monkeypatch.setattr(client, "rename", broken)


def temporary_files(hdfs: HdfsServer, store: HdfsStore) -> list[str]:
    folder = f"{store.url.removeprefix(hdfs.url)}/.tmp"
    return [status.path for status in Client(hdfs.url).list_status(folder)]


def test_a_create_whose_answer_was_lost_has_succeeded(store: HdfsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.create("log/0", b"zero")
    break_renames(store, monkeypatch, applied=True)
    store.create("log/1", b"one")
    assert store.read("log/1") == b"one"


def test_a_create_that_was_not_applied_is_unavailable(
    hdfs: HdfsServer, store: HdfsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_renames(store, monkeypatch, applied=False)
    with pytest.raises(Unavailable, match=r"log/1 cannot be reached now .connection reset"):
        store.create("log/1", b"one")
    with pytest.raises(NotFound):
        store.stat("log/1")
    assert temporary_files(hdfs, store) == []


def test_of_an_unclear_answer_the_content_tells_who_won(
    hdfs: HdfsServer, store: HdfsStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    HdfsStore(store.url).create("log/1", b"another")
    break_renames(store, monkeypatch, applied=False)
    with pytest.raises(AlreadyExists, match="log/1 is there already"):
        store.create("log/1", b"one")
    store.create("log/1", b"another")  # a rename that the client had sent twice looks like this
    assert temporary_files(hdfs, store) == []


def test_a_replacement_whose_answer_was_lost_has_succeeded(store: HdfsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    first = store.replace("out", b"one", None)
    break_renames(store, monkeypatch, applied=True)
    second = store.replace("out", b"two", first)
    assert second == store.stat("out").version != first
    monkeypatch.undo()
    break_renames(store, monkeypatch, applied=False)
    with pytest.raises(Unavailable):
        store.replace("out", b"six", second)
    assert store.read("out") == b"two"


def test_replacements_of_equal_size_differ_in_their_versions(store: HdfsStore) -> None:
    versions = [store.replace("out", b"0", None)]
    for n in range(1, 10):
        versions.append(store.replace("out", str(n).encode(), versions[-1]))
    assert len(set(versions)) == 10


def test_what_dead_writers_left_is_swept_and_what_lives_is_not(hdfs: HdfsServer, store: HdfsStore) -> None:
    client = Client(hdfs.url)
    folder = f"{store.url.removeprefix(hdfs.url)}/.tmp"
    hours_ago_ms = int((time.time() - 7200) * 1000)
    for name in ("old", "young"):
        client.create(f"{folder}/{name}", WriteOptions(create_parent=True)).close()
    client.set_times(f"{folder}/old", hours_ago_ms, hours_ago_ms)
    store.create("a", b"1")
    assert temporary_files(hdfs, store) == [f"{folder}/young"]
    assert [entry.key for entry in store.list()] == ["a"]


def test_a_name_node_that_is_killed_is_waited_for(own_hdfs: HdfsServer) -> None:
    troubles: list[Trouble | None] = []
    told = threading.Event()

    def hear(trouble: Trouble | None) -> None:
        troubles.append(trouble)
        told.set()

    inner = HdfsStore(own_hdfs.create_root())
    store = retrying(inner, hear)
    for n in range(3):
        store.create(f"log/{n}", str(n).encode())
    own_hdfs.kill("namenode")
    with pytest.raises(Unavailable, match="log/3 cannot be reached now"):
        inner.create("log/3", b"3")

    def go_on() -> None:
        for n in range(3, 6):
            store.create(f"log/{n}", str(n).encode())

    writer = threading.Thread(target=go_on)
    writer.start()
    assert told.wait(60)
    own_hdfs.start("namenode")
    writer.join(120)
    assert not writer.is_alive()
    assert [(e.key, store.read(e.key)) for e in store.list()] == [(f"log/{n}", str(n).encode()) for n in range(6)]
    assert troubles[-1] is None


def test_a_name_node_that_hangs_is_given_up_and_asked_again(
    own_hdfs: HdfsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = HdfsStore(own_hdfs.create_root())
    store.create("a", b"1")
    monkeypatch.setattr("streamjob_runtime.stores.hdfs_calls._ANSWER_S", 1.0)
    with own_hdfs.frozen("namenode"):
        for call in (lambda: store.create("b", b"2"), lambda: store.read("a"), lambda: list(store.list())):
            with pytest.raises(Unavailable, match="no answer within 1 seconds"):
                call()
    monkeypatch.undo()
    retrying(store).create("b", b"2")
    assert [(entry.key, store.read(entry.key)) for entry in store.list()] == [("a", b"1"), ("b", b"2")]


def test_without_a_data_node_nothing_half_written_is_seen(own_hdfs: HdfsServer) -> None:
    inner = HdfsStore(own_hdfs.create_root())
    inner.create("a", b"1")
    own_hdfs.kill("datanode")
    for call in (lambda: inner.create("b", b"2"), lambda: inner.read("a")):
        with pytest.raises(Unavailable, match="cannot be reached now"):
            call()
    assert [entry.key for entry in inner.list()] == ["a"]
    own_hdfs.start("datanode")
    store = retrying(inner)
    store.create("b", b"2")
    assert (store.read("a"), store.read("b")) == (b"1", b"2")
    prove_atomic_create(store, random.Random(1))


def connections(environ: dict[str, str], user: str | None = None, config_map: str | None = None) -> Connections:
    ref = SimpleNamespace(name=config_map) if config_map else None
    return Connections(None, Secrets(None, environ), SimpleNamespace(user=user, config_map_ref=ref, kerberos=None))


def test_site_files_know_the_name_of_a_service(hdfs: HdfsServer) -> None:
    environ = {"HADOOP_CONF_DIR": str(hdfs.conf)}
    path = hdfs.create_root().removeprefix(hdfs.url)
    store = open_store(f"hdfs://{path}", connections(environ, config_map="hadoop-site"))
    store.create("a", b"1")
    assert HdfsStore(f"{hdfs.url}{path}").read("a") == b"1"
    with pytest.raises(JobError, match=r"hdfs.configMapRef names 'hadoop-site'.*set HADOOP_CONF_DIR to a folder"):
        open_store("hdfs:///", connections({}, config_map="hadoop-site"))
    with pytest.raises(JobError, match=r"No NameNode hosts found.*hdfs.configMapRef"):
        open_store("hdfs://nowhere/", connections({}))


def test_the_user_is_who_the_manifest_says(hdfs: HdfsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    HdfsStore(hdfs.create_root()).create("mine", b"1")
    monkeypatch.setenv("HADOOP_USER_NAME", "")
    stranger = open_store(hdfs.create_root(), connections({}, user="stranger"))
    with pytest.raises(JobError, match=r"AccessControlException: Permission denied: user=stranger.*hdfs.user"):
        stranger.create("theirs", b"1")
    assert list(stranger.list()) == []


@pytest.mark.parametrize("url", ["hdfs://me:secret@host/x", "hdfs://host:port/x", "hdfs:/x", "hdfs://a b/x"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(JobError, match="names no place in HDFS: write hdfs://HOST:PORT/PATH"):
        HdfsStore(url)


def test_a_file_where_a_folder_is_needed(store: HdfsStore) -> None:
    store.create("a", b"1")
    with pytest.raises(JobError, match="a file stands where a folder is needed"):
        store.create("a/b", b"2")
    store.create("c/d", b"1")
    with pytest.raises((JobError, AlreadyExists)):
        store.create("c", b"2")


@pytest.mark.parametrize(
    ("routine", "text", "kind", "words"),
    [
        (
            "GSS_S_NO_CRED",
            "No credentials: Cannot contact any KDC for realm 'R'",
            Unavailable,
            r"hdfs://x/a cannot be reached now \(No credentials: Cannot contact any KDC for realm 'R'\)",
        ),
        (
            "GSS_S_NO_CRED",
            "No credentials: Decrypt integrity check failed",
            JobError,
            r"hdfs://x/a cannot be used \(No credentials: Decrypt integrity check failed\): name a principal",
        ),
        ("GSS_S_CONTEXT_EXPIRED", "expired", Unavailable, "cannot be reached now"),
    ],
)
def test_what_passes_by_itself_is_no_mistake_of_the_user(
    routine: str, text: str, kind: type[Exception], words: str
) -> None:
    said = f'GSSAPIError(GssMajorCodes {{ raw: "0x00070000", routine_error: "{routine}" }}, 2529639068, "{text}")'
    with pytest.raises(kind, match=words), translate("hdfs://x/a"):
        raise RuntimeError(said)
