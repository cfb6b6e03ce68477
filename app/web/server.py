"""uvicorn, started so that sockets are written to by whole frames, and stopped so that every client is told."""

import socket
from collections.abc import Awaitable, Callable, Sequence

import uvicorn

Drain = Callable[[], Awaitable[None]]
"""Ends what stays open for as long as its client likes, and returns when it has ended."""
Announce = Callable[[uvicorn.Server], None]


class DrainingServer(uvicorn.Server):
    """Says when it listens: the port may be one that the system chose. Drains before it waits for requests to end.

    uvicorn by itself tells WebSockets that it ends, but nobody tells the answers that never end by themselves.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain, announce: Announce | None = None) -> None:
        super().__init__(config)
        self._drain = drain
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        if self.started and self._announce is not None:
            self._announce(self)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, drain, and let open requests end."""
        for server in self.servers:
            server.close()
        await self._drain()
        await super().shutdown(sockets)


def port_of(server: uvicorn.Server) -> int:
    """The port at which it listens."""
    listening: Sequence[socket.socket] = server.servers[0].sockets
    port: int = listening[0].getsockname()[1]
    return port
