"""Workflows that start workflows: input, output, joins, and that both ends wake, fail and cancel each other."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from app.services.workflows import (
    CancelWorkflow,
    FailWorkflow,
    PauseWorkflow,
    ResumeWorkflow,
    cancel_workflow,
    fail_workflow,
    pause_workflow,
    resume_workflow,
)
from db.session import Database
from db.tables.workflows import workflow_executions
from tests.engine.conftest import StartWorker
from tests.engine.team import (
    ADMIN,
    BUILDERS,
    Fail,
    Team,
    errors_of,
    events_of,
    execution_of,
    path_of,
    play,
    rows_of,
    start,
    store_template,
    task_phase,
    tasks_of,
    until,
)
from tests.engine.test_flow import Phase, ended, function_phase, names_of, wait

NEEDS_PART = {"type": "object", "required": ["part"], "properties": {"part": {"type": "string"}}}


def sub(name: str, workflow: str, **given: Any) -> Phase:
    return {"name": name, "kind": "workflow", "workflow": workflow, **given}


async def children_of(database: Database, execution_id: UUID) -> list[Any]:
    table = workflow_executions
    return await rows_of(
        database, select(table).where(table.c.parent_execution_id == execution_id).order_by(table.c.child_index)
    )


async def statuses(database: Database, execution_id: UUID) -> list[str]:
    return [child.execution_status for child in await children_of(database, execution_id)]


async def part_template(database: Database) -> None:
    """A workflow of one task, which gives what the task answered."""
    await store_template(
        database, "part", task_phase("make"), input_schema=NEEDS_PART, output={"made": "results.make.made"}
    )


def making(task: Any) -> Any:
    """Fails for parts that are called bad."""
    part = task.input["context"]["part"]
    return Fail("it is bad") if part == "bad" else {"made": f"{part}!"}


async def team_of(database: Database) -> Team:
    team = Team(database, BUILDERS, {"make": making})
    await team.register()
    return team


async def test_a_workflow_gives_its_output_to_the_one_that_started_it(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    await part_template(database)
    phase = sub("make-it", "part", input={"colour": "red"}, input_from={"part": "context.name"})
    await store_template(
        database, "whole", phase, task_phase("after", uses=["make-it"]), output={"it": 'results["make-it"].made'}
    )
    team = await team_of(database)
    await start_worker()
    execution_id = await start(database, "whole", {"name": "wheel"})
    row = await play(team, execution_id)
    assert (row.execution_status, row.output) == ("completed", {"it": "wheel!"})
    (child,) = await children_of(database, execution_id)
    assert child.input_context == {"colour": "red", "part": "wheel"}
    assert (child.output, child.depth, child.parent_step, child.root_execution_id) == (
        {"made": "wheel!"},
        1,
        1,
        execution_id,
    )
    assert team.seen[-1].input["results"] == {"make-it": {"made": "wheel!"}}
    assert await events_of(database, child.execution_id) == [
        *("started", "running", "step_started", "step_completed", "completed")
    ]


@pytest.mark.parametrize(
    ("join", "parts", "status", "children", "output"),
    [
        ("all", ["a", "b"], "completed", ["completed", "completed"], [{"made": "a!"}, {"made": "b!"}]),
        ("all", [], "completed", [], []),
        ({"quorum": 2}, ["a", "bad", "c"], "completed", None, [{"made": "a!"}, None, {"made": "c!"}]),
        ({"quorum": 2}, ["a"], "failed", [], None),
        ("any", ["bad", "bad"], "failed", ["failed", "failed"], None),
    ],
)
async def test_one_workflow_is_started_for_each_item(
    engine_database: Database,
    start_worker: StartWorker,
    join: Any,
    parts: list[str],
    status: str,
    children: list[str] | None,
    output: Any,
) -> None:
    database = engine_database
    await part_template(database)
    phase = sub("parts", "part", foreach="context.parts", input_from={"part": "item", "number": "index"}, join=join)
    await store_template(database, "whole", phase, output={"parts": "results.parts"})
    team = await team_of(database)
    await start_worker()
    execution_id = await start(database, "whole", {"parts": parts})
    row = await play(team, execution_id)
    assert row.execution_status == status
    assert row.output == (None if output is None else {"parts": output})
    if children is not None:
        assert await statuses(database, execution_id) == children
    assert [child.input_context for child in await children_of(database, execution_id)] == [
        {"part": part, "number": number} for number, part in enumerate(parts) if children != []
    ]


async def test_the_others_are_cancelled_when_enough_have_completed(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    await store_template(database, "race", wait("hold", seconds=1.5) | {"next": "end"}, task_phase("never"))
    await store_template(database, "fast", function_phase("one"))
    await store_template(
        database,
        "part",
        {"name": "way", "kind": "branch", "cases": [{"when": "context.slow", "next": "slow"}]},
        function_phase("quick") | {"next": "end"},
        sub("slow", "race"),
    )
    await store_template(
        database, "whole", sub("parts", "part", foreach="[true, false, true]", input_from={"slow": "item"}, join="any")
    )
    await start_worker(functions={"note": lambda _call: {}})
    execution_id = await start(database, "whole")
    assert await ended(database, execution_id) == "completed"
    assert await statuses(database, execution_id) == ["cancelled", "completed", "cancelled"]
    for child in await children_of(database, execution_id):
        assert set(await statuses(database, child.execution_id)) <= {"cancelled"}


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        (sub("one", "absent"), "The workflow 'absent' cannot be started: There is no workflow template 'absent'"),
        (sub("one", "part"), "The workflow 'part' cannot be started: inputContext does not fit the input schema"),
        (sub("one", "part", input={"part": "bad"}), "The workflow 'part' (execution"),
        (sub("one", "part", foreach="context.path"), "The workflow 'part' cannot be started: foreach, 'context.path'"),
        (sub("one", "whole"), "The workflow 'whole' (execution"),
    ],
)
async def test_a_workflow_that_fails_fails_its_phase(
    engine_database: Database, start_worker: StartWorker, phase: Phase, said: str
) -> None:
    database = engine_database
    await part_template(database)
    await store_template(database, "whole", phase)
    team = await team_of(database)
    await start_worker()
    execution_id = await start(database, "whole")
    assert (await play(team, execution_id)).execution_status == "failed"
    (error,) = await errors_of(database, execution_id)
    assert error.message.startswith(said)
    depths = [row.depth for row in await rows_of(database, select(workflow_executions.c.depth))]
    if phase["workflow"] == "whole":
        assert sorted(depths) == list(range(9))
        assert "Workflows start workflows at most 8 deep" in error.message


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_the_end_of_a_workflow_cancels_what_it_started(
    engine_database: Database, start_worker: StartWorker, how: str
) -> None:
    database = engine_database
    await store_template(database, "inner", task_phase("work"))
    await store_template(database, "middle", sub("inner", "inner"))
    await store_template(database, "outer", sub("middle", "middle"))
    await start_worker()
    execution_id = await start(database, "outer")

    async def innermost() -> Any:
        for child in await children_of(database, execution_id):
            for grandchild in await children_of(database, child.execution_id):
                if await tasks_of(database, grandchild.execution_id):
                    return child, grandchild
        return None

    child, grandchild = await until(innermost)
    version = (await execution_of(database, execution_id)).version
    if how == "cancelled":
        command = CancelWorkflow(execution_id, version, "not needed")
        await database.transact(lambda session: cancel_workflow(session, ADMIN, command))
    else:
        fail = FailWorkflow(execution_id, version, "not needed")
        await database.transact(lambda session: fail_workflow(session, ADMIN, fail))
    found = [await execution_of(database, row.execution_id) for row in (child, grandchild)]
    assert [row.execution_status for row in found] == ["cancelled", "cancelled"]
    assert [task.status for task in await tasks_of(database, grandchild.execution_id)] == ["cancelled"]
    assert (await execution_of(database, execution_id)).execution_status == how


async def test_what_takes_too_long_is_cancelled_and_another_phase_goes_on(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    await store_template(database, "slow", wait("hold", seconds=60))
    phases = [sub("ask", "slow") | {"timeout_seconds": 0.3, "on_failure": "else"}, function_phase("else")]
    await store_template(database, "outer", *phases, output={"why": "failure.reason"})
    await start_worker(functions={"note": lambda _call: {}})
    execution_id = await start(database, "outer")
    assert await ended(database, execution_id) == "completed"
    assert await statuses(database, execution_id) == ["cancelled"]
    assert (await execution_of(database, execution_id)).output == {"why": "The phase 'ask' took over 0.3 s."}


async def test_a_pause_keeps_timers_and_they_count_when_it_ends(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    await store_template(database, "naps", wait("nap", seconds=0.3), function_phase("after"))
    await start_worker(functions={"note": lambda _call: {}})
    execution_id = await start(database, "naps")

    async def napping() -> Any:
        row = await execution_of(database, execution_id)
        return row if row.wake_at is not None and row.lease_owner is None else None

    version = (await until(napping)).version
    pause = PauseWorkflow(execution_id, version)
    row = await database.transact(lambda session: pause_workflow(session, ADMIN, pause))
    await asyncio.sleep(0.5)
    assert await names_of(database, execution_id) == ["nap"]
    resume = ResumeWorkflow(execution_id, row.version)
    await database.transact(lambda session: resume_workflow(session, ADMIN, resume))
    assert await ended(database, execution_id) == "completed"


async def test_an_output_that_does_not_fit_fails_the_execution(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    schema = {"type": "object", "properties": {"number": {"type": "string"}}}
    phases = [function_phase("one")]
    await store_template(database, "typed", *phases, output={"number": "results.one.n"}, output_schema=schema)
    await store_template(database, "wrong", *phases, output={"number": "results.one.absent"})
    await start_worker(functions={"note": lambda _call: {"n": 1}})
    for name, said in (
        ("typed", 'output.number does not fit the output schema of the workflow: 1 is not of type "string"'),
        ("wrong", "The output 'number' cannot be computed: The expression 'results.one.absent' cannot be evaluated: "
                  'Key not found in map : "absent"'),
    ):  # fmt: skip
        execution_id = await start(database, name)
        assert await ended(database, execution_id) == "failed"
        assert [error.message for error in await errors_of(database, execution_id)] == [said]
        assert await path_of(database, execution_id) == [(1, "one", 1, "completed")]


async def test_a_running_execution_keeps_the_version_that_it_began_with(
    engine_database: Database, start_worker: StartWorker
) -> None:
    database = engine_database
    await store_template(database, "changing", wait("hold", signal="go"), function_phase("old"))
    first = await start(database, "changing")
    await store_template(database, "changing", function_phase("new"), version=2)
    second = await start(database, "changing")
    await start_worker(functions={"note": lambda _call: {}})
    assert await ended(database, second) == "completed"
    assert await names_of(database, second) == ["new"]
    await until(lambda: names_of(database, first))
    assert (await execution_of(database, first)).template_version == 1
