"""Filters that are refused, each by a typed error that says where; and variables within filters, given or not."""

from typing import Any

import pytest

from graphql_schema.schema import HubSchema
from tests.graphql.planner import world
from tests.graphql.planner.conftest import Reader
from tests.graphql.planner.oracle import is_writable, literal

QUERY = "{ a: agents { nodes { t: tasks(filter: %s) { totalCount } } } viewer { name } }"
MUST_NOT_BE_NULL = "must not be null; leave it out, or ask `isNull`."
NO_TEXT = "must be a text without NUL characters, of at most 2,000 characters."
DEEP: dict[str, Any] = {"status": {"eq": "PENDING"}}
for _ in range(13):
    DEEP = {"not": DEEP}
JSON_DEEP: Any = 1
for _ in range(33):
    JSON_DEEP = [JSON_DEEP]
THROUGH: dict[str, Any] = {"execution": {"decision": {"agent": {"tasks": {"some": {"execution": {}}}}}}}

WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "null for a field": ({"status": None}, "status", MUST_NOT_BE_NULL),
    "null for an operator": ({"status": {"eq": None}}, "status.eq", MUST_NOT_BE_NULL),
    "null for isNull": ({"phase": {"isNull": None}}, "phase.isNull", MUST_NOT_BE_NULL),
    "null for in": ({"phase": {"in": None}}, "phase.in", MUST_NOT_BE_NULL),
    "null for and": ({"and": None}, "and", MUST_NOT_BE_NULL),
    "null for not": ({"or": [{"not": None}]}, "or.0.not", MUST_NOT_BE_NULL),
    "null for a relation": ({"execution": None}, "execution", MUST_NOT_BE_NULL),
    "null for a quantifier": ({"dependencies": {"some": None}}, "dependencies.some", "must not be null; leave it out."),
    "null for JSON": ({"result": {"contains": None}}, "result.contains", MUST_NOT_BE_NULL),
    "no UUID": ({"taskId": {"eq": "x"}}, "taskId.eq", "must be a UUID."),
    "no UUID in a list": ({"taskId": {"in": [str(world.task(1)), "x"]}}, "taskId.in", "must be a UUID."),
    "no UUIDs to contain": ({"dependsOn": {"containsAny": ["x"]}}, "dependsOn.containsAny", "must be a UUID."),
    "NUL": ({"title": {"contains": "a\x00"}}, "title.contains", NO_TEXT),
    "a lone surrogate": ({"title": {"eq": "\ud800"}}, "title.eq", NO_TEXT),
    "a long text": ({"title": {"startsWith": "x" * 2_001}}, "title.startsWith", NO_TEXT),
    "NUL in a list": ({"requiredCapabilities": {"containsAll": ["\x00"]}}, "requiredCapabilities.containsAll", NO_TEXT),
    "NUL for an id that is a text": ({"assignedAgentId": {"ne": "\x00"}}, "assignedAgentId.ne", NO_TEXT),
    "NUL in JSON": (
        {"result": {"contains": {"a": "\x00"}}},
        "result.contains",
        "cannot be looked for: the value contains characters that cannot be stored (NUL or lone surrogates).",
    ),
    "NUL in a key": (
        {"result": {"hasKey": "\x00"}},
        "result.hasKey",
        "cannot be looked for: the value contains characters that cannot be stored (NUL or lone surrogates).",
    ),
    "an integer beyond 64 bits in JSON": (
        {"result": {"contains": [2**63]}},
        "result.contains",
        "cannot be looked for: the value contains an integer of more than 64 bits; send it as text.",
    ),
    "JSON nested deeply": (
        {"result": {"contains": JSON_DEEP}},
        "result.contains",
        "cannot be looked for: the value is too large: at most 32 levels and 20000 values are taken.",
    ),
    "too many values": ({"title": {"in": ["x"] * 501}}, "title.in", "has more than 500 values."),
    "too many values in a list": (
        {"requiredCapabilities": {"containsAny": ["x"] * 501}},
        "requiredCapabilities.containsAny",
        "has more than 500 values.",
    ),
    "too many conditions": (
        {"or": [{"attempts": {"eq": number}} for number in range(51)]},
        "or.50.attempts.eq",
        "is one condition too many: there may be 50.",
    ),
    "too many empty conditions": (
        {"not": {"and": [{"or": []}] * 51}},
        "not.and.50.or",
        "is one condition too many: there may be 50.",
    ),
    "too deep": (DEEP, ".".join(["not"] * 13), "is nested more than 12 deep."),
    "too many relations": (
        {"dependencies": {"some": THROUGH}},
        "dependencies.some.execution.decision.agent.tasks",
        "goes through more than 4 relations.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_filters_are_typed_errors_that_say_where(
    admin: Reader, plain: Reader, schema: HubSchema, name: str
) -> None:
    asked, place, message = WRONG[name]
    queries: list[tuple[str, dict[str, Any]]] = [("query ($f: TaskFilter) " + QUERY % "$f", {"f": asked})]
    if is_writable(asked) and name != "a lone surrogate":
        queries.append((QUERY % literal(asked, schema._schema.type_map["TaskFilter"]), {}))  # type: ignore[arg-type]
    for query, given in queries:
        answer = await admin.ask(query, **given)
        assert answer.data == {"a": None, "viewer": {"name": "some admin"}}
        assert [(error["message"], error["path"], error["extensions"]) for error in answer.errors] == [
            (
                f"filter.{place} {message}",
                ["a"],
                {"code": "INVALID_INPUT", "field": f"a.nodes.t.filter.{place}"},
            )
        ]
        assert "FROM tasks" not in answer.statements[0][0]
        executed = await plain.ask(query, **given)
        assert (executed.data, executed.errors) == (answer.data, answer.errors)


JUST_WITHIN: dict[str, dict[str, Any]] = {
    "conditions": {"or": [{"attempts": {"eq": number}} for number in range(50)]},
    "values": {"title": {"in": [f"Task {number}" for number in range(500)]}},
    "a long text": {"title": {"ne": "x" * 2_000}},
    "nested": {"not": DEEP["not"]["not"]},
    "relations": {"execution": {"decision": {"agent": {"tasks": {"none": {}}}}}},
    "nothing": {},
}


@pytest.mark.parametrize("name", JUST_WITHIN)
async def test_filters_at_the_limits_are_answered(admin: Reader, name: str) -> None:
    data = await admin.data("query ($f: TaskFilter) { tasks(filter: $f) { totalCount } }", f=JUST_WITHIN[name])
    counts = {"conditions": 48, "values": 48, "a long text": 48, "nested": 1, "relations": 47, "nothing": 48}
    assert data["tasks"]["totalCount"] == counts[name]


OF_WRONG_TYPE: list[tuple[str, str, dict[str, Any]]] = [
    ("{ status: { eq: DONE } }", "TaskFilter", {"status": {"eq": "DONE"}}),
    ('{ status: { eq: "PENDING" } }', "TaskFilter", {"status": {"eq": 1}}),
    ('{ attempts: { eq: "1" } }', "TaskFilter", {"attempts": {"eq": "1"}}),
    ("{ attempts: { eq: 2147483648 } }", "TaskFilter", {"attempts": {"eq": 2**31}}),
    ("{ attempts: { eq: 1.5 } }", "TaskFilter", {"attempts": {"eq": 1.5}}),
    ("{ attempts: { contains: 1 } }", "TaskFilter", {"attempts": {"contains": 1}}),
    ("{ attempts: 1 }", "TaskFilter", {"attempts": 1}),
    ("{ title: { eq: 1 } }", "TaskFilter", {"title": {"eq": 1}}),
    ("{ title: { in: [null] } }", "TaskFilter", {"title": {"in": [None]}}),
    ('{ createdAt: { lt: "yesterday" } }', "TaskFilter", {"createdAt": {"lt": "yesterday"}}),
    ('{ createdAt: { lt: "2026-01-01T00:00:00" } }', "TaskFilter", {"createdAt": {"lt": "2026-01-01T00:00:00"}}),
    ("{ durationMs: { gt: 1.5 } }", "TaskFilter", {"durationMs": {"gt": 1.5}}),
    ("{ nothing: { eq: 1 } }", "TaskFilter", {"nothing": {"eq": 1}}),
    ("{ dependencies: { all: {} } }", "TaskFilter", {"dependencies": {"all": {}}}),
    ("{ and: [null] }", "TaskFilter", {"and": [None]}),
    ('{ taskId: { lt: "x" } }', "TaskFilter", {"taskId": {"lt": "x"}}),
    ("[]", "TaskFilter", []),  # type: ignore[list-item]
]


@pytest.mark.parametrize("number", range(len(OF_WRONG_TYPE)))
async def test_filters_of_the_wrong_type_are_refused_alike(admin: Reader, plain: Reader, number: int) -> None:
    written, type_name, value = OF_WRONG_TYPE[number]
    by_variable = f"query ($f: {type_name}) {{ tasks(filter: $f) {{ totalCount }} }}"
    cases: list[tuple[str, dict[str, Any]]] = [
        (f"{{ tasks(filter: {written}) {{ totalCount }} }}", {}),
        (by_variable, {"f": value}),
    ]
    for query, given in cases:
        planned, executed = await admin.ask(query, **given), await plain.ask(query, **given)
        assert planned.data is executed.data is None
        assert planned.statements == []
        assert planned.errors == executed.errors != []


NESTED = """query ($s: TaskStatus, $t: [String!], $n: Int = 3, $j: JSON, $and: TaskFilter = {}, $q: TaskListFilter) {
    tasks(first: 100, filter: { status: {eq: $s}, title: {in: $t}, attempts: {lt: $n}, result: {contains: $j},
        and: [$and], dependencies: $q, or: [{title: {ne: "x"}}] }) { totalCount } }"""


async def test_variables_that_are_not_given_leave_their_condition_out(admin: Reader, plain: Reader) -> None:
    async def counted(**given: Any) -> int:
        planned, executed = await admin.ask(NESTED, **given), await plain.ask(NESTED, **given)
        assert (planned.data, planned.errors) == (executed.data, executed.errors)
        assert planned.errors == []
        count: int = planned.data["tasks"]["totalCount"]
        return count

    assert await counted() == 32
    assert await counted(n=4) == 48
    assert await counted(n=4, s="PENDING") == 1
    assert await counted(n=4, t=[]) == 0
    assert await counted(n=4, t=["Task 1", "Task 2"]) == 2
    assert await counted(n=4, j={"lines": 7}) == 1
    assert await counted(n=4, **{"and": {"status": {"ne": "COMPLETED"}}}) == 3
    assert await counted(n=4, q={"some": {}}) == 8
    # one that is null is no condition either, but an error
    refused = await admin.ask(NESTED, s=None)
    assert refused.errors[0]["extensions"]["field"] == "tasks.filter.status.eq"
    unfit, executed = await admin.ask(NESTED, **{"and": None}), await plain.ask(NESTED, **{"and": None})
    assert unfit.data == executed.data == {"tasks": None}
    assert unfit.errors == executed.errors != []


async def test_variables_within_a_json_literal(admin: Reader) -> None:
    query = """query ($r: String, $n: Int = 2, $s: TaskStatus, $at: DateTime, $cost: Decimal) {
        workflows(filter: {inputContext: {contains: {request: $r, nested: {a: $n}}}}) { totalCount }
        tasks(filter: {result: {contains: [$s, $at, $cost, $r]}}) { totalCount } }"""
    asked = await admin.ask(query, r="Request 1", s="PENDING", at="2026-01-01T01:00:00+01:00", cost="1.50")
    assert asked.errors == []
    assert asked.data == {"workflows": {"totalCount": 1}, "tasks": {"totalCount": 0}}
    assert asked.statements[0][1] == [
        '{"request":"Request 1","nested":{"a":2}}',
        '["PENDING","2026-01-01T00:00:00+00:00","1.50","Request 1"]',
    ]
    # what is not given is left out of an object, and is null in a list
    nothing = await admin.ask(query)
    assert nothing.errors == []
    assert nothing.statements[0][1] == ['{"nested":{"a":2}}', "[null,null,null,null]"]
    assert nothing.data["workflows"] == {"totalCount": 3}


@pytest.mark.parametrize("given", [{"s": None}, {}])
async def test_null_in_a_list_that_takes_none_is_refused_alike(
    admin: Reader, plain: Reader, given: dict[str, Any]
) -> None:
    query = """query ($s: TaskStatus = PENDING) { agents { nodes { agentId } }
        tasks(filter: {status: {in: [COMPLETED, $s]}}) { totalCount } }"""
    for _ in range(2):
        planned, executed = await admin.ask(query, **given), await plain.ask(query, **given)
        assert (planned.data, planned.errors) == (executed.data, executed.errors)
        assert len(planned.errors) == len(given)


async def test_each_variable_that_makes_a_literal_unfit_is_told(admin: Reader, plain: Reader) -> None:
    query = """query ($a: TaskStatus = PENDING, $b: TaskStatus = RUNNING) {
        tasks(filter: {status: {in: [$a, $b]}}) { totalCount } }"""
    for given, name in (({"a": None}, "$a"), ({"b": None}, "$b"), ({"a": None, "b": None}, "$a"), ({"b": None}, "$b")):
        planned, executed = await admin.ask(query, **given), await plain.ask(query, **given)
        assert f"'{name}'" in planned.errors[0]["message"]
        assert planned.errors == executed.errors
