"""Streams over a real tail, without a transport."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.domain.principals import Principal
from app.live.hints import HintSender
from app.live.tail import EventTail
from app.services.reports import ReportWriter
from db.session import Database
from graphql_schema.context import HubContext
from graphql_schema.schema import HubSchema, build_schema
from graphql_schema.streams.hub import StreamHub
from tests.live.events import eventually
from tests.services.makers import SEALER

SCHEMA = build_schema()


@dataclass
class Live:
    """A hub's streams, with what is behind them. `statements` are the reads that streams have asked for."""

    database: Database
    tail: EventTail
    streams: StreamHub
    schema: HubSchema = SCHEMA
    statements: list[str] = field(default_factory=list)

    async def settled(self) -> None:
        """Return once all that was written is behind the tail."""

        async def is_behind() -> bool:
            last = await self.database.fetch_value("SELECT coalesce(max(id), 0) FROM event_log")
            return bool(self.tail.position.id >= last)

        await eventually(is_behind)


@pytest.fixture
async def live(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Live]:
    """Streams of a hub of its own."""
    hints = HintSender(database)
    tail = EventTail(database_url, hints)
    reports = ReportWriter(database)

    def context_for(principal: Principal) -> HubContext:
        return HubContext(principal, database, tail, SEALER, reports)

    live = Live(database, tail, StreamHub(SCHEMA, context_for))
    fetch_value = database.fetch_value

    async def noted(sql: str, arguments: Any = ()) -> Any:
        live.statements.append(sql)
        return await fetch_value(sql, arguments)

    await hints.start()
    await tail.start()
    await live.settled()
    monkeypatch.setattr(database, "fetch_value", noted)
    yield live
    await live.streams.close()
    await tail.stop()
    await hints.stop()
