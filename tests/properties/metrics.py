"""The one command of metrics, which have no status: what an agent's machine did, for decisions to rest on."""

from datetime import UTC, datetime, timedelta

from app.domain.errors import ErrorCode
from app.domain.events import Aggregate
from app.domain.principals import Principal
from tests.properties.commands import Command, Dice, Fields
from tests.properties.model import ACTING, Agent, Faults, State


def _record(state: State, dice: Dice) -> Fields:
    return {"measurements": dice.maybe([], [_measurement(state, dice) for _ in range(1 + dice.below(2))], 16)}


def _measurement(state: State, dice: Dice) -> Fields:
    moment = datetime.now(UTC) + timedelta(days=dice.maybe(1, 0, 16))
    return {
        "measurementTime": moment.isoformat(),
        "agentId": dice.one_of((dice.id_of(state, Agent), None)),
        "cpuUsage": dice.maybe("100.5", "12.5", 16),
    }


def _recorded(state: State, actor: Principal, given: Fields) -> None:
    faults = Faults()
    faults.when(not given["measurements"], ErrorCode.INVALID_INPUT)
    for item in given["measurements"]:
        ahead = datetime.fromisoformat(item["measurementTime"]) - datetime.now(UTC)
        faults.when(ahead > timedelta(hours=1) or item["cpuUsage"] == "100.5", ErrorCode.INVALID_INPUT)
        faults.when(actor.agent_id not in (None, item["agentId"]), ErrorCode.FORBIDDEN)
        faults.when(item["agentId"] is not None and item["agentId"] not in state.things, ErrorCode.NOT_FOUND)
    faults.settle()
    for _ in given["measurements"]:
        state.tell(Aggregate.METRICS, None, "recorded")


RECORD = Command("resourceMetricsRecord", ACTING, _record, _recorded, "recorded")
