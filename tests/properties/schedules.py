"""The commands of schedules: what they are given, and what must become of them."""

from app.domain.errors import ErrorCode
from app.domain.principals import Principal
from app.domain.schedules import ScheduleStatus
from tests.properties.commands import Command, Dice, Fields
from tests.properties.model import LEADING, Execution, Faults, Schedule, State
from tests.properties.workflows import TEMPLATE

CRON = "0 7 * * *"


def _create(_state: State, dice: Dice) -> Fields:
    return {
        "scheduleName": dice.maybe(" ", "nightly", 16),
        "workflowName": dice.maybe("no-such-thing", TEMPLATE, 16),
        "cronExpression": dice.maybe("sometimes", CRON, 16),
    }


def _created(state: State, _actor: Principal, given: Fields) -> None:
    faults = Faults()
    faults.when(given["cronExpression"] != CRON or not given["scheduleName"].strip(), ErrorCode.INVALID_INPUT)
    faults.when(given["workflowName"] != TEMPLATE, ErrorCode.UNKNOWN_TEMPLATE)
    faults.settle()
    state.add(Schedule, "created")


def _of_schedule(state: State, dice: Dice) -> Fields:
    schedule_id, version = dice.thing(state, Schedule)
    return {"scheduleId": schedule_id, "expectedVersion": version}


def _update(state: State, dice: Dice) -> Fields:
    changes: Fields = dice.one_of(({"timeZone": "Europe/Berlin"}, {"intervalSeconds": 3600}, {"scheduleName": "daily"}))
    return {**_of_schedule(state, dice), **dice.maybe({}, changes, 16)}


def _found(state: State, given: Fields, *sources: ScheduleStatus) -> Schedule:
    faults = Faults()
    schedule = faults.find(state, Schedule, given["scheduleId"])
    faults.check(schedule, given["expectedVersion"])
    is_stale = ErrorCode.STALE_VERSION in faults.codes
    faults.when(schedule.status not in sources and not is_stale, ErrorCode.ILLEGAL_TRANSITION)
    faults.settle()
    return schedule


def _updated(state: State, _actor: Principal, given: Fields) -> None:
    in_use = [status for status in ScheduleStatus if status is not ScheduleStatus.DELETED]
    schedule = _found(state, given, *in_use)
    faults = Faults()
    faults.when(set(given) <= {"scheduleId", "expectedVersion"}, ErrorCode.INVALID_INPUT)
    faults.settle()
    state.amend(schedule, "updated")


def _paused(state: State, _actor: Principal, given: Fields) -> None:
    state.move(_found(state, given, ScheduleStatus.ACTIVE), ScheduleStatus.PAUSED, "paused")


def _resumed(state: State, _actor: Principal, given: Fields) -> None:
    state.move(_found(state, given, ScheduleStatus.PAUSED), ScheduleStatus.ACTIVE, "resumed")


def _deleted(state: State, _actor: Principal, given: Fields) -> None:
    in_use = [status for status in ScheduleStatus if status is not ScheduleStatus.DELETED]
    state.move(_found(state, given, *in_use), ScheduleStatus.DELETED, "deleted")


def _trigger(state: State, dice: Dice) -> Fields:
    return {"scheduleId": dice.id_of(state, Schedule)}


def _triggered(state: State, _actor: Principal, given: Fields) -> None:
    faults = Faults()
    schedule = faults.find(state, Schedule, given["scheduleId"])
    faults.when(schedule.status is ScheduleStatus.DELETED, ErrorCode.ILLEGAL_TRANSITION)
    faults.settle()
    state.add(Execution, "started")


ENTITY = "schedule { scheduleId }"
CREATE = Command("scheduleCreate", LEADING, _create, _created, ENTITY)
UPDATE = Command("scheduleUpdate", LEADING, _update, _updated, ENTITY)
PAUSE = Command("schedulePause", LEADING, _of_schedule, _paused, ENTITY)
RESUME = Command("scheduleResume", LEADING, _of_schedule, _resumed, ENTITY)
DELETE = Command("scheduleDelete", LEADING, _of_schedule, _deleted, ENTITY)
TRIGGER = Command("scheduleTrigger", LEADING, _trigger, _triggered, "workflow { executionId }")

SCHEDULES = (CREATE, UPDATE, PAUSE, RESUME, DELETE, TRIGGER)
