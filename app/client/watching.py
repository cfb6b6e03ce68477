"""Watching one execution: its state, read anew at every change that the hub pushes, and every few seconds behind it."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from app.client.connection import HubClient
from app.client.errors import HubUnreachable, NotFoundHere
from app.client.operations import quality_gates, tasks, workflows
from app.domain.workflows import EXECUTION_MACHINE, ExecutionStatus

POLL_SECONDS = 3.0
SETTLE_SECONDS = 0.1
"""Changes come in bursts: the state is read once for those that lie so close together."""

State = Mapping[str, Any]
"""The execution as `workflows.PROGRESS` gives it."""

RESTING = frozenset(
    {ExecutionStatus.FAILED.name} | {status.name for status in ExecutionStatus if EXECUTION_MACHINE.is_final(status)}
)
"""The statuses in which an execution goes on by itself no more."""


async def watch(
    client: HubClient,
    execution_id: str,
    show: Callable[[State], None],
    hear: Callable[[Mapping[str, Any]], None] = lambda change: None,
) -> State:
    """Follow an execution until it rests, and return its last state.

    `show` gets each state that was read, `hear` each change as the hub pushes it. Raises `NotFoundHere`.
    """
    watcher = _Watcher(client, execution_id, hear)
    return await watcher.until_rest(show)


class _Watcher:
    def __init__(self, client: HubClient, execution_id: str, hear: Callable[[Mapping[str, Any]], None]) -> None:
        self._client = client
        self._variables = {"executionId": execution_id}
        self._hear = hear
        self._changed = asyncio.Event()

    async def until_rest(self, show: Callable[[State], None]) -> State:
        followed = (workflows.CHANGES, tasks.CHANGES_OF_EXECUTION, quality_gates.CHANGES_OF_EXECUTION)
        async with asyncio.TaskGroup() as group:
            streams = [group.create_task(self._follow(operation)) for operation in followed]
            try:
                state = await self._read()
                show(state)
                while state["executionStatus"] not in RESTING:
                    await self._next_change()
                    with suppress(HubUnreachable):
                        state = await self._read()
                        show(state)
                return state
            finally:
                for stream in streams:
                    stream.cancel()

    async def _follow(self, operation: str) -> None:
        await self._client.follow(operation, self._variables, self._receive, connected=self._changed.set)

    def _receive(self, change: Mapping[str, Any]) -> None:
        self._hear(change)
        self._changed.set()

    async def _next_change(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._changed.wait()
        await asyncio.sleep(SETTLE_SECONDS)
        self._changed.clear()

    async def _read(self) -> State:
        state: State | None = (await self._client.execute(workflows.PROGRESS, self._variables))["workflow"]
        if state is None:
            raise NotFoundHere(f"There is no workflow execution {self._variables['executionId']}.")
        return state
