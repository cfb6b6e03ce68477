"""A way to the hub that can be cut and mended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any


@asynccontextmanager
async def proxy(url: str) -> AsyncIterator["Proxy"]:
    """A proxy in front of the hub at this address."""
    made = Proxy(url)
    await made.mend()
    try:
        yield made
    finally:
        await made.cut()


@dataclass(frozen=True)
class Cut:
    """Where a connection is cut: at a request that has this word in it, before it arrives or before its answer."""

    word: str
    after: bool


class Proxy:
    """Carries TCP connections, and drops and refuses them while it is cut."""

    def __init__(self, url: str) -> None:
        self._target = int(url.rsplit(":", 1)[1])
        self._port = 0
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[Any]] = set()
        self._cut: Cut | None = None
        self._again = False
        self.cuts = 0

    def cut_once(self, cut: Cut) -> None:
        """Cut the next connection that comes to this point; all others are carried."""
        self._cut, self._again = cut, False

    def cut_for_good(self, cut: Cut) -> None:
        """Cut every connection that comes to this point."""
        self._cut, self._again = cut, True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)
        self._pipes.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", self._target)
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        try:
            with suppress(ConnectionError):
                marked = asyncio.Event()
                ways = [
                    asyncio.create_task(self._ask(reader, there[1], marked)),
                    asyncio.create_task(_pump(there[0], writer, marked)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._pipes.discard(task)
            for end in (writer, there[1]):
                end.transport.abort()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, marked: asyncio.Event) -> None:
        """Carry requests; the one to be cut is dropped here, or lets through no answer."""
        while data := await reader.read(65_536):
            cut = self._cut
            if cut is not None and cut.word.encode() in data:
                self._cut = cut if self._again else None
                self.cuts += 1
                if not cut.after:
                    return
                marked.set()
            writer.write(data)
            await writer.drain()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, marked: asyncio.Event) -> None:
    """Carry answers until one is not to be."""
    while data := await reader.read(65_536):
        if marked.is_set():
            return
        writer.write(data)
        await writer.drain()
