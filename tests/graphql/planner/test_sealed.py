"""Sealed fields: opened for PM and ADMIN, null for all others, and null for everybody once the key is gone."""

import pytest

from app.domain.principals import Role
from db.session import Database
from graphql_schema.schema import HubSchema
from tests.graphql.planner import world
from tests.graphql.planner.conftest import Reader, principal

QUERY = "{ decisions { nodes { outcome contextData why: reasoningProcess } } }"


@pytest.mark.parametrize("role", [Role.PM, Role.ADMIN])
async def test_those_who_may_read_them_opened(schema: HubSchema, hub: Database, role: Role) -> None:
    data = await Reader(schema, hub, principal(role)).data(QUERY)
    opened = {"contextData": world.CONTEXT, "why": world.REASONING}
    erased = {"contextData": None, "why": None}
    assert data["decisions"]["nodes"] == [
        {"outcome": "Decision 4", **opened},
        {"outcome": "Decision 3", **erased},
        {"outcome": "Decision 2", **opened},
        {"outcome": "Decision 1", **opened},
    ]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AGENT, Role.REVIEWER])
async def test_others_read_null_and_the_bytes_are_not_even_fetched(
    schema: HubSchema, hub: Database, role: Role
) -> None:
    reader = Reader(schema, hub, principal(role))
    answer = await reader.ask(QUERY)
    assert answer.errors == []
    assert {node["contextData"] for node in answer.data["decisions"]["nodes"]} == {None}
    assert {node["why"] for node in answer.data["decisions"]["nodes"]} == {None}
    assert "sealed" not in answer.statements[0][0]


async def test_rights_are_part_of_what_a_plan_is_kept_by(admin: Reader, viewer: Reader) -> None:
    for _ in range(2):
        assert (await admin.data(QUERY))["decisions"]["nodes"][0]["why"] == world.REASONING
        assert (await viewer.data(QUERY))["decisions"]["nodes"][0]["why"] is None


async def test_nothing_is_opened_that_was_not_asked_for(admin: Reader) -> None:
    answer = await admin.ask("{ decisions { nodes { outcome } } }")
    assert "sealed" not in answer.statements[0][0]


async def test_every_place_in_the_response_is_filled(admin: Reader) -> None:
    query = """{ workflows { edges { node { decision { a: contextData } tasks(first: 1) { nodes { decision {
        b: reasoningProcess verdictOn { decision { c: contextData } } } } pageInfo { hasNextPage } } } } } }"""
    data = await admin.data(query)
    first = data["workflows"]["edges"][-1]["node"]
    assert first["decision"] == {"a": world.CONTEXT}
    assert first["tasks"]["nodes"][0]["decision"] == {"b": world.REASONING, "verdictOn": None}
    assert data["workflows"]["edges"][0]["node"]["decision"] is None


WHY = "{ decisions { nodes { outcome sealed { access reason } } } }"
ERASED = {"access": "ERASED", "reason": "Its key was destroyed on request; nobody can read it any more."}


@pytest.mark.parametrize("role", [Role.PM, Role.ADMIN])
async def test_those_who_may_read_are_told_what_was_erased(schema: HubSchema, hub: Database, role: Role) -> None:
    answer = await Reader(schema, hub, principal(role)).ask(WHY)
    opened = {"access": "OPEN", "reason": None}
    told = {node["outcome"]: node["sealed"] for node in answer.data["decisions"]["nodes"]}
    assert told == {"Decision 1": opened, "Decision 2": opened, "Decision 3": ERASED, "Decision 4": opened}
    # whether there is a key is asked, the key itself is not read
    assert "encode" not in answer.statements[0][0]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AGENT, Role.REVIEWER])
async def test_others_are_told_that_they_may_not(schema: HubSchema, hub: Database, role: Role) -> None:
    data = await Reader(schema, hub, principal(role)).data(WHY)
    told = {node["outcome"]: node["sealed"] for node in data["decisions"]["nodes"]}
    reason = "Only PM and ADMIN may read it, and your token's role is another one."
    refused = {"access": "FORBIDDEN", "reason": reason}
    assert told == {"Decision 1": refused, "Decision 2": refused, "Decision 3": ERASED, "Decision 4": refused}
