"""Which connections are open by which token: how many, and whether the token still holds.

A token is asked about once for all of its connections.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from app.domain.errors import Unauthenticated
from app.domain.principals import Principal
from graphql_schema.endpoint import Authenticate
from graphql_schema.transport.endings import (
    RIGHTS_CHANGED,
    TOKEN_ENDED,
    TOO_MANY_CONNECTIONS,
    TRY_AGAIN_LATER,
    Ending,
    SocketLimits,
)

End = Callable[[Ending], None]
"""Ends a connection, without waiting."""

log = structlog.get_logger(__name__)


class TooManyConnections(Exception):
    """The token has as many connections open as it may."""

    def __init__(self) -> None:
        super().__init__(TOO_MANY_CONNECTIONS.reason)


@dataclass(eq=False)
class Session:
    """The connections of one token. `verified_at` is when the token was last known to hold."""

    token: str = field(repr=False)
    principal: Principal
    verified_at: float
    ends: set[End] = field(default_factory=set)
    task: asyncio.Task[None] | None = field(default=None)


@dataclass(frozen=True)
class Place:
    """One connection's place in its token's session."""

    principal: Principal
    leave: Callable[[], None]


class Sessions:
    """The sessions of a process."""

    def __init__(self, authenticate: Authenticate, limits: SocketLimits) -> None:
        self._authenticate = authenticate
        self._limits = limits
        self._sessions: dict[tuple[str, Principal], Session] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many connections have a place."""
        return sum(len(session.ends) for session in self._sessions.values())

    async def join(self, token: str, end: End) -> Place:
        """A place for a connection, which `end` ends when the token no longer holds.

        Raises `Unauthenticated`, `Unavailable` and `TooManyConnections`.
        """
        principal = await self._authenticate(token)
        session = self._sessions.get((token, principal))
        if session is None:
            session = self._sessions[token, principal] = Session(token, principal, time.monotonic())
            session.task = asyncio.create_task(self._watch(session), name="token of open connections")
        elif len(session.ends) >= self._limits.connections:
            raise TooManyConnections
        session.ends.add(end)
        return Place(principal, lambda: self._leave(session, end))

    async def close(self) -> None:
        """Return when nothing runs any more."""
        for session in self._sessions.values():
            self._stop(session)
        self._sessions.clear()
        if self._stopping:
            await asyncio.wait(self._stopping)

    def _leave(self, session: Session, end: End) -> None:
        session.ends.discard(end)
        key = (session.token, session.principal)
        if not session.ends and self._sessions.get(key) is session:
            del self._sessions[key]
            self._stop(session)

    def _stop(self, session: Session) -> None:
        if session.task is not None:
            session.task.cancel()
            self._stopping.add(session.task)
            session.task.add_done_callback(self._stopping.discard)

    async def _watch(self, session: Session) -> None:
        while True:
            await asyncio.sleep(self._limits.recheck_every)
            ending = await self._verdict(session)
            if ending is not None:
                for end in tuple(session.ends):
                    end(ending)

    async def _verdict(self, session: Session) -> Ending | None:
        """How the session has to end, if it has to."""
        try:
            async with asyncio.timeout(self._limits.init_timeout):
                principal = await self._authenticate(session.token)
        except Unauthenticated:
            return TOKEN_ENDED
        except Exception as error:  # the database is away: nothing can be read or changed now either
            log.info("a token could not be checked", error=repr(error))
            return TRY_AGAIN_LATER if time.monotonic() - session.verified_at > self._limits.unverified_for else None
        session.verified_at = time.monotonic()
        return None if principal == session.principal else RIGHTS_CHANGED
