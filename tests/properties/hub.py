"""The hub itself, in this process: the real schema on a real database, asked without HTTP between."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import orjson
from graphql import get_named_type

from app.domain.errors import ErrorCode, HubError, StaleVersion
from app.domain.principals import Principal, Role
from app.live.hints import HintSender
from app.live.tail import EventTail
from app.services.reports import ReportWriter
from db.session import Database
from graphql_schema.context import HubContext
from graphql_schema.schema import HubSchema, build_schema
from tests.properties.commands import Attempt, Command
from tests.services.makers import SEALER

POOL = 8
"""Connections: as many commands can be under way at once."""

EVENTS_AFTER = """
    SELECT coalesce(json_agg(json_build_array(
        xid::text::bigint, id, aggregate, entity_id, event_type, from_status, to_status, version, actor, detail,
        transaction_xid::text::bigint
    ) ORDER BY xid, id), '[]')::text
    FROM event_log
    -- the time leaves out the partitions that are made ahead
    WHERE (xid, id) > ($1, $2) AND created_at BETWEEN now() - interval '1 hour' AND now()
"""
ERRORS = "userErrors { field code currentVersion }"
DRY_RUN = (
    "dryRun { wouldSucceed changeCount "
    "changes { aggregate entityId eventType fromStatus toStatus version detail } }"
)  # fmt: skip


class Event(NamedTuple):
    """An event that was written or, without a place in the log, that a dry run tells."""

    xid: int
    id: int
    aggregate: str
    entity_id: str
    event_type: str
    from_status: str | None
    to_status: str | None
    version: int | None
    actor: str
    detail: Mapping[str, Any]
    transaction: int = 0

    @property
    def place(self) -> tuple[int, int]:
        return self.xid, self.id


class Refusal(NamedTuple):
    """An entry of `userErrors`."""

    code: ErrorCode
    current_version: int | None
    field: str | None


@dataclass(frozen=True)
class DryRun:
    """What a dry run tells."""

    would_succeed: bool
    changes: Sequence[Event]


class Result(NamedTuple):
    """What became of an item of a batch: its entity's id, null in a dry run, and why it was refused."""

    entity_id: str | None
    refusals: Sequence[Refusal]


@dataclass(frozen=True)
class Answer:
    """A payload: why it was refused, what a dry run tells, what became of each item of a batch, and which entity."""

    refusals: Sequence[Refusal] = ()
    dry_run: DryRun | None = None
    results: Sequence[Result] | None = None
    entity: Any = None


@dataclass
class Hub:
    """A way to send commands as anybody, and to read what was written. Knows what was ever carried out."""

    database: Database
    schema: HubSchema
    reports: ReportWriter
    tail: EventTail
    carried_out: set[str] = field(default_factory=set)
    _queries: dict[tuple[str, bool, bool], str] = field(default_factory=dict)
    _read_to: tuple[int, int] = (0, 0)

    @classmethod
    async def open(cls, url: str) -> Self:
        """The hub's parts on this database, but for those that do something by themselves."""
        database = Database(url, pool_size=POOL, read_pool_size=2)
        await database.open()
        reports = ReportWriter(database)
        await reports.start()
        return cls(database, build_schema(), reports, EventTail(url, HintSender(database)))

    async def close(self) -> None:
        await self.reports.stop()
        await self.database.close()

    async def send(self, attempt: Attempt) -> Answer:
        """Send a command as its actor. Fails the test when it ends in anything but a payload."""
        answer = await (self._ask(attempt) if attempt.command.is_mutation else self._do(attempt))
        if not attempt.dry and not answer.refusals:
            self.carried_out.add(attempt.command.mutation)
        return answer

    async def send_all(self, attempts: Sequence[Attempt]) -> list[Answer]:
        """Send them at once, each on a connection of its own."""
        return await asyncio.gather(*(self.send(attempt) for attempt in attempts))

    async def _ask(self, attempt: Attempt) -> Answer:
        context = HubContext(attempt.actor, self.database, self.tail, SEALER, self.reports)
        given = attempt.given | {"dryRun": True} if attempt.dry else attempt.given
        wants_entity = attempt.key is not None and not attempt.dry
        query = self._query(attempt.command, attempt.dry, wants_entity)
        result = await self.schema.execute(query, variable_values={"input": given}, context_value=context)
        assert not result.errors, f"{attempt}: {[error.original_error or error for error in result.errors]}"
        assert result.data is not None
        return _answer(result.data["payload"])

    async def news(self) -> list[Event]:
        """The events that were written since this was last asked, in their order. Nothing may be under way."""
        found = orjson.loads(await self.database.fetch_value(EVENTS_AFTER, self._read_to))
        events = [Event(*row) for row in found]
        if events:
            self._read_to = events[-1].place
        return events

    async def _do(self, attempt: Attempt) -> Answer:
        direct = attempt.command.direct
        assert direct is not None
        try:
            await self.database.transact(lambda session: direct(session, attempt.given))
        except HubError as error:
            current = error.current if isinstance(error, StaleVersion) else None
            return Answer([Refusal(error.code, current, error.field)])
        return Answer()

    def _query(self, command: Command, dry: bool, entity: bool) -> str:
        place = command.mutation, dry, entity
        if place not in self._queries:
            self._queries[place] = self._write_query(command, dry, entity)
        return self._queries[place]

    def _write_query(self, command: Command, dry: bool, entity: bool) -> str:
        mutations = self.schema._schema.mutation_type
        assert mutations is not None
        kind = get_named_type(mutations.fields[command.mutation].args["input"].type)
        parts = [ERRORS]
        if dry:
            parts.append(DRY_RUN)
        if command.is_batch:
            parts.append(f"results {{ entity: {command.entity} {ERRORS} }}")
        elif entity and command.entity:
            parts.append(f"entity: {command.entity}")
        return (
            f"mutation ($input: {kind}!) {{ payload: {command.mutation}(input: $input) {{ {' '.join(parts)} }} }}"
        )  # fmt: skip


def actors_of(name: str) -> list[Principal]:
    """One actor of each kind: bound to an agent or not, of every role. Agents are named `<name>-a`, `-b` and `-pm`."""
    return [
        _actor(name, "admin", Role.ADMIN),
        _actor(name, "chief", Role.PM),
        _actor(name, "a", Role.AGENT, f"{name}-a"),
        _actor(name, "b", Role.AGENT, f"{name}-b"),
        _actor(name, "lead", Role.PM, f"{name}-pm"),
        _actor(name, "reviewer", Role.REVIEWER),
        _actor(name, "viewer", Role.VIEWER),
    ]


def _actor(name: str, who: str, role: Role, agent_id: str | None = None) -> Principal:
    return Principal(agent_id or f"{name}-{who}", role, agent_id, token_id=f"token of {name}-{who}")


def _answer(payload: Mapping[str, Any]) -> Answer:
    dry_run, results = payload.get("dryRun"), payload.get("results")
    return Answer(
        _refusals(payload["userErrors"]),
        None if dry_run is None else _dry_run(dry_run),
        None if results is None else [_result(result) for result in results],
        payload.get("entity"),
    )


def _result(told: Mapping[str, Any]) -> Result:
    entity_ids = list((told["entity"] or {}).values())
    return Result(entity_ids[0] if entity_ids else None, _refusals(told["userErrors"]))


def _refusals(errors: Sequence[Mapping[str, Any]]) -> list[Refusal]:
    return [Refusal(ErrorCode[error["code"]], error["currentVersion"], error["field"]) for error in errors]


def _dry_run(told: Mapping[str, Any]) -> DryRun:
    assert told["changeCount"] == len(told["changes"])
    return DryRun(told["wouldSucceed"], [_planned(change) for change in told["changes"]])


def _planned(change: Mapping[str, Any]) -> Event:
    return Event(
        0,
        0,
        change["aggregate"].lower(),
        change["entityId"],
        change["eventType"],
        _lower(change["fromStatus"]),
        _lower(change["toStatus"]),
        change["version"],
        "",
        change["detail"],
    )


def _lower(status: str | None) -> str | None:
    return None if status is None else status.lower()
