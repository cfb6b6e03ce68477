"""A bare Starlette endpoint that answers every POST with the bytes of a file: what no server in Python undercuts."""

import socket
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def application(body: bytes) -> Starlette:
    """The ASGI application."""

    async def answer(request: Request) -> Response:
        await request.body()
        return Response(body, media_type="application/json")

    return Starlette(routes=[Route("/graphql", answer, methods=["POST"])])


def main() -> None:
    """Serve on a free port until SIGTERM."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application(Path(sys.argv[1]).read_bytes()), access_log=False, log_level="warning")
    sys.stdout.write(f"http://127.0.0.1:{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
