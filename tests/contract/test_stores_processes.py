"""The atomic create between processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamjob_runtime.stores.base import Store
from streamjob_runtime.stores.hdfs import HdfsStore
from streamjob_runtime.stores.local import LocalStore
from support.hdfs import HdfsServer
from support.minio import MinioServer

RIVALS = 4
KEYS = 25

RIVAL = """
import json, os, sys
from streamjob_runtime.errors import AlreadyExists
from streamjob_runtime.stores.hdfs import HdfsStore
from streamjob_runtime.stores.local import LocalStore
from streamjob_runtime.stores.s3 import S3Access, S3Store
from pathlib import Path

url, endpoint, name, keys = sys.argv[1:]
if url.startswith("s3://"):
    access = S3Access(endpoint, None, os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    store = S3Store(url, access)
elif url.startswith("hdfs://"):
    store = HdfsStore(url)
else:
    store = LocalStore(Path(url))
print("ready", flush=True)
sys.stdin.readline()
won = []
for number in range(int(keys)):
    key = f"log/{number:03}"
    try:
        store.create(key, name.encode())
    except AlreadyExists:
        continue
    won.append(key)
print(json.dumps(won), flush=True)
"""


@pytest.mark.parametrize("kind", ["local", "s3", "hdfs"])
def test_of_racing_processes_exactly_one_wins_each_create(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store: Store
    endpoint, environ = "", dict(os.environ)
    if kind == "local":
        store = LocalStore(tmp_path / "store")
    elif kind == "hdfs":
        hdfs: HdfsServer = request.getfixturevalue("hdfs")
        store = HdfsStore(hdfs.create_root())
    else:
        minio: MinioServer = request.getfixturevalue("minio")
        store, endpoint, environ = minio.store(minio.create_bucket()), minio.url, environ | minio.environ

    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", RIVAL, store.url, endpoint, str(number), str(KEYS)],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(RIVALS)
    ]
    try:
        for rival in rivals:
            assert rival.stdout is not None
            assert rival.stdout.readline() == "ready\n"
        for rival in rivals:
            assert rival.stdin is not None
            rival.stdin.write("go\n")
            rival.stdin.flush()
        won = [json.loads(rival.communicate(timeout=60)[0]) for rival in rivals]
    finally:
        for rival in rivals:
            rival.kill()
            rival.communicate(timeout=10)

    everything = [f"log/{number:03}" for number in range(KEYS)]
    assert sorted(key for keys in won for key in keys) == everything
    assert [entry.key for entry in store.list()] == everything
    for number, keys in enumerate(won):
        assert all(store.read(key) == str(number).encode() for key in keys)
    store.close()
