"""Orders: every field, both directions, nulls at both ends, several terms; and pages in them, forward and backward."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest
from graphql import GraphQLEnumType

from app.domain.principals import Role
from db.session import Database
from db.tables.tasks import tasks
from graphql_schema.schema import HubSchema
from tests.graphql.planner import world
from tests.graphql.planner.conftest import Reader, principal
from tests.graphql.planner.oracle import Facts, sorted_rows

KEYS: Mapping[str, Sequence[str]] = {
    "AgentMessage": ["messageId"],
    "AgentState": ["agentId"],
    "ApiToken": ["tokenId"],
    "GateReview": ["reviewId"],
    "ModelAssignment": ["assignmentId"],
    "PMDecisionContext": ["decisionId"],
    "QualityGateExecution": ["gateId"],
    "ResourceMetrics": ["metricId"],
    "Task": ["taskId"],
    "WorkflowError": ["errorId"],
    "WorkflowExecution": ["executionId"],
    "WorkflowSchedule": ["scheduleId"],
    "WorkflowTemplate": ["templateName", "templateVersion"],
}
"""What tells the rows of a type apart, and so stands behind what was asked for."""
PAGE = """query ($o: [%sOrder!], $first: Int, $after: Cursor, $last: Int, $before: Cursor) {
    page: %s(orderBy: $o, first: $first, after: $after, last: $last, before: $before) {
        nodes { id } edges { cursor node { id } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } totalCount } }"""
Term = Mapping[str, str]


def fields_of(facts: Facts, type_name: str) -> list[str]:
    type_ = facts.schema.type_map[f"{type_name}OrderField"]
    assert isinstance(type_, GraphQLEnumType)
    return list(type_.values)


async def page_of(reader: Reader, facts: Facts, type_name: str, terms: Sequence[Term], **window: Any) -> Any:
    query = PAGE % (type_name, facts.roots[type_name])
    page = (await reader.data(query, o=terms, **window))["page"]
    assert page["nodes"] == [edge["node"] for edge in page["edges"]]
    assert page["totalCount"] == len(facts.order[type_name])
    return page


def ids(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


@pytest.mark.parametrize("type_name", KEYS)
async def test_every_field_in_both_directions_with_nulls_at_both_ends(
    admin: Reader, facts: Facts, type_name: str
) -> None:
    assert set(facts.roots) == set(KEYS)
    for name in fields_of(facts, type_name):
        for direction in ("ASC", "DESC"):
            for nulls in ("FIRST", "LAST"):
                terms = [{"field": name, "direction": direction, "nulls": nulls}]
                page = await page_of(admin, facts, type_name, terms, first=100)
                assert ids(page["nodes"]) == ids(sorted_rows(facts, type_name, terms, KEYS[type_name])), terms


async def test_what_is_not_said_is_ascending_with_nulls_last(admin: Reader, facts: Facts) -> None:
    page = await page_of(admin, facts, "Task", [{"field": "REQUIRED_ROLE"}], first=100)
    same = await page_of(
        admin, facts, "Task", [{"field": "REQUIRED_ROLE", "direction": "ASC", "nulls": "LAST"}], first=100
    )
    assert ids(page["nodes"]) == ids(same["nodes"])
    assert ids(page["nodes"]) == ids(sorted_rows(facts, "Task", [{"field": "REQUIRED_ROLE"}], ["taskId"]))
    # no order is the connection's own
    assert ids((await page_of(admin, facts, "Task", [], first=100))["nodes"]) == facts.order["Task"]


def any_terms(facts: Facts, random: Random, type_name: str) -> list[Term]:
    fields = fields_of(facts, type_name)
    return [
        {"field": name, "direction": random.choice(("ASC", "DESC")), "nulls": random.choice(("FIRST", "LAST"))}
        for name in random.sample(fields, random.choice((1, 2, 2, 3, min(5, len(fields)))))
    ]


@pytest.mark.parametrize("size", range(1, 8))
async def test_pages_forward_and_backward_visit_every_row_once(admin: Reader, facts: Facts, size: int) -> None:
    random = Random(size)  # noqa: S311
    for type_name in KEYS:
        terms = any_terms(facts, random, type_name)
        expected = ids(sorted_rows(facts, type_name, terms, KEYS[type_name]))
        await _walk(admin, facts, type_name, terms, size, expected)


NULLS = [
    [{"field": "COMPLETED_AT", "direction": direction, "nulls": nulls}, *then]
    for direction in ("ASC", "DESC")
    for nulls in ("FIRST", "LAST")
    for then in ([], [{"field": "REQUIRED_ROLE", "direction": "DESC", "nulls": "FIRST"}, {"field": "COMPLEXITY"}])
]


@pytest.mark.parametrize("number", range(len(NULLS)))
async def test_pages_through_nulls_visit_every_row_once(admin: Reader, facts: Facts, number: int) -> None:
    terms = NULLS[number]
    expected = ids(sorted_rows(facts, "Task", terms, ["taskId"]))
    for size in (1, 4):
        await _walk(admin, facts, "Task", terms, size, expected)


async def _walk(
    reader: Reader, facts: Facts, type_name: str, terms: Sequence[Term], size: int, expected: list[str]
) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        page = await page_of(reader, facts, type_name, terms, first=size, after=cursor)
        seen += ids(page["nodes"])
        info = page["pageInfo"]
        assert info["hasPreviousPage"] is (cursor is not None)
        assert info["hasNextPage"] is (len(seen) < len(expected))
        cursor = info["endCursor"]
        assert [info["startCursor"], cursor] == [page["edges"][0]["cursor"], page["edges"][-1]["cursor"]]
        if not info["hasNextPage"]:
            break
    assert seen == expected
    seen, cursor = [], None
    while True:
        page = await page_of(reader, facts, type_name, terms, last=size, before=cursor)
        seen = ids(page["nodes"]) + seen
        info = page["pageInfo"]
        assert info["hasNextPage"] is (cursor is not None)
        assert info["hasPreviousPage"] is (len(seen) < len(expected))
        cursor = info["startCursor"]
        assert [cursor, info["endCursor"]] == [page["edges"][0]["cursor"], page["edges"][-1]["cursor"]]
        if not info["hasPreviousPage"]:
            break
    assert seen == expected


async def test_long_texts_can_be_ordered_and_paged_by(database: Database, schema: HubSchema) -> None:
    texts = ["a" * 100_000 + end for end in ("b", "a", "\U0001f389", '"\\\n')]
    rows = [
        {"task_id": world.task(number), "title": f"Task {number}", "description": text}
        for number, text in enumerate(texts, 1)
    ]
    await database.transact(lambda session: session.execute(tasks.insert(), rows))
    reader = Reader(schema, database, principal(Role.ADMIN))
    seen, cursor = [], None
    for number in range(4):
        page = (
            await reader.data(
                "query ($c: Cursor) { tasks(first: 1, after: $c, orderBy: {field: DESCRIPTION}) {"
                " nodes { title } pageInfo { endCursor hasNextPage } } }",
                c=cursor,
            )
        )["tasks"]
        seen += [node["title"] for node in page["nodes"]]
        assert page["pageInfo"]["hasNextPage"] is (number < 3)
        cursor = page["pageInfo"]["endCursor"]
    assert seen == ["Task 4", "Task 2", "Task 1", "Task 3"]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (["STATUS", "TITLE", "STATUS"], "orderBy names status more than once."),
        (["STATUS", "TITLE", "PHASE", "ATTEMPTS", "FAILURES", "VERSION"], "orderBy takes at most 5 terms."),
    ],
)
async def test_wrong_orders_are_typed_errors(admin: Reader, order: list[str], message: str) -> None:
    written = ", ".join(f"{{field: {name}}}" for name in order)
    by_literal = await admin.ask(f"{{ x: agents {{ nodes {{ y: tasks(orderBy: [{written}]) {{ totalCount }} }} }} }}")
    by_variable = await admin.ask(
        "query ($o: [TaskOrder!]) { x: agents { nodes { y: tasks(orderBy: $o) { totalCount } } } }",
        o=[{"field": name} for name in order],
    )
    for answer in (by_literal, by_variable):
        assert answer.data == {"x": None}
        ((error,),) = (answer.errors,)
        assert (error["message"], error["path"]) == (message, ["x"])
        assert error["extensions"] == {"code": "INVALID_INPUT", "field": "x.nodes.y.orderBy"}


UNKNOWN = {
    "unknown field": ("NOPE", "Value 'NOPE' does not exist in 'TaskOrderField' enum."),
    "a field of another type": ("AGENT_NAME", "Value 'AGENT_NAME' does not exist in 'TaskOrderField' enum."),
    "a relation": ("EXECUTION", "Value 'EXECUTION' does not exist in 'TaskOrderField' enum."),
    "a computed field": ("DURATION_MS", "Value 'DURATION_MS' does not exist in 'TaskOrderField' enum."),
}


@pytest.mark.parametrize("name", UNKNOWN)
async def test_unknown_order_fields_are_refused(admin: Reader, plain: Reader, name: str) -> None:
    field, message = UNKNOWN[name]
    literal = f"{{ tasks(orderBy: [{{field: {field}}}]) {{ totalCount }} }}"
    variable = "query ($o: [TaskOrder!]) { tasks(orderBy: $o) { totalCount } }"
    wrong: dict[str, Any] = {"o": [{"field": field}]}
    for query, given in ((literal, {}), (variable, wrong)):
        answer = await admin.ask(query, **given)
        assert answer.data is None
        assert answer.statements == []
        (error,) = answer.errors
        assert message in error["message"]
        assert (await plain.ask(query, **given)).errors == answer.errors


async def test_a_variable_within_an_order(admin: Reader, plain: Reader, facts: Facts) -> None:
    query = """query ($f: TaskOrderField = TITLE, $d: OrderDirection = DESC) {
        tasks(first: 100, orderBy: [{field: STATUS}, {field: $f, direction: $d}]) { nodes { id } } }"""
    fit: list[dict[str, Any]] = [{}, {"f": "ATTEMPTS"}, {"f": "COMPLETED_AT", "d": "ASC"}]
    for given in fit:
        name, direction = given.get("f", "TITLE"), given.get("d", "DESC")
        terms = [{"field": "STATUS"}, {"field": name, "direction": direction}]
        data = await admin.data(query, **given)
        assert ids(data["tasks"]["nodes"]) == ids(sorted_rows(facts, "Task", terms, ["taskId"]))
    unfit: list[dict[str, Any]] = [{"f": None}, {"d": None}, {"f": None, "d": None}, {"f": "TITLE", "d": None}]
    for given in unfit:
        planned, executed = await admin.ask(query, **given), await plain.ask(query, **given)
        assert planned.data == {"tasks": None}
        assert len(planned.errors) == 1
        assert planned.errors == executed.errors
