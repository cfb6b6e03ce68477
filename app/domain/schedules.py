"""Schedules: when they come due, and what becomes of runs that were missed.

Cron expressions have five fields and are read as Debian's cron reads them, in the time zone's local time. A run at a
fixed time that the clock passes over (in spring) comes right after the gap; one whose time comes twice (in autumn)
comes once. Expressions with a star in the minute or the hour follow the clock as it runs.
"""

import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from app.domain.errors import InvalidInput
from app.domain.machines import Machine
from app.domain.rules import NAME_MAX, required_text

INTERVAL_MAX = 366 * 86_400
"""Seconds."""
GRACE = timedelta(minutes=1)
"""A run that is started later than this was missed."""
RUN_ALL_MAX = 100
"""At most so many missed runs are made up for, the latest ones."""
NEXT_RUNS = 10
"""So many moments ahead are shown."""
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""Nothing is scheduled beyond this, where calendars and time zones end."""


class ScheduleStatus(StrEnum):
    """Whether a schedule starts executions."""

    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"
    DELETED = "deleted"


SCHEDULE_MACHINE = Machine(
    "schedule",
    ScheduleStatus.ACTIVE,
    {
        ScheduleStatus.ACTIVE: (ScheduleStatus.PAUSED, ScheduleStatus.ENDED, ScheduleStatus.DELETED),
        ScheduleStatus.PAUSED: (ScheduleStatus.ACTIVE, ScheduleStatus.DELETED),
        ScheduleStatus.ENDED: (ScheduleStatus.ACTIVE, ScheduleStatus.DELETED),
        ScheduleStatus.DELETED: (),
    },
)


class MissedRuns(StrEnum):
    """What becomes of runs whose time came while no hub was there."""

    SKIP = "skip"
    RUN_ONCE = "run_once"
    RUN_ALL = "run_all"


@dataclass(frozen=True)
class Timing:
    """When a schedule comes due: by `cron_expression` in `time_zone`, or every `interval_seconds` from `start_at` on,
    or once, at `start_at`. All moments that it is given and gives are UTC.
    """

    cron_expression: str | None = None
    time_zone: str = "UTC"
    interval_seconds: int | None = None
    start_at: datetime | None = None

    def after(self, moment: datetime) -> datetime | None:
        """The first run later than `moment`; None when there is none."""
        if self.cron_expression is not None:
            return self._next_by_cron(self.cron_expression, moment)
        return self._by_count(moment, 1)

    def latest(self, moment: datetime, back: int = 0) -> datetime | None:
        """The last run that is no later than `moment`, or that so many runs before it, as far back as there are."""
        if self.cron_expression is None:
            return self._by_count(moment, -back)
        runs = CronSim(self.cron_expression, self._local(moment + timedelta(seconds=1)), reverse=True)
        found: datetime | None = None
        while back >= 0 and (run := next(runs, None)) is not None:
            at = run.astimezone(UTC)
            if at <= moment and at != found:
                found, back = at, back - 1
        return found

    def upcoming(self, moment: datetime, count: int = NEXT_RUNS) -> list[datetime]:
        """The next runs after `moment`, at most `count`."""
        runs: list[datetime] = []
        while len(runs) < count and (run := self.after(moment)) is not None:
            runs.append(moment := run)
        return runs

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(UTC if self.time_zone == "UTC" else ZoneInfo(self.time_zone))

    def _next_by_cron(self, expression: str, moment: datetime) -> datetime | None:
        # in an hour that comes twice local times are looked for from its first time on
        for run in CronSim(expression, self._local(moment)):
            if (at := run.astimezone(UTC)) > moment:
                return at if at < LATEST else None
        return None

    def _by_count(self, moment: datetime, further: int) -> datetime | None:
        """The run before or at the moment, and from there so many further; not before the first one."""
        if self.start_at is None:
            return None
        if self.interval_seconds is None:
            is_there = self.start_at > moment if further > 0 else self.start_at <= moment
            return self.start_at if is_there else None
        passed = (moment - self.start_at) // timedelta(seconds=self.interval_seconds)
        if passed < 0 and further <= 0:
            return None
        run = self.start_at + timedelta(seconds=self.interval_seconds) * max(passed + further, 0)
        return run if run < LATEST else None


def check_timing(timing: Timing) -> Timing:
    """The timing, which can come due. Raises `InvalidInput` with the field at fault."""
    if timing.cron_expression is not None:
        _check_cron(timing.cron_expression)
    if timing.interval_seconds is not None and not 1 <= timing.interval_seconds <= INTERVAL_MAX:
        raise InvalidInput(
            f"intervalSeconds must be from 1 to {INTERVAL_MAX}, it is {timing.interval_seconds}. Nothing was written.",
            "input.intervalSeconds",
        )
    if timing.start_at is not None and not EARLIEST <= timing.start_at < LATEST:
        raise InvalidInput("startAt must be of the years 2000 to 8999. Nothing was written.", "input.startAt")
    if timing.time_zone not in time_zones():
        raise InvalidInput(
            f"timeZone must be an IANA name such as Europe/Berlin, it is {timing.time_zone[:80]!r}. Nothing was "
            "written.",
            "input.timeZone",
        )
    if (timing.cron_expression is None) == (timing.interval_seconds is None and timing.start_at is None):
        raise InvalidInput(
            "Give either cronExpression, or intervalSeconds with or without startAt, or startAt alone for a single "
            "run. Nothing was written.",
            "input.cronExpression",
        )
    return timing


def first_run(timing: Timing, now: datetime) -> datetime:
    """The first run after now. Raises `InvalidInput` when there is none."""
    run = timing.after(now)
    if run is None:
        field = "cronExpression" if timing.cron_expression is not None else "startAt"
        raise InvalidInput(f"{field} names no moment that is still to come. Nothing was written.", f"input.{field}")
    return run


@cache
def time_zones() -> frozenset[str]:
    """The names of the time zones that this process knows."""
    return frozenset(zoneinfo.available_timezones())


def _check_cron(expression: str) -> None:
    required_text("cronExpression", expression, NAME_MAX)
    fault = "it has another number of fields" if len(expression.split()) != 5 else _fault_of(expression)
    if fault:
        raise InvalidInput(
            f"cronExpression is no cron expression of five fields (minute, hour, day of month, month, day of week), "
            f"such as `0 7 * * MON-FRI`: {fault}. Nothing was written.",
            "input.cronExpression",
        )


def _fault_of(expression: str) -> str:
    try:
        CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class Firing:
    """What is to be done for a schedule that is due: start an execution for the moment `run`, if any, and come again at
    `following`, if ever. `missed` is the first of the runs that are passed over.
    """

    run: datetime | None
    following: datetime | None
    missed: datetime | None = None


def fire(timing: Timing, policy: MissedRuns, due: datetime, now: datetime) -> Firing:
    """What to do for a schedule that is due since `due`. One call starts at most one execution."""
    if now - due <= GRACE:
        return Firing(due, timing.after(due))
    back = RUN_ALL_MAX - 1 if policy is MissedRuns.RUN_ALL else 0
    run = max(timing.latest(now, back) or due, due)
    missed = due if run > due else None
    if policy is MissedRuns.SKIP and now - run > GRACE:
        return Firing(None, timing.after(run), due)
    return Firing(run, timing.after(run), missed)
