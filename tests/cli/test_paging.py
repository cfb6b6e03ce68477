"""Searching through a connection: the place to go on from is behind the last one looked at, and giving up is told."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.client.connection import HubClient
from app.client.errors import NotFoundHere
from app.client.listing import listing
from app.client.paging import search


class Numbers(HubClient):
    """A hub that has the numbers from 0 up, in pages, at the cursors "0", "1", …"""

    def __init__(self, total: int, *, below: str | None = None) -> None:
        super().__init__("http://127.0.0.1:9", "t")
        self.asked: list[int] = []
        self._total = total
        self._below = below

    async def execute(
        self, operation: str, variables: Mapping[str, Any] | None = None, *, seconds: float = 1
    ) -> dict[str, Any]:
        given = variables or {}
        start = 0 if given["after"] is None else int(given["after"]) + 1
        end = min(start + given["first"], self._total)
        self.asked.append(given["first"])
        edges = [{"cursor": str(number), "node": {"n": number}} for number in range(start, end)]
        connection = {"edges": edges, "pageInfo": {"hasNextPage": end < self._total}}
        return {"numbers": connection} if self._below is None else {self._below: {"id": 1, "numbers": connection}}


def is_even(node: Mapping[str, Any]) -> bool:
    return bool(node["n"] % 2 == 0)


@pytest.mark.parametrize("below", [None, "owner"])
async def test_a_page_ends_behind_the_last_one_that_was_looked_at(below: str | None) -> None:
    client = Numbers(250, below=below)
    first = await search(client, "", limit=3, fits=is_even)
    assert ([node["n"] for node in first.nodes], first.end_cursor, first.has_more) == ([0, 2, 4], "4", True)
    rest = await search(client, "", limit=1_000, after=first.end_cursor, fits=is_even)
    assert [node["n"] for node in rest.nodes] == list(range(6, 250, 2))
    assert (rest.has_more, rest.given_up, rest.searched) == (False, False, 245)


async def test_the_last_node_of_the_last_page_is_the_end() -> None:
    found = await search(Numbers(3), "", limit=3)
    assert (len(found.nodes), found.has_more) == (3, False)


async def test_a_search_that_is_given_up_says_so_and_where_to_go_on() -> None:
    client = Numbers(10_000)
    found = await search(client, "", limit=5, fits=lambda node: node["n"] == 1_500)
    assert (found.nodes, found.given_up, found.searched, found.end_cursor) == ([], True, 1_000, "999")
    assert sum(client.asked) == 1_000
    answer = listing(found, ("n",), lambda node: (node["n"],), empty="There are none.")
    assert answer.notes == ["Only 1,000 were searched, and 0 of them fit; there are more. Go on with --after 999"]
    assert answer.data == {"nodes": [], "pageInfo": {"hasNextPage": True, "endCursor": "999"}}
    again = await search(client, "", limit=5, after="999", fits=lambda node: node["n"] == 1_500)
    assert [node["n"] for node in again.nodes] == [1_500]


async def test_nothing_to_begin_at_is_told() -> None:
    class Empty(Numbers):
        async def execute(self, *_: Any, **__: Any) -> dict[str, Any]:
            return {"workflow": None}

    with pytest.raises(NotFoundHere):
        await search(Empty(0), "", limit=1)
