"""Valid calls of the agents' mutations."""

from app.domain.errors import ErrorCode
from tests.api.wrong.cases import EVERYBODY_WHO_ACTS, Call, Special, case
from tests.api.wrong.world import JANE, World, at
from tests.services.makers import an_agent

FIGURES = {"cpu_percent": 12.5}


async def fresh_agent(world: World) -> str:
    """An agent of this case alone, with room for many tasks."""
    row = await an_agent(world.database, world.name("tester"), concurrency=8, capabilities=["python"])
    return str(row.agent_id)


@case(
    "agentRegister",
    EVERYBODY_WHO_ACTS,
    other_agent=ErrorCode.FORBIDDEN,
    repeatable="to register again is to begin a new session",
)
async def register(world: World) -> Call:
    agent_id = world.name("newcomer")
    return Call(
        {
            "agentId": agent_id,
            "agentRole": "DEVELOPER",
            "agentName": "A newcomer",
            "capabilities": ["python"],
            "concurrency": 2,
            "extensionConfig": {"colour": "blue"},
            "keepTaskIds": [world.known["task"]],
        },
        agent_id=agent_id,
    )


@case(
    "agentReport",
    EVERYBODY_WHO_ACTS,
    other_agent=ErrorCode.FORBIDDEN,
    repeatable="reports merge, the newest observation winning",
)
async def report(world: World) -> Call:
    agent_id = await fresh_agent(world)
    return Call(
        {
            "agentId": agent_id,
            "observedAt": at(seconds=-1),
            "resourceUtilization": FIGURES,
            "performanceMetrics": {"tasks_completed": 3},
        },
        agent_id=agent_id,
    )


@case("agentSetStatus", EVERYBODY_WHO_ACTS, other_agent=ErrorCode.FORBIDDEN, again=ErrorCode.STALE_VERSION)
async def set_status(world: World) -> Call:
    agent_id = await fresh_agent(world)
    return Call(
        {"agentId": agent_id, "status": "ERROR", "expectedVersion": 1, "reason": "it broke"},
        [
            Special(
                "idle is not set but follows",
                {"status": "IDLE"},
                [ErrorCode.INVALID_INPUT, ErrorCode.ILLEGAL_TRANSITION],
            )
        ],
        agent_id,
    )


@case("agentsSetStatus", EVERYBODY_WHO_ACTS, other_agent=ErrorCode.FORBIDDEN, again=ErrorCode.ILLEGAL_TRANSITION)
async def set_statuses(world: World) -> Call:
    agent_id = await fresh_agent(world)
    return Call(
        {"agentIds": [agent_id], "status": "OFFLINE", "reason": "the day is over"},
        [
            Special("one unknown", {"agentIds": [agent_id, "nobody-dev"]}, [ErrorCode.NOT_FOUND], "agentIds.1"),
            Special("named twice", {"agentIds": [agent_id, agent_id]}, [ErrorCode.INVALID_INPUT], "agentIds.1"),
        ],
        agent_id,
    )


@case("agentUpdate", EVERYBODY_WHO_ACTS, other_agent=ErrorCode.FORBIDDEN, again=ErrorCode.STALE_VERSION)
async def update(world: World) -> Call:
    agent_id = await fresh_agent(world)
    valid = {
        "agentId": agent_id,
        "expectedVersion": 1,
        "agentName": "Another name",
        "agentRole": "DEVELOPER",
        "capabilities": ["go"],
        "concurrency": 3,
        "extensionConfig": {"colour": "red"},
    }
    nothing = dict.fromkeys(("agentName", "agentRole", "capabilities", "concurrency", "extensionConfig"))
    return Call(valid, [Special("nothing to change", nothing, [ErrorCode.INVALID_INPUT])], agent_id)


@case(
    "agentMessageSend",
    EVERYBODY_WHO_ACTS,
    other_agent=ErrorCode.FORBIDDEN,
    repeatable="the same words may be said twice",
)
async def send_message(world: World) -> Call:
    agent_id = await fresh_agent(world)
    return Call({"fromAgentId": agent_id, "toAgentId": JANE, "body": "It is done."}, agent_id=agent_id)
