"""Every relation of the data model leads from one end to the other, and from there back."""

from typing import Any

import pytest
from graphql import get_named_type

from tests.data_model.model import load
from tests.data_model.story import Story
from tests.data_model.test_attributes import SCHEMA

pytestmark = pytest.mark.asyncio(loop_scope="package")

ROWS = {row.id: row for row in load().of_kind("relation")}


@pytest.mark.parametrize("row_id", ROWS)
async def test_each_relation_leads_there_and_back(story: Story, row_id: str) -> None:
    row = ROWS[row_id]
    there = {(start, end) for start in starts(story, row.there) for end in await ends(story, start, row.there)}
    back = {(end, start) for start in starts(story, row.back) for end in await ends(story, start, row.back)}
    assert there & back, "no entity of the story is at both ends"
    ours = {entity_id for ids in story.ids.values() for entity_id in ids}
    assert {pair for pair in there if set(pair) <= ours} == {pair for pair in back if set(pair) <= ours}


def starts(story: Story, way: tuple[str, ...]) -> list[str]:
    return story.ids[way[0].partition(".")[0]]


async def ends(story: Story, start: str, way: tuple[str, ...]) -> set[str]:
    """The global ids that the way leads to from this entity."""
    selection = "{ id }"
    for coordinate in reversed(way):
        type_name, _, field = coordinate.partition(".")
        owner: Any = SCHEMA.type_map[type_name]
        target: Any = get_named_type(owner.fields[field].type)
        selection = (
            f"{{ {field} {{ nodes {selection} }} }}" if "nodes" in target.fields else f"{{ {field} {selection} }}"
        )
    query = f"query ($id: ID!) {{ node(id: $id) {{ ... on {way[0].partition('.')[0]} {selection} }} }}"
    reached = [(await story.admin.ask(query, id=start))["node"]]
    for coordinate in way:
        found = [node[coordinate.partition(".")[2]] for node in reached]
        reached = [inner for one in found if one is not None for inner in one.get("nodes", [one])]
    return {node["id"] for node in reached}
