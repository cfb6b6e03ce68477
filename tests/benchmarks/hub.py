"""The hub as a contender: served as `hub serve` does it, and asked in this process what SQL it makes of a question."""

import asyncio
import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx

from app.domain.principals import SYSTEM, Role
from app.main import create_app
from app.security.tokens import new_secret
from app.services.access import CreateToken, create_token
from app.settings import Settings
from db.session import Database
from tests.benchmarks.stage import Served, Stage


@dataclass(frozen=True)
class Planned:
    """The one statement that the hub ran for a question, its arguments, and the hub's answer."""

    statement: str
    arguments: Sequence[Any]
    answer: dict[str, Any]


class NotOneStatement(Exception):
    """The hub ran none or several."""


@contextlib.contextmanager
def serving(stage: Stage, *, read_cache_mb: int = 0) -> Iterator[Served]:
    """The hub on the stage's database, in a process of its own; unless it is told, it keeps no answers."""
    settings = {"HUB_DATABASE_URL": stage.url, "HUB_DATA_DIR": str(stage.folder), "HUB_PORT": "0"}
    settings["HUB_READ_CACHE_MB"] = str(read_cache_mb)
    with stage.serving("app.main", "serve", environment=settings) as served:
        yield served


def make_token(url: str) -> str:
    """A new token that may read what anybody may."""

    async def make() -> str:
        secret, database = new_secret(), Database(url)
        command = CreateToken("dashboard", Role.VIEWER, secret)
        try:
            await database.transact(lambda session: create_token(session, SYSTEM, command))
        finally:
            await database.close()
        return secret

    return asyncio.run(make())


def plans(url: str, data_dir: Path, bodies: Sequence[str], token: str) -> list[Planned]:
    """Ask the real application, and watch what it reads for each question. Raises `NotOneStatement`."""
    return asyncio.run(_plans(url, data_dir, bodies, token))


async def _plans(url: str, data_dir: Path, bodies: Sequence[str], token: str) -> list[Planned]:
    app = create_app(Settings(data_dir=data_dir, database_url=url), url, with_worker=False)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub", headers=headers) as client,
    ):
        return [await _plan(client, body) for body in bodies]


async def _plan(client: httpx.AsyncClient, body: str) -> Planned:
    asked: list[tuple[str, Sequence[Any]]] = []
    fetch_value = Database.fetch_value

    async def watched(self: Database, sql: str, arguments: Sequence[Any] = ()) -> Any:
        asked.append((sql, arguments))
        return await fetch_value(self, sql, arguments)

    with patch.object(Database, "fetch_value", watched):
        response = await client.post("/graphql", content=body)
    if len(asked) != 1:
        raise NotOneStatement(f"the hub ran {len(asked)} statements for one operation: {response.text[:2000]}")
    return Planned(*asked[0], json.loads(response.content))
