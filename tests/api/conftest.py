"""The whole API in this process: the real application on a real database, asked over ASGI."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.principals import Role
from app.main import create_app
from app.security.tokens import new_secret
from app.services.access import CreateToken, create_token
from app.settings import Settings
from db.session import Database
from tests.services.makers import ADMIN, run


@dataclass
class Client:
    """One token's way to the API."""

    http: httpx.AsyncClient
    secret: str
    cached: bool = True

    async def post(self, body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.secret}"} | ({} if self.cached else {"cache-control": "no-cache"})
        return await self.http.post("/graphql", json=body, headers=headers)

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data; the test fails when there are errors."""
        answer = (await self.post({"query": query, "variables": variables})).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def do(self, mutation: str, selection: str = "", **fields: Any) -> dict[str, Any]:
        """Run one mutation with its input; the payload with its userErrors."""
        kind = INPUTS.get(mutation, mutation[0].upper() + mutation[1:] + "Input")
        called = f"{mutation}(input: $input) {{ {selection} {ERRORS} }}"
        query = f"mutation ($input: {kind}!) {{ {called} }}"
        data = await self.ask(query, input=fields)
        payload: dict[str, Any] = data[mutation]
        return payload


ERRORS = "userErrors { field message code currentVersion }"
INPUTS = dict.fromkeys(
    ("qualityGateApprove", "qualityGateReject", "qualityGateRequestRevision"), "QualityGateDecideInput"
) | dict.fromkeys(("workflowTemplateRegister", "workflowTemplateValidate"), "WorkflowTemplateInput")

MakeClient = Callable[..., Awaitable[Client]]


@pytest.fixture
async def client_for(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[MakeClient]:
    """Makes a client of a role, perhaps bound to an agent."""
    settings = Settings(data_dir=tmp_path, database_url=database_url, pool_size=5, read_pool_size=3)
    app = create_app(settings, database_url, with_worker=False)
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://hub") as http:

        async def make(role: Role = Role.ADMIN, agent_id: str | None = None) -> Client:
            secret = new_secret()
            await run(database, create_token, ADMIN, CreateToken(agent_id or role.value, role, secret, agent_id))
            return Client(http, secret)

        yield make


@pytest.fixture
async def admin(client_for: MakeClient) -> Client:
    """An administrator's client."""
    return await client_for()
