"""The story, told once, for all tests that read it."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from app.domain.principals import Role
from app.main import create_app
from app.security.tokens import new_secret
from app.services.access import CreateToken, create_token
from app.settings import Settings
from db.embedded import EmbeddedServer
from db.session import Database
from tests.api.conftest import Client
from tests.data_model.story import Story, told
from tests.services.makers import ADMIN, run

DATABASE = "data_model_story"


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def story(
    postgres: EmbeddedServer, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Story]:
    """A hub in which everything has happened once."""
    postgres.create_database(DATABASE, template_database)
    url = postgres.url(DATABASE)
    settings = Settings(data_dir=tmp_path_factory.mktemp("story"), database_url=url, pool_size=3, read_pool_size=2)
    database = Database(url, pool_size=2, read_pool_size=1)
    await database.open()
    app = create_app(settings, url, with_worker=False)
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://hub") as http:
        secret = new_secret()
        await run(database, create_token, ADMIN, CreateToken("story", Role.ADMIN, secret))
        yield await told(database, Client(http, secret))
    await database.close()
    postgres.drop_database(DATABASE)
