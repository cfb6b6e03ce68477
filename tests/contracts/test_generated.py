"""Generated clients work: made from the committed SDL, checked in their own type system, run against a live hub."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from tests.contracts.generating import GeneratedClient, python, typescript
from tests.contracts.test_clients import start_cursor
from tests.live.serving import ServedHub

pytestmark = [pytest.mark.rare, pytest.mark.slow]

A_DAY = {
    "rehearsed": [True, "created"],
    "input": {"deep": [1, None, {"word": "grün"}]},
    "refused": [["STALE_VERSION", 2]],
    "tokens": 2**53 - 1,
    "cost": "0.123456",
    "measured": ["12.5", "0.1"],
    "sameMoment": True,
    "events": ["created PENDING", "claimed ASSIGNED", "started RUNNING", "completed COMPLETED"],
    "resumed": ["started RUNNING", "completed COMPLETED"],
    "status": "COMPLETED",
    "node": "Build it",
}
"""What a worker's day is, in whatever language."""


@pytest.fixture(params=["typescript", "python"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> GeneratedClient:
    return typescript(tmp_path) if request.param == "typescript" else python(tmp_path, sys.executable)


async def test_a_generated_client_is_typed_and_works(client: GeneratedClient, hub: ServedHub) -> None:
    await asyncio.to_thread(client.run, client.generate)
    await asyncio.to_thread(client.run, client.check_types)
    cursor = await start_cursor(hub)
    seen = await asyncio.to_thread(client.run, client.exercise, hub.http, hub.secret, "generated-agent", cursor)
    assert json.loads(seen) == A_DAY


MISTAKES = {
    "exercise.ts": [
        ('agentRole: "DEVELOPER"', 'agentRole: "DIRECTOR"'),
        ("expectedVersion: version", 'expectedVersion: "1"'),
        ("status: atHand.status", "status: atHand.nothing"),
        ("known(all.cursors[1])", '"1-2"'),
    ],
    "exercise.py": [
        ("agent_role=AgentRole.DEVELOPER", "agent_role=AgentRole.DIRECTOR"),
        ("TaskStartInput(task_id=task_id, expected_version=1)", "TaskStartInput(task_id=task_id)"),
        ("at_hand.status.value", "at_hand.nothing"),
        ("cursors[1]", '"1-2"'),
    ],
}


async def test_the_types_of_a_generated_client_find_each_mistake(client: GeneratedClient) -> None:
    await asyncio.to_thread(client.run, client.generate)
    ((name, mistakes),) = [(name, found) for name, found in MISTAKES.items() if (client.folder / name).exists()]
    path = client.folder / name
    text = path.read_text()
    for right, wrong in mistakes:
        assert text.count(right) == 1
        text = text.replace(right, wrong)
    path.write_text(text)
    with pytest.raises(AssertionError) as refused:
        await asyncio.to_thread(client.run, client.check_types)
    told = {int(line) for line in re.findall(rf"{re.escape(name)}[:(](\d+)", str(refused.value))}
    lines = text.splitlines()
    places = {next(number for number, line in enumerate(lines, 1) if wrong in line) for _, wrong in mistakes}
    assert places <= told
