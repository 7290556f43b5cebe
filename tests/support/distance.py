"""A way to a TCP server of this machine that takes as long as one across a network.

A process of its own: `python -m support.distance PORT SECONDS`. Some clients hold Python's lock while they wait.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def at_a_distance(port: int, seconds: float) -> Iterator[int]:
    """A port of 127.0.0.1 that leads to another: what is sent there arrives so much later, what comes back at once."""
    command = [sys.executable, "-m", "support.distance", str(port), str(seconds)]
    folder = Path(__file__).parents[1]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()  # at which it ends, as it would if this process were killed


async def _serve(port: int, seconds: float) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", port)
            ways = [asyncio.create_task(_pass(reader, back, seconds)), asyncio.create_task(_pass(there, writer, 0))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            back.transport.abort()
        writer.transport.abort()

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    while data := await reader.read(65536):
        await asyncio.sleep(seconds)
        writer.write(data)
        await writer.drain()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
