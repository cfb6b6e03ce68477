"""The peer: what Starlette can do without GraphQL. Whatever is posted goes to every WebSocket as it is, `count` times.

It is served as the hub is: uvicorn's `websockets-sansio`, without compression.

`python -m tests.benchmarks.peers.starlette_broadcast` serves on a free port and prints its address.
"""

import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

open_sockets: set[WebSocket] = set()


async def follow(socket: WebSocket) -> None:
    """Keep a socket until it closes."""
    await socket.accept()
    open_sockets.add(socket)
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        pass
    finally:
        open_sockets.discard(socket)


async def publish(request: Request) -> Response:
    """Send the body to all, after the answer."""
    text = (await request.body()).decode()
    return Response(status_code=204, background=BackgroundTask(broadcast, text, int(request.query_params["count"])))


async def broadcast(text: str, count: int) -> None:
    """Send the text to all, so many times."""
    for _ in range(count):
        for follower in tuple(open_sockets):
            await follower.send_text(text)


def serve(application: Starlette) -> None:
    """Serve on a free port until SIGTERM."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application,
        lifespan="on",
        access_log=False,
        log_level="warning",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
    )
    sys.stdout.write(f"http://127.0.0.1:{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listening])


def main() -> None:
    """Serve the broadcast."""
    serve(Starlette(routes=[WebSocketRoute("/graphql", follow), Route("/publish", publish, methods=["POST"])]))


if __name__ == "__main__":
    main()
