"""Stand-ins for the runtimes of simulated pods: a process that answers `/progress` at all their addresses.

Each answer tells of another batch, as a job's does that is never idle. `python -m benchmarks.scale.runtimes COUNT`
"""

import asyncio
import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.scale.control_plane import POD_NETWORK, ROOT, CannotRun, end

from streamjob_api.names import PORT
from streamjob_runtime.engine.progress import BatchProgress, CheckpointProgress, SourceProgress, Status
from streamjob_runtime.server.progress_json import progress_json

_INTERVAL_MS = 1000


@contextlib.contextmanager
def answering(count: int) -> Iterator[None]:
    """Have the first so many pods answer until the context ends. Raises `CannotRun`."""
    command = [sys.executable, "-m", "benchmarks.scale.runtimes", str(count)]
    popen = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert popen.stdout and popen.stderr
        if not popen.stdout.readline():
            raise CannotRun(f"nobody can answer for the pods: {popen.stderr.read().decode().splitlines()[-1]}")
        yield
    finally:
        end(popen)


async def serve(count: int) -> None:
    """Answer until killed; a line on standard output says from when on."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    addresses = [str(POD_NETWORK[i]) for i in range(1, count + 1)]
    await asyncio.start_server(_answer, addresses, PORT)
    print("answering", flush=True)
    await asyncio.Future()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps(_progress(round(time.time() * 1000))).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()


def _progress(now_ms: int) -> dict[str, object]:
    number = now_ms // _INTERVAL_MS
    checkpoint = number - number % 5
    status = Status(
        "Running",
        "id",
        "job",
        1,
        0,
        interval_ms=_INTERVAL_MS,
        checkpoint=CheckpointProgress(checkpoint, checkpoint * _INTERVAL_MS, 10_000),
    )
    source = SourceProgress("lines", {"0": number}, {"0": number + 100}, {"0": number + 100}, 100)
    batch = BatchProgress(number, number * _INTERVAL_MS, False, 100, 12.0, _INTERVAL_MS, {}, None, (source,), (), ())
    return progress_json(status, [batch], now_ms)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
