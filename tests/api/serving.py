"""The real application on a real socket, and what it has done so far."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from app import main
from app.domain.documents import sha256_of
from app.domain.principals import Role
from app.security.tokens import new_secret
from app.services.access import CreateToken, create_token
from app.settings import Settings
from db.session import Database
from graphql_schema.http_transport import BODY_LIMIT
from graphql_schema.schema import HubSchema, build_schema
from tests.services.makers import ADMIN, run

PROTOCOL = Subprotocol("graphql-transport-ws")


@dataclass
class ServedApp:
    """A running server, asked with the token of a `role`. `statements` are those that planned reads ran."""

    url: str
    schema: HubSchema
    secrets: Mapping[Role, str]
    http: httpx.AsyncClient
    statements: list[str] = field(default_factory=list)
    role: Role = Role.VIEWER

    @property
    def secret(self) -> str:
        """The token in use."""
        return self.secrets[self.role]

    async def post(self, *, accept: str = "application/json", **request: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.secret}", "accept": accept}
        return await self.http.post("/graphql", json=request, headers=headers)

    async def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to a request over HTTP."""
        answer: dict[str, Any] = (await self.post(**request)).json()
        return answer

    @contextlib.asynccontextmanager
    async def socket(self) -> AsyncIterator["Socket"]:
        """A socket that was acknowledged."""
        url = self.url.replace("http", "ws", 1) + "/graphql"
        async with connect(url, subprotocols=[PROTOCOL], close_timeout=1) as connection:
            socket = Socket(connection)
            await socket.say(type="connection_init", payload={"token": self.secret})
            assert await socket.hear() == {"type": "connection_ack"}
            yield socket


@dataclass
class Socket:
    """A client of graphql-transport-ws."""

    connection: ClientConnection

    async def say(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def hear(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            message: dict[str, Any] = json.loads(await self.connection.recv())
        return message

    async def ask(self, **request: Any) -> Any:
        """The payload of the first message on an operation: a result, or a list of errors."""
        await self.say(type="subscribe", id="1", payload=request)
        first = await self.hear()
        if first["type"] == "next":
            assert (await self.hear())["type"] == "complete"
        return first["payload"]


def documents_file(folder: Path, *texts: str) -> Path:
    """A file that registers the texts."""
    file = folder / "trusted-documents.json"
    file.write_text(json.dumps({sha256_of(text): text for text in texts}))
    return file


@contextlib.asynccontextmanager
async def serve_app(database: Database, settings: Settings) -> AsyncIterator[ServedApp]:
    """Serve the application on a port of its own."""
    secrets = {role: new_secret() for role in (Role.VIEWER, Role.ADMIN)}
    for role, secret in secrets.items():
        await run(database, create_token, ADMIN, CreateToken(role.value, role, secret))
    schemas: list[HubSchema] = []

    def building(**options: Any) -> HubSchema:
        schemas.append(build_schema(**options))
        return schemas[0]

    assert settings.database_url is not None
    with patch.object(main, "build_schema", building):
        app = main.create_app(settings, settings.database_url, with_worker=False)
    async with _listening(app) as url, httpx.AsyncClient(base_url=url, timeout=20) as http:
        served = ServedApp(url, schemas[0], secrets, http)
        with _noting(served.statements):
            yield served


@contextlib.asynccontextmanager
async def _listening(app: Any) -> AsyncIterator[str]:
    config = uvicorn.Config(
        app,
        port=0,
        log_config=None,
        lifespan="on",
        ws="websockets-sansio",
        ws_max_size=BODY_LIMIT,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # uvicorn has no event for it
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@contextlib.contextmanager
def _noting(statements: list[str]) -> Iterator[None]:
    fetch = Database.fetch_value

    async def noted(self: Database, sql: str, arguments: Sequence[Any] = ()) -> Any:
        statements.append(sql)
        return await fetch(self, sql, arguments)

    with patch.object(Database, "fetch_value", noted):
        yield


def codes(answer: Mapping[str, Any]) -> list[str]:
    """The codes of an answer's errors."""
    return [error["extensions"]["code"] for error in answer["errors"]]
