"""The tail of the event log: one a process reads it in commit order and hands each event to those who follow.

Its place is always that of an event that it has read, never the horizon up to which it has looked: after a crash
PostgreSQL may give out once more the transaction ids above the last durable commit.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

import asyncpg
import structlog

from app.domain.errors import HubError, ResyncRequired, Unavailable
from app.live.alarm import LagAlarm, Rarely
from app.live.cursor import DatabaseIdentity, decode_cursor
from app.live.follower import Follower
from app.live.hints import CHANNEL, HintSender, Wakeup, close_quietly
from app.live.records import EventFilter, EventRecord, event_record
from db.adoption import IS_OURS
from db.queries import events
from db.queries.events import Connection, Holder, Position, Server

POLL = 0.5
"""Seconds between two looks at the log when nothing hints that something is there."""
LEAST_PAUSE = 0.003
"""Least seconds between two reads, so that a stream of hints does not become a stream of reads."""
UNSETTLED_PAUSES = (0.005, 0.1)
"""Seconds between looks while events wait for an older transaction to end: the first pause, and the longest."""
BATCH = 500
"""Events read at once."""
TIMEOUT = 5.0
"""Seconds until a connection or a statement is given up."""
RECONNECT_PAUSES = (0.1, 2.0)
"""Seconds between attempts to reach the database: the first pause, and the longest."""
PATIENCE = 10.0
"""Seconds that a resuming follower waits for an absent database."""
ALIVE_WITHIN = 3.0
"""Seconds within which the tail must have read the log to count as alive."""
READERS = 2
"""Connections shared by the followers that catch up."""

ABSENT = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)
"""What a database that is away, stopping or starting raises."""

Result = TypeVar("Result")

log = structlog.get_logger(__name__)


class EventTail:
    """Follows the event log of the database at `url`, from the log's end at `start`, until `stop`."""

    def __init__(self, url: str, hints: HintSender | None = None) -> None:
        self._url = url
        self._hints = hints
        self._wakeup: Wakeup | None = None
        self._task: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._readers: asyncpg.Pool[asyncpg.Record] | None = None
        self._database: DatabaseIdentity | None = None
        self._position: Position | None = None
        self._followers: set[Follower] = set()
        self._watchers: list[Callable[[EventRecord], None]] = []
        self._mourners: list[Callable[[], None]] = []
        self._checked_at = time.monotonic()
        self._behind: float | None = None
        self._alarm = LagAlarm()
        self._losses, self._refusals = Rarely(), Rarely()

    @property
    def is_alive(self) -> bool:
        """Whether the tail is connected and read the log a moment ago."""
        running = self._task is not None and not self._task.done()
        return running and self._connection is not None and time.monotonic() - self._checked_at < ALIVE_WITHIN

    @property
    def lag_seconds(self) -> float:
        """How old the oldest event is that the tail has not handed on; 0 when there is none."""
        unseen = max(0.0, time.monotonic() - self._checked_at - POLL)
        return unseen if self._behind is None else self._behind + unseen

    @property
    def held_by(self) -> Sequence[Holder]:
        """The transactions that hold up the log, as the last alarm found them; none when it is told in time."""
        return self._alarm.held_by

    @property
    def followers(self) -> int:
        """How many follow now."""
        return len(self._followers)

    @property
    def database(self) -> DatabaseIdentity:
        """Which database is followed. Raises `Unavailable` before `start`."""
        if self._database is None:
            raise Unavailable("The event log is not followed yet. Try again in a moment.")
        return self._database

    @property
    def position(self) -> Position:
        """The place of the last event that was handed on. Raises `Unavailable` before `start`."""
        if self._position is None:
            raise Unavailable("The event log is not followed yet. Try again in a moment.")
        return self._position

    @property
    def unseen_seconds(self) -> float:
        """How long ago the log was read to its end the last time; infinite while something in it is unsettled."""
        return math.inf if self._behind is not None or not self.is_alive else time.monotonic() - self._checked_at

    def watch(self, watcher: Callable[[EventRecord], None], lost: Callable[[], None] | None = None) -> None:
        """Call `watcher` for every event as it is read, and `lost` when the log was lost. They must not block.

        Until the log is found again it may have gone back to an earlier state, or be another.
        """
        self._watchers.append(watcher)
        if lost is not None:
            self._mourners.append(lost)

    async def start(self) -> None:
        """Take up the place at the end of the log and begin to follow.

        Raises `Unavailable`, also for a database that was restored from another server and not taken over yet.
        """
        wakeup = self._wakeup = self._hints.subscribe() if self._hints is not None else Wakeup(set())
        self._readers = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=READERS,
            timeout=TIMEOUT,
            command_timeout=TIMEOUT,
            max_inactive_connection_lifetime=0,
            server_settings=events.SESSION,
            init=self._require_the_same,
            reset=_no_reset,
        )
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._connect()
        except BaseException as error:
            await self.stop()
            if isinstance(error, ABSENT):
                raise Unavailable("The database does not answer, so the event log cannot be followed.") from error
            raise
        self._task = asyncio.create_task(self._run(wakeup), name="event tail")

    async def stop(self) -> None:
        """Stop following and return when everything is released; whoever still follows gets `Unavailable`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        connection, self._connection = self._connection, None
        if connection is not None:
            await close_quietly(connection)
        self._fail_followers(Unavailable("The hub is shutting down. Connect again and resume by cursor."))
        if self._wakeup is not None:
            self._wakeup.close()
        if self._readers is not None:
            readers, self._readers = self._readers, None
            await _close_pool(readers)

    @contextlib.asynccontextmanager
    async def follow(self, wanted: EventFilter, after: str | None = None) -> AsyncIterator[Follower]:
        """The matching events after the cursor, or from now on, without gap or repeat; the iterator never ends.

        Raises `InvalidInput` for a malformed cursor, `ResyncRequired` for one that cannot be resumed, `Unavailable`.
        """
        follower = await self._follower(wanted, after)
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    async def _follower(self, wanted: EventFilter, after: str | None) -> Follower:
        if self._position is None or self._task is None:
            raise Unavailable("The event log is not followed yet. Try again in a moment.")
        if after is not None:
            return Follower(wanted, await self._resume(after), self._read_after, up_to_date=False)
        return Follower(wanted, self._position, self._read_after, up_to_date=True)

    # -- resuming and catching up, on the readers' connections

    async def _resume(self, after: str) -> Position:
        database, position = decode_cursor(after)
        try:
            async with asyncio.timeout(PATIENCE):
                server, kept_since = await self._reading(_bounds)
        except TimeoutError:
            raise Unavailable("The database does not answer. Try again in a moment, with the same cursor.") from None
        if database != _identity(server) or position.xid >= server.next_xid:
            raise _resync("The cursor is of another database, perhaps one that was restored since")
        if kept_since is not None and position.created_at < kept_since:
            raise _resync(f"The cursor is older than the event log, which is kept whole since {kept_since:%Y-%m-%d}")
        return position

    async def _read_after(self, position: Position, wanted: EventFilter) -> tuple[list[EventRecord], bool]:
        rows = await self._reading(
            lambda connection: events.read_after(
                connection,
                position,
                BATCH,
                wanted.aggregate,
                wanted.entity_id,
                wanted.details_json,
                wanted.event_types,
            )
        )
        database = self._database
        assert database is not None  # noqa: S101  (set by start, before anybody follows)
        return [event_record(database, row) for row in rows], len(rows) < BATCH

    async def _reading(self, read: Callable[[Connection], Awaitable[Result]]) -> Result:
        """The result of `read`, tried again for as long as the database is away."""
        for pause in _pauses(RECONNECT_PAUSES):
            if self._readers is None:
                raise Unavailable("The event log is not followed: the hub is starting or shutting down.")
            try:
                async with self._readers.acquire(timeout=PATIENCE) as connection:
                    return await read(connection)
            except ABSENT as error:
                if self._refusals.is_due():
                    log.info("the event log cannot be read now", error=repr(error))
            await asyncio.sleep(pause)
        raise AssertionError("unreachable: the pauses do not end")

    async def _require_the_same(self, connection: Connection) -> None:
        """A new connection may reach another database than the one followed, before the tail finds out and says so."""
        if not self._is_followed(await events.identify(connection)):
            raise ConnectionError("the database is another than the one followed")

    def _is_followed(self, server: Server) -> bool:
        """Whether this is the database whose log is followed, and it knows of the place in it."""
        return self._position is None or (self._database == _identity(server) and self._position.xid < server.next_xid)

    # -- following, on the tail's own connection

    async def _run(self, wakeup: Wakeup) -> None:
        pauses = _pauses(RECONNECT_PAUSES)
        while True:
            reached_at = self._checked_at
            try:
                await self._follow_log(self._connection or await self._connect(), wakeup)
            except Exception as error:  # whatever it was: the tail keeps its place and tries again
                self._lost(error)
            if self._connection is not None:
                self._connection.terminate()
                self._connection = None
            if self._checked_at != reached_at:
                pauses = _pauses(RECONNECT_PAUSES)
            await asyncio.sleep(next(pauses))

    def _lost(self, error: Exception) -> None:
        for mourn in self._mourners:
            mourn()
        if self._losses.is_due():
            expected = isinstance(error, (*ABSENT, HubError))
            told = {"error": repr(error), "lag_seconds": round(self.lag_seconds, 1)}
            log.warning("the tail lost the event log, and looks for it", **told, exc_info=None if expected else error)

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        connection = await asyncpg.connect(
            self._url, timeout=TIMEOUT, command_timeout=TIMEOUT, server_settings=events.SESSION
        )
        try:
            await connection.add_listener(CHANNEL, self._notified)
            await self._take_place(connection)
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection
        return connection

    async def _take_place(self, connection: Connection) -> None:
        """Keep the place in a database that is still the same; begin anew at the end of another."""
        server = await events.identify(connection)
        if self._position is not None and self._is_followed(server):
            return
        if not await connection.fetchval(IS_OURS):
            raise Unavailable("The database was restored from another server. Take it over: run `hub migrate`.")
        position = await events.last_position(connection)
        # nobody has a turn from here on: they would join at the old place in the new log
        if self._position is not None:
            log.warning("the database was replaced by another, those who follow must start anew")
            self._fail_followers(_resync("The database was replaced by another"))
        self._database, self._position = _identity(server), position
        self._checked_at = time.monotonic()

    async def _follow_log(self, connection: Connection, wakeup: Wakeup) -> None:
        unsettled = _pauses(UNSETTLED_PAUSES)
        while True:
            position = self._position
            assert position is not None  # noqa: S101  (taken when the connection was made)
            wakeup.clear()
            rows = await events.read_after(connection, position, BATCH)
            position = await self._hand_on(rows, position)
            looked_at = time.monotonic()
            now, self._behind = await events.behind(connection, position)
            self._checked_at = looked_at
            await self._alarm.judge(connection, self._behind)
            if self._behind is None:
                self._position = position._replace(created_at=now)
            if rows or self._behind is None:
                unsettled = _pauses(UNSETTLED_PAUSES)
            await asyncio.sleep(LEAST_PAUSE)
            if rows:
                continue
            await _wait(wakeup, POLL if self._behind is None else next(unsettled))

    async def _hand_on(self, rows: Sequence[asyncpg.Record], position: Position) -> Position:
        assert self._database is not None  # noqa: S101
        for number, row in enumerate(rows, start=1):
            event = event_record(self._database, row)
            for watcher in self._watchers:
                _tell(watcher, event)
            for follower in tuple(self._followers):
                follower.offer(event, position)
            position = self._position = event.position
            if number % 50 == 0:
                await asyncio.sleep(0)  # others have a turn
        return position

    def _notified(self, _connection: object, pid: int, _channel: str, _payload: object) -> None:
        if self._hints is None:
            if self._wakeup is not None:
                self._wakeup.set()
        elif pid != self._hints.backend_pid:
            self._hints.wake()

    def _fail_followers(self, failure: HubError) -> None:
        for follower in tuple(self._followers):
            follower.fail(failure)


async def _bounds(connection: Connection) -> tuple[Server, datetime | None]:
    return await events.identify(connection), await events.kept_since(connection)


def _tell(watcher: Callable[[EventRecord], None], event: EventRecord) -> None:
    try:
        watcher(event)
    except Exception:  # a defect of one must not hold up the log for all
        log.exception("an event could not be told to who watches the log", event_id=event.position.id)


def _identity(server: Server) -> DatabaseIdentity:
    return DatabaseIdentity(server.system_identifier, server.database_oid)


def _resync(reason: str) -> ResyncRequired:
    return ResyncRequired(
        f"{reason}. What happened since cannot be told without a gap: read the state anew, then follow without `after`."
    )


def _pauses(limits: tuple[float, float]) -> Iterator[float]:
    """The first pause, then twice as long each time, up to the longest."""
    pause, longest = limits
    while True:
        yield pause
        pause = min(pause * 2, longest)


async def _wait(wakeup: Wakeup, longest: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(longest):
            await wakeup.wait()


async def _close_pool(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    try:
        await asyncio.wait_for(pool.close(), TIMEOUT)
    except TimeoutError:
        pool.terminate()


async def _no_reset(_connection: object) -> None:
    """Reads leave no session state behind, so the pool's reset would be a wasted round trip."""
