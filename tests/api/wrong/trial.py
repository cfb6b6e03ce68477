"""One valid call and many wrong ones made of it: each must be refused as it should, and leave nothing behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.errors import ErrorCode
from tests.api.wrong import asking
from tests.api.wrong.cases import Call, Case
from tests.api.wrong.state import changed_tables, state_of
from tests.api.wrong.world import Reply, World, as_json

MARK = "@stands-for-what-is-no-json@"


@dataclass
class Trial:
    """The cases of one mutation, with what was found to be wrong with the answers."""

    world: World
    case: Case
    call: Call
    document: str
    secret: str
    state: str
    faults: list[str] = field(default_factory=list)
    tried: int = 0

    @classmethod
    async def begin(cls, world: World, case: Case) -> "Trial":
        call = await case.prepare(world)
        secret = await world.secret()
        await world.ask("{ __typename }", None, secret)
        return cls(world, case, call, asking.document(case.mutation), secret, await state_of(world.database))

    @property
    def has_dry_run(self) -> bool:
        return "dryRun" in asking.input_type(self.case.mutation).fields

    async def ask(self, input: Any, secret: str | None = None) -> Reply:
        return await self.world.ask(self.document, input, secret or self.secret)

    async def rejected(self, label: str, input: Any, words: str) -> None:
        """The input is none of the schema's; a message has these words."""
        await self._note(label, asking.faults_of_rejection(await self.ask(input), words))

    async def refused(
        self,
        label: str,
        input: Any,
        codes: Sequence[ErrorCode],
        at: str | None,
        *,
        current_version: int | None = None,
        secret: str | None = None,
    ) -> None:
        """The input breaks a rule of the hub."""
        reply = await self.ask(input, secret)
        await self._note(label, asking.faults_of_refusal(reply, self.case.mutation, codes, at, current_version))

    async def malformed(self, label: str, content: bytes, status: int = 400) -> None:
        """The body is no request at all, or too large."""
        reply = await self.world.post(content, self.secret)
        await self._note(label, asking.faults_of_transport_error(reply, status, ErrorCode.INVALID_INPUT))

    async def unauthenticated(self, label: str, secret: str | None) -> None:
        """The holder of this token is nobody."""
        reply = await self.world.ask(self.document, self.call.input, secret)
        await self._note(label, asking.faults_of_transport_error(reply, 401, ErrorCode.UNAUTHENTICATED))

    async def would_succeed(self, label: str, input: Mapping[str, Any], secret: str | None = None) -> None:
        """The call is valid as things are; that is found out without carrying it out, where that can be asked."""
        if not self.has_dry_run:
            return
        reply = await self.ask({**input, "dryRun": True}, secret)
        payload = reply.body.get("data", {}).get(self.case.mutation, {}) if not reply.errors else {}
        succeeds = bool(payload) and not payload["userErrors"] and payload["dryRun"]["wouldSucceed"]
        await self._note(label, [] if succeeds else [f"should be valid: {str(reply.body)[:400]}"])

    async def end(self) -> None:
        """After all that, the call is still valid and is carried out. Fails the test with all that was found."""
        payload = asking.payload_of(await self.ask(self.call.input), self.case.mutation)
        if payload["userErrors"]:
            self.faults.append(f"the valid call was refused: {payload['userErrors']}")
        if (await state_of(self.world.database) == self.state) is self.case.writes:
            self.faults.append("the valid call changed nothing" if self.case.writes else "it wrote something")
        self.verify()

    def verify(self) -> None:
        """Fail the test with all that was found."""
        assert self.tried > 0
        assert not self.faults, f"{len(self.faults)} of {self.tried}:\n" + "\n".join(self.faults)

    async def unchanged(self, label: str) -> None:
        """Nothing was written since the last look."""
        await self._note(label, [])

    async def _note(self, label: str, faults: Sequence[str]) -> None:
        self.tried += 1
        state = await state_of(self.world.database)
        written = changed_tables(self.state, state)
        self.state = state
        told = [*faults, *([f"it wrote to {', '.join(written)}"] if written else [])]
        self.faults += [f"{self.case.mutation}, {label}: {fault}" for fault in told]


def with_raw(document: str, input: Mapping[str, Any], raw: str) -> bytes:
    """A body in which this text, which need be no JSON, stands where the mark is."""
    return as_json({"query": document, "variables": {"input": input}}).replace(f'"{MARK}"'.encode(), raw.encode())
