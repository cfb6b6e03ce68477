"""`python -m tests.engine.histories.record`: plays the shipped templates and keeps interrupted executions.

Run it when a template was changed on purpose, and keep the old files under another name as long as executions of the
old version may run somewhere. There are four kinds of interruption, each at every phase:

`waiting` parked in the phase; `answered` the same, with all answers given while no worker was there; `begun` the worker
was killed right after the commit that began the phase; `ended` after the commit that ended it.
"""

import asyncio
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from rich.console import Console

from app.domain.errors import Blocked
from app.engine.catalogue import sync_templates
from app.engine.runner import Worker
from app.live.hints import HintSender
from app.services.tasks import ClaimTask, claim_task
from db.embedded import EmbeddedServer
from db.migrate import head_revision
from db.session import Database
from tests.engine.chaos.stage import TEMPLATE, forking, server
from tests.engine.histories.story import SHARED, STORIES, Story, approve, dump
from tests.engine.processes import Workers, state_of
from tests.engine.team import Team, execution_of, principal, start, steps_of, tasks_of, until

History = dict[str, Any]

_numbers = count(1)


def main() -> None:
    """Record all stories."""
    console = Console(highlight=False)
    with server() as postgres, forking() as parent:
        for story in STORIES:
            histories = asyncio.run(record(story, postgres, parent))
            shared = {table: histories[0]["rows"][table] for table in SHARED}
            for history in histories:
                history["rows"] = {name: rows for name, rows in history["rows"].items() if name not in SHARED and rows}
            head = {"template": story.template, "revision": head_revision(), "shared": shared}
            story.file.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in (head, *histories)))
            console.print(f"{story.file.name}: {len(histories)} histories, {story.file.stat().st_size // 1024} kB")


async def record(story: Story, postgres: EmbeddedServer, parent: "subprocess.Popen[str]") -> list[History]:
    """The histories of one story, each from a database of its own."""
    found = []
    for phase in story.phases:
        for answered in (False, True):
            async with stage(postgres) as database:
                found.append(await parked(story, database, phase, answered=answered))
    cut: dict[tuple[str, str], History] = {}
    for visit in count(1):
        async with stage(postgres) as database:
            history = await killed(story, database, parent, visit)
            if history is None:
                break
            cut.setdefault((history["phase"], history["moment"]), history)
    return found + [history for (phase, _), history in cut.items() if phase]


@asynccontextmanager
async def stage(postgres: EmbeddedServer) -> AsyncIterator[Database]:
    """An empty database with the shipped templates."""
    name = f"history_{next(_numbers)}"
    postgres.create_database(name, TEMPLATE)
    database = Database(postgres.url(name), pool_size=5, read_pool_size=1)
    await database.open()
    try:
        await database.transact(sync_templates)
        yield database
    finally:
        await database.close()
        postgres.drop_database(name)


async def parked(story: Story, database: Database, phase: str, *, answered: bool) -> History:
    """An execution that waits in the phase; with `answered` everything was answered after the worker had gone."""
    team = story.team(database)
    await team.register()
    execution_id = await start(database, story.template)
    worker = Worker(database, HintSender(database), name="recorder")
    await worker.start()
    await until(lambda: has_parked(team, execution_id, phase))
    await worker.stop()
    if answered:
        await team.work()
        await approve(database, execution_id)
    return {"phase": phase, "moment": "answered" if answered else "waiting", "rows": await dump(database)}


async def has_parked(team: Team, execution_id: UUID, phase: str) -> bool:
    row = await execution_of(team.database, execution_id)
    if row.current_phase == phase:
        return bool(row.wake_seq == row.handled_seq and row.lease_owner is None)
    for task in await tasks_of(team.database, execution_id):
        if task.status == "pending" and task.phase != phase:
            await answer(team, task.task_id)
    return False


async def answer(team: Team, task_id: UUID) -> None:
    """Let the first member that fits do this task and no other."""
    for member in team.members:
        command = ClaimTask(member.agent_id, task_id)
        try:
            task = await team.database.transact(lambda session: claim_task(session, principal(member), command))  # noqa: B023
        except Blocked:
            continue
        assert task is not None
        await team.do(member, task)
        return


async def killed(story: Story, database: Database, parent: "subprocess.Popen[str]", visit: int) -> History | None:
    """An execution whose worker was killed after its n-th visit to the database; None when it came to the end first."""
    team = story.team(database)
    await team.register()
    execution_id = await start(database, story.template)
    with tempfile.TemporaryDirectory() as folder:
        workers = Workers(parent, database.url, Path(folder) / "log")
        pid = workers.start("mortal", signal.SIGKILL, visit, "after", poll=0.05)

        async def over() -> bool:
            await team.work()
            await approve(database, execution_id)
            ended = (await execution_of(database, execution_id)).execution_status == "completed"
            return ended or state_of(pid) is None

        await until(over)
        lives = state_of(pid) is not None
        workers.kill_all()
    if lives:
        return None
    steps = await steps_of(database, execution_id)
    phase, status = (steps[-1].phase, steps[-1].step_status) if steps else ("", "")
    return {"phase": phase, "moment": "begun" if status == "running" else "ended", "rows": await dump(database)}


if __name__ == "__main__":
    main()
