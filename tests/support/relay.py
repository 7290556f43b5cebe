"""A relay before a TCP server of this machine, which may be out of order. What passes through it, it does not know."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Relay:
    """Connections to `port` lead to the server, for as long as the relay is in order."""

    port: int = 0
    cuts: bool = False  # cut each connection, those too that are open
    holds: bool = False  # pass nothing on
    cut: int = 0  # how many it has cut
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def set(self, cuts: bool = False, holds: bool = False) -> None:
        """From now on be out of order in this way."""
        async with self.news:
            self.cuts, self.holds = cuts, holds
            self.news.notify_all()

    async def cut_more(self, times: int) -> None:
        """Wait until it has cut so many more connections."""
        enough = self.cut + times
        async with self.news:
            await self.news.wait_for(lambda: self.cut >= enough)


@asynccontextmanager
async def relay(server_port: int) -> AsyncIterator[Relay]:
    """A relay before 127.0.0.1:`server_port`, on a port of its own."""
    state = Relay()
    passing: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        passing.add(task)
        try:
            await _serve(state, server_port, reader, writer)
        finally:
            passing.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        await state.set(cuts=True)
        await asyncio.gather(*passing, return_exceptions=True)


async def _serve(state: Relay, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    there, back = await asyncio.open_connection("127.0.0.1", port)
    work = [
        asyncio.create_task(each)
        for each in (_pass(state, reader, back), _pass(state, there, writer), _until_cut(state))
    ]
    try:
        await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        if work[2].done():
            async with state.news:
                state.cut += 1
                state.news.notify_all()
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        back.transport.abort()


async def _pass(state: Relay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        async with state.news:
            await state.news.wait_for(lambda: not state.holds)
        writer.write(data)
        await writer.drain()


async def _until_cut(state: Relay) -> None:
    async with state.news:
        await state.news.wait_for(lambda: state.cuts)
