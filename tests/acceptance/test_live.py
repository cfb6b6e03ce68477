"""While the demo's team works, clients of other makes see every change in one order, and resume where they were cut."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.processes import HUB, api, ask, data_folder, environment
from tests.contracts.conftest import NodeClient, gql_follow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TASKS = """
subscription ($after: Cursor) {
  taskChanged(after: $after) {
    cursor eventType occurredAt fromStatus toStatus version task { taskId title } }
}
"""
PROGRESS = """
subscription ($after: Cursor) {
  workflowProgress(after: $after) { cursor eventType detail execution { executionId } }
}
"""
LOG_START = "subscription { workflowProgress { cursor } }"

Changes = list[dict[str, Any]]


@dataclass(frozen=True)
class Address:
    """Where a hub's sockets are, and a token for them."""

    ws: str
    secret: str


async def changes_until_final(results: AsyncIterator[dict[str, Any]], final: Any) -> Changes:
    """All changes up to the one for which `final` holds."""
    seen: Changes = []
    async with asyncio.timeout(240):
        async for result in results:
            assert "errors" not in result, result
            (change,) = result.get("data", result).values()
            seen.append(change)
            if final(change):
                return seen
    raise AssertionError("the subscription ended")


def is_end(change: dict[str, Any]) -> bool:
    return bool(change["eventType"] == "completed")


def is_last_task(change: dict[str, Any]) -> bool:
    return bool(change["task"]["title"] == "Write the audit's report" and change["eventType"] == "completed")


async def run_demo(folder: Path, url: str) -> None:
    tree = folder / "tree"
    tree.mkdir()
    (tree / "one.py").write_text("def one() -> int:\n    return 1\n")
    demo = await asyncio.create_subprocess_exec(
        HUB, "demo", "--approve", "--json", "--path", tree, env=environment(folder, HUB_URL=url),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await demo.communicate()
    assert demo.returncode == 0, errors.decode()


async def in_pieces(address: Any, start: str, piece: int) -> Changes:
    """The demo's task changes by a client that is cut off after each few, and resumes by its cursor."""
    seen: Changes = []
    while not seen or not is_last_task(seen[-1]):
        taken = 0

        def enough(change: dict[str, Any]) -> bool:
            nonlocal taken
            taken += 1
            return taken == piece or is_last_task(change)

        async with gql_follow(address, TASKS, {"after": seen[-1]["cursor"] if seen else start}) as results:
            seen += await changes_until_final(results, enough)
    return seen


async def test_the_clients_see_the_same_demo_and_one_that_is_cut_off_misses_nothing(node_client: NodeClient) -> None:
    with data_folder() as folder, api(folder) as hub:
        url = await asyncio.to_thread(hub.wait_until_ready)
        secret = (folder / "admin.token").read_text().strip()
        address: Any = Address(f"{url.replace('http', 'ws')}/graphql", secret)
        # a first, small execution gives a place in the log that all of the demo comes after
        start = await first_cursor(folder, url, address)
        after = {"after": start}
        async with (
            node_client.follow(address, TASKS, after, -1) as node_tasks,
            gql_follow(address, TASKS, after) as python_tasks,
            node_client.follow(address, PROGRESS, after, -1) as node_progress,
            gql_follow(address, PROGRESS, after) as python_progress,
        ):
            node, python, cut, node_path, python_path, _ = await asyncio.gather(
                changes_until_final(node_tasks, is_last_task),
                changes_until_final(python_tasks, is_last_task),
                in_pieces(address, start, 3),
                changes_until_final(node_progress, is_end),
                changes_until_final(python_progress, is_end),
                run_demo(folder, url),
            )
        assert node == python == cut
        assert node_path == python_path
        for changes in (node, node_path):
            cursors = [change["cursor"] for change in changes]
            assert cursors == sorted(set(cursors))
        finished = [change["task"]["title"] for change in node if change["eventType"] == "completed"]
        assert len(finished) == len(set(finished)) == 6
        phases = [change["detail"]["phase"] for change in node_path if change["eventType"] == "step_completed"]
        assert phases == ["decide", "audits", "review", "report", "final-approval"]


async def first_cursor(folder: Path, url: str, address: Any) -> str:
    """A cursor of an event before the demo: that of an execution which is cancelled at once."""
    async with gql_follow(address, LOG_START, {}) as results:
        begin = asyncio.create_task(changes_until_final(results, lambda _: True))
        await asyncio.sleep(0.3)
        started: Any = await asyncio.to_thread(
            ask,
            folder,
            url,
            'mutation { workflowStart(input: {workflowName: "code-audit"}) { workflow { executionId } } }',
        )
        (change,) = await begin
    execution_id = started["workflowStart"]["workflow"]["executionId"]
    await asyncio.to_thread(_cancel, folder, url, execution_id)
    return await _after_cancellation(address, change["cursor"])


def _cancel(folder: Path, url: str, execution_id: str) -> None:
    version = "query ($id: ID!) { workflow(executionId: $id) { version } }"
    cancel = "mutation ($input: WorkflowCancelInput!) { workflowCancel(input: $input) { userErrors { code } } }"
    for _ in range(20):
        read: Any = ask(folder, url, version, id=execution_id)
        given = {"executionId": execution_id, "expectedVersion": read["workflow"]["version"], "reason": "a place"}
        done: Any = ask(folder, url, cancel, input=given)
        if not done["workflowCancel"]["userErrors"]:
            return
    raise AssertionError("the execution could not be cancelled")


async def _after_cancellation(address: Any, cursor: str) -> str:
    async with gql_follow(address, PROGRESS, {"after": cursor}) as results:
        changes = await changes_until_final(results, lambda change: change["eventType"] == "cancelled")
    return str(changes[-1]["cursor"])
