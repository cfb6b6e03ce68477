"""One hub for many cases: the real application on one database, tokens of every role, and rows that nobody touches."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from app.domain.decisions import DecisionType
from app.domain.model_assignments import AssignmentReason, Provider
from app.domain.principals import Role
from app.domain.schedules import Timing
from app.main import create_app
from app.security.tokens import new_secret
from app.services.access import CreateToken, create_token
from app.services.decisions import RecordDecision, record_decision
from app.services.model_assignments import RecordAssignment, record_assignment
from app.services.schedules import CreateSchedule, create_schedule
from app.settings import Settings
from db.session import Database
from db.tables.access import api_tokens
from tests.services.makers import ADMIN, SEALER, a_gate, a_running_task, a_template, an_agent, an_execution, run

JAMES, JANE = "james-dev", "jane-dev"
TEMPLATE = "untouched"
MASTER_KEY = bytes(range(32))
"""That of the `SEALER` of the makers."""
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    body: dict[str, Any]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return list(self.body.get("errors", ()))


@dataclass
class World:
    """The hub, and what the cases know of its contents."""

    database: Database
    http: httpx.AsyncClient
    known: dict[str, str] = field(default_factory=dict)
    """By kind the id of an entity that no case is about."""
    secrets: dict[tuple[Role, str | None], str] = field(default_factory=dict)
    counter: int = 0

    async def secret(self, role: Role = Role.ADMIN, agent_id: str | None = None) -> str:
        """A live token of this role, perhaps bound to an agent; the same one each time."""
        if (role, agent_id) not in self.secrets:
            self.secrets[role, agent_id] = await self.new_token(role, agent_id)
        return self.secrets[role, agent_id]

    async def new_token(self, role: Role, agent_id: str | None, **values: Any) -> str:
        """Another token; with `values` its row has these from the beginning."""
        secret = new_secret()
        row = await run(self.database, create_token, ADMIN, CreateToken(f"{role.value} token", role, secret, agent_id))
        if values:
            change = update(api_tokens).where(api_tokens.c.token_id == row.token_id).values(**values)
            await self.database.transact(lambda session: session.execute(change))
        return secret

    def name(self, stem: str) -> str:
        """A name that no other case has."""
        self.counter += 1
        return f"{stem}-{self.counter}"

    async def post(self, content: bytes, secret: str | None) -> Reply:
        """Send a body as it is."""
        headers = {"content-type": "application/json"}
        if secret is not None:
            headers["authorization"] = f"Bearer {secret}"
        answer = await self.http.post("/graphql", content=content, headers=headers)
        return Reply(answer.status_code, answer.json())

    async def ask(self, query: str, input: Any, secret: str | None) -> Reply:
        """Run a document with `$input`."""
        return await self.post(as_json({"query": query, "variables": {"input": input}}), secret)


def as_json(value: Any) -> bytes:
    """JSON text of ASCII characters, so that lone surrogates get there too."""
    return json.dumps(value, default=str).encode()


@contextlib.asynccontextmanager
async def opened_world(url: str, folder: Path) -> AsyncIterator[World]:
    """The application on this database, without a worker, and with upkeep that does not come round."""
    settings = Settings(data_dir=folder, database_url=url, pool_size=3, read_pool_size=2, master_key=MASTER_KEY.hex())
    database = Database(url, pool_size=2, read_pool_size=1)
    with pytest.MonkeyPatch.context() as patched:
        # agents made at the beginning would fall silent while others are looked at
        patched.setattr("app.main.UPKEEP_SECONDS", DAY.total_seconds())
        app = create_app(settings, url, with_worker=False)
        transport = httpx.ASGITransport(app=app)
        await database.open()
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://hub") as h:
            world = World(database, h)
            await _furnish(world)
            yield world
        await database.close()


async def _furnish(world: World) -> None:
    database = world.database
    for agent_id in (JAMES, JANE):
        await an_agent(database, agent_id, concurrency=64)
    await a_template(database)
    execution = await an_execution(database, TEMPLATE)
    task = await a_running_task(database, JANE, execution_id=execution.execution_id)
    gate = await a_gate(database, execution.execution_id)
    decision = await run(database, record_decision, ADMIN, a_decision(), SEALER)
    chosen = RecordAssignment(JANE, task.task_id, Provider.ZAI_GLM, "glm-4.5", AssignmentReason.COST_OPTIMIZATION)
    assignment = await run(database, record_assignment, ADMIN, chosen)
    token = await run(database, create_token, ADMIN, CreateToken("untouched", Role.VIEWER, new_secret()))
    nightly = CreateSchedule("untouched", TEMPLATE, Timing("0 7 * * *"))
    schedule = await run(database, create_schedule, ADMIN, nightly)
    world.known |= {
        "execution": str(execution.execution_id),
        "task": str(task.task_id),
        "gate": str(gate.gate_id),
        "decision": str(decision.decision_id),
        "assignment": str(assignment.assignment_id),
        "token": str(token.token_id),
        "schedule": str(schedule.schedule_id),
    }


def a_decision(**changes: Any) -> RecordDecision:
    """A decision that is whole."""
    values: Mapping[str, Any] = {
        "decision_type": DecisionType.TASK_ASSIGNMENT,
        "context_data": {"request": "login"},
        "reasoning_process": "a login page was asked for",
        "outcome": "build it",
        "confidence_score": 8,
        **changes,
    }
    return RecordDecision(**values)


def at(**ahead: float) -> str:
    """A moment so far ahead of now, or behind it, as the API takes it."""
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()
