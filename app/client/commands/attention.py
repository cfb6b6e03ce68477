"""`hub attention`: what waits for a person or the PM."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any

import typer

from app.client.arguments import After, Limit
from app.client.command import Answer, Work, shows, wants_json
from app.client.connection import HubClient
from app.client.errors import HubUnreachable
from app.client.listing import listing
from app.client.operations import attention as operations
from app.client.output import out
from app.client.paging import Node, search

POLL_SECONDS = 30.0
"""Ages grow, and agents fall silent, without an event."""
COLUMNS = ("score", "kind", "waits for", "title", "reason", "age", "holds up", "what")
EMPTY = "Nothing waits for you."


@shows
def attention(
    ctx: typer.Context,
    watching: Annotated[bool, typer.Option("--watch", help="Stay, and show it anew when it changes.")] = False,
    limit: Limit = 20,
    after: After = None,
) -> Work:
    """Show what waits for a person or the PM, the most urgent first."""
    quiet = wants_json(ctx)

    async def answer(client: HubClient) -> Answer:
        found = await search(client, operations.QUEUE, limit=limit, after=after)
        return listing(found, COLUMNS, _cells, empty=EMPTY)

    async def work(client: HubClient) -> Answer:
        return await (_stay(client, answer) if watching and not quiet else answer(client))

    return work


def _cells(item: Node) -> Sequence[Any]:
    held = f"{item['blockedAgents']} agents, ${float(item['blockedSpend']):.2f}"
    age = timedelta(seconds=item["ageSeconds"])
    what = item["gateId"] or item["taskId"] or item["executionId"] or item["agentId"]
    kind = item["kind"].replace("_", " ").lower()
    return item["score"], kind, item["waitsFor"], item["title"], item["reason"], str(age), held, what


async def _stay(client: HubClient, answer: Work) -> Answer:
    """Show the queue each time that the hub tells of a change, and now and then; until interrupted."""
    changed = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(client.follow(operations.CHANGES, {}, lambda _change: changed.set(), connected=changed.set))
        while True:
            changed.clear()
            with suppress(HubUnreachable):
                shown = await answer(client)
                out().clear()
                shown.show()
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), POLL_SECONDS)
