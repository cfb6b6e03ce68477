"""Walking a connection page by page."""

from collections.abc import AsyncIterator
from typing import Any

from app.client.connection import HubClient

PAGE = 100


async def walk(client: HubClient, operation: str, most: int) -> AsyncIterator[dict[str, Any]]:
    """At most `most` nodes of the operation's one connection, in its order; the operation takes `first` and `after`."""
    after: str | None = None
    while most > 0:
        data = await client.execute(operation, {"first": min(PAGE, most), "after": after})
        connection = next(iter(data.values()))
        for node in connection["nodes"]:
            yield node
        most -= len(connection["nodes"])
        if not connection["pageInfo"]["hasNextPage"]:
            return
        after = connection["pageInfo"]["endCursor"]
