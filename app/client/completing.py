"""What the shell offers behind TAB where an id or a name is due; nothing when the hub is away or slow."""

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator

import typer

from app.client.connection import HubClient
from app.client.finding import AGENT, DECISION, EXECUTION, GATE, SCHEDULE, TASK, TOKEN
from app.client.operations import workflows
from app.client.options import completion_options
from app.client.paging import PAGE, Node, search

SECONDS = 1.5
"""How long a shell waits at most; people press a key and want to go on."""
MOST_WORDS = 60

Choices = list[tuple[str, str]]
Completion = Callable[[typer.Context, str], Choices]


def _offering(operation: str, key: str) -> Completion:
    """Offer the newest ids that begin as the word does, each with what tells it apart."""

    def offer(ctx: typer.Context, incomplete: str) -> Choices:
        with contextlib.suppress(Exception):
            nodes = asyncio.run(_nodes(ctx, operation))
            return [(node[key], _words(node, key)) for node in nodes if _is_plain(node[key], incomplete)]
        return []

    return offer


async def _nodes(ctx: typer.Context, operation: str) -> list[Node]:
    options = completion_options(ctx)
    if options is None or not options.token:
        return []
    async with asyncio.timeout(SECONDS), HubClient(options.url, options.token) as client:
        return (await search(client, operation, limit=PAGE, most=PAGE)).nodes


def _is_plain(value: str, incomplete: str) -> bool:
    """Whether the word may stand in a shell's script, and goes on as the user began it."""
    return re.fullmatch(r"[\w.-]+", value) is not None and value.startswith(incomplete)


def _words(node: Node, key: str) -> str:
    """The other fields in a few words. Shells evaluate what they are given: only letters, digits and spaces pass."""
    text = " ".join(_texts(node, key))
    return " ".join(re.sub(r"[^\w .,-]", " ", text).split())[:MOST_WORDS]


def _texts(node: Node, key: str) -> Iterator[str]:
    return (str(value) for name, value in node.items() if name != key and value is not None)


agents = _offering(AGENT.all, AGENT.key)
schedules = _offering(SCHEDULE.all, SCHEDULE.key)
decisions = _offering(DECISION.all, DECISION.key)
executions = _offering(EXECUTION.all, EXECUTION.key)
gates = _offering(GATE.all, GATE.key)
tasks = _offering(TASK.all, TASK.key)
templates = _offering(workflows.TEMPLATES, "templateName")
tokens = _offering(TOKEN.all, TOKEN.key)
