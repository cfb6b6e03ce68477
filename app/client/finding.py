"""Finding what the user named: by its id, or by as much of the id's beginning as is unique."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.client.connection import HubClient
from app.client.errors import NotFoundHere
from app.client.operations import access, agents, decisions, quality_gates, schedules, tasks, workflows
from app.client.paging import SEARCHED, Node, search

SHOWN = 5
"""How many are named where an id is ambiguous."""


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Kind:
    """A kind of thing that has ids: how one is called, read, and listed.

    `one` reads a thing by `variable`, `all` lists `edges { node { key } }`, newest first; `listing` is the command
    that shows them. Ids are UUIDs unless `is_whole` says otherwise.
    """

    noun: str
    key: str
    one: str
    all: str
    listing: str
    hint: str = "Give its UUID, or as much of its beginning as is unique"
    is_whole: Callable[[str], bool] = _is_uuid


AGENT = Kind(
    "agent",
    "agentId",
    agents.AGENT,
    agents.IDS,
    "hub agents",
    hint="Give its id, such as john-pm, or as much of its beginning as is unique",
    # an agent's id may be the beginning of another's
    is_whole=lambda text: False,
)
DECISION = Kind("decision", "decisionId", decisions.DECISION, decisions.IDS, "hub decision list")
EXECUTION = Kind("workflow execution", "executionId", workflows.EXECUTION, workflows.IDS, "hub workflow list")
GATE = Kind("gate", "gateId", quality_gates.GATE, quality_gates.IDS, "hub gate list --all")
TASK = Kind("task", "taskId", tasks.TASK, tasks.IDS, "hub tasks")
SCHEDULE = Kind("schedule", "scheduleId", schedules.SCHEDULE, schedules.IDS, "hub schedule list")
TOKEN = Kind("token", "tokenId", "", access.TOKENS, "hub token list")

TOO_LONG = 100
"""No id has so many characters."""


async def find_id(client: HubClient, kind: Kind, wanted: str) -> str:
    """The whole id. A whole one is taken as it is, without asking; raises `NotFoundHere` unless one thing fits."""
    wanted = wanted.strip().lower()
    if kind.is_whole(wanted):
        return wanted
    fitting, given_up = await _fitting(client, kind, wanted)
    match fitting:
        case [only]:
            return only
        case []:
            among = f" among the newest {SEARCHED:,}" if given_up else ""
            raise NotFoundHere(f"There is no {kind.noun} {wanted!r}{among}. {kind.hint}; `{kind.listing}` shows them.")
    some = ", ".join(fitting[:SHOWN]) + (", …" if len(fitting) > SHOWN else "")
    raise NotFoundHere(f"{len(fitting)} {kind.noun}s begin with {wanted!r}: {some}. Give more of the id.")


async def find(client: HubClient, kind: Kind, wanted: str, operation: str | None = None) -> Node:
    """The thing itself as `operation`, or else `kind.one`, reads it. Raises `NotFoundHere`."""
    found_id = await find_id(client, kind, wanted)
    data: dict[str, Any] = await client.execute(operation or kind.one, {kind.key: found_id})
    found: Node | None = next(iter(data.values()))
    if found is None:
        raise NotFoundHere(f"There is no {kind.noun} {found_id!r}. `{kind.listing}` shows them.")
    return found


async def _fitting(client: HubClient, kind: Kind, wanted: str) -> tuple[list[str], bool]:
    if not wanted or len(wanted) > TOO_LONG:
        return [], False
    found = await search(client, kind.all, limit=SEARCHED, fits=lambda node: str(node[kind.key]).startswith(wanted))
    ids = [str(node[kind.key]) for node in found.nodes]
    return ([wanted] if wanted in ids else ids), found.given_up
