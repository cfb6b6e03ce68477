"""Reading connections: one page for a listing, with the place to go on from, and all nodes one after the other."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.client.connection import HubClient
from app.client.errors import NotFoundHere

PAGE = 100
SEARCHED = 1_000
"""How many of the newest a listing, or the prefix of an id, is sought among."""

Node = Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """What a search brought: the nodes that fit, the place behind the last one looked at, and whether there are more.

    `given_up` says that it ended because it had looked at as many as it may, not because it had found enough.
    """

    nodes: list[Node]
    end_cursor: str | None
    has_more: bool
    searched: int
    given_up: bool

    @property
    def data(self) -> dict[str, Any]:
        """A connection as GraphQL has it."""
        return {"nodes": self.nodes, "pageInfo": {"hasNextPage": self.has_more, "endCursor": self.end_cursor}}


async def search(
    client: HubClient,
    operation: str,
    variables: Mapping[str, Any] | None = None,
    *,
    limit: int,
    after: str | None = None,
    fits: Callable[[Node], bool] = lambda node: True,
    most: int = SEARCHED,
) -> Found:
    """The first `limit` nodes of the operation's connection that fit, among at most `most` of them behind `after`.

    The operation takes `first` and `after`, and selects `edges { cursor node }` and `pageInfo`; its connection is its
    root field, or the one field below that. Raises `NotFoundHere` when that root field is null.
    """
    nodes: list[Node] = []
    searched, cursor = 0, after
    while True:
        first = min(PAGE, most - searched)
        connection = _connection(
            await client.execute(operation, {**(variables or {}), "first": first, "after": cursor})
        )
        more = connection["pageInfo"]["hasNextPage"]
        for place, edge in enumerate(connection["edges"], 1):
            searched, cursor = searched + 1, edge["cursor"]
            if fits(edge["node"]):
                nodes.append(edge["node"])
            if len(nodes) == limit:
                return Found(nodes, cursor, more or place < len(connection["edges"]), searched, given_up=False)
        if not more or searched >= most:
            return Found(nodes, cursor, more, searched, given_up=more)


async def walk(client: HubClient, operation: str, most: int) -> AsyncIterator[Node]:
    """At most `most` nodes of the operation's connection, in its order."""
    for node in (await search(client, operation, limit=most, most=most)).nodes:
        yield node


def _connection(data: Mapping[str, Any]) -> Mapping[str, Any]:
    found = next(iter(data.values()))
    while found is not None and "edges" not in found:
        found = next((value for value in found.values() if isinstance(value, Mapping)), None)
    if found is None:
        raise NotFoundHere("What the search begins at does not exist on this hub.")
    connection: Mapping[str, Any] = found
    return connection
