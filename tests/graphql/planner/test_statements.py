"""One operation, one statement; the same operation, the same plan."""

from app.domain.principals import Role
from db.session import Database
from graphql_schema.planner import documents
from graphql_schema.schema import HubSchema, build_schema
from tests.graphql.planner import world
from tests.graphql.planner.conftest import Reader, principal

DASHBOARD = """query Dashboard($n: Int = 20, $id: ID!) {
    viewer { name role }
    workflows(first: $n) { totalCount pageInfo { hasNextPage endCursor } nodes {
        executionId executionStatus decision { outcome } performanceMetrics { durationMs
            tasks { completed assigned failed total } qualityGates { approved inReview pending } steps { running total }
            attempts failures errors tokensUsed actualCost estimatedCost modelAssignments }
        qualityGates { nodes { gateName approvalStatus reviewers { nodes { agent { agentName } } } } }
        modelAssignments { nodes { estimatedCost agent { agentName status } } }
        tasks(first: 5) { nodes { title progress { percent } assignedAgent { agentName metrics(first: 1) { nodes {
            cpuUsage } } } } } } }
    agents { nodes { agentId isStale activeTasks { totalCount } } }
    one: task(taskId: $id) { title dependencies { nodes { title } } }
    resourceMetrics(first: 1) { nodes { cpuUsage } }
}"""


async def test_a_dashboard_is_one_statement(admin: Reader) -> None:
    data = await admin.data(DASHBOARD, id=str(world.task(45)))
    assert list(data) == ["viewer", "workflows", "agents", "one", "resourceMetrics"]
    assert data["workflows"]["totalCount"] == 3
    assert data["one"] == {"title": "Task 45", "dependencies": {"nodes": [{"title": "Task 43"}, {"title": "Task 44"}]}}
    assert data["workflows"]["nodes"][2]["performanceMetrics"] == {
        "durationMs": 90501,
        "tasks": {"completed": 45, "assigned": 1, "failed": 0, "total": 46},
        "qualityGates": {"approved": 1, "inReview": 1, "pending": 1},
        "steps": {"running": 1, "total": 2},
        "attempts": 91,
        "failures": 45,
        "errors": 0,
        "tokensUsed": 5_000_000_000,
        "actualCost": "1.1",
        "estimatedCost": "0.617",
        "modelAssignments": 5,
    }


async def test_values_are_written_as_the_schema_says(admin: Reader) -> None:
    query = """query ($id: ID!) {
        modelAssignments(first: 100) { nodes { estimatedCost actualCost processingTime createdAt providerName } }
        task(taskId: $id) { progress { percent } durationMs requiredRole }
        resourceMetrics(first: 1) { nodes { cpuUsage memoryUsage } } }"""
    data = await admin.data(query, id=str(world.task(1)))
    assert data["modelAssignments"]["nodes"][-1] == {
        "estimatedCost": "0.1234",
        "actualCost": "1.1",
        "processingTime": 2**40,
        "createdAt": "2026-03-01T12:00:00.123456+00:00",
        "providerName": "CLAUDE_CODE",
    }
    assert data["task"] == {"progress": {"percent": 100.0}, "durationMs": 1000, "requiredRole": None}
    assert data["resourceMetrics"]["nodes"] == [{"cpuUsage": "12.5", "memoryUsage": "100"}]


async def test_the_same_operation_is_planned_once(hub: Database) -> None:
    schema = build_schema()
    reader = Reader(schema, hub, principal(Role.VIEWER))
    for number in (1, 2, 3):
        await reader.data(DASHBOARD, id=str(world.task(number)))
    assert (schema.planner.plans_made, len(schema.documents)) == (1, 1)
    # what changes the statement makes another plan: the size of a page, and rights
    await reader.data(DASHBOARD, id=str(world.task(1)), n=5)
    await Reader(schema, hub, principal(Role.AGENT)).data(DASHBOARD, id=str(world.task(1)))
    assert schema.planner.plans_made == 2
    await Reader(schema, hub, principal(Role.PM)).data(DASHBOARD, id=str(world.task(1)))
    assert schema.planner.plans_made == 3


async def test_one_document_makes_a_bounded_number_of_plans(hub: Database) -> None:
    schema = build_schema()
    reader = Reader(schema, hub, principal(Role.VIEWER))
    for size in [*range(1, 101), *range(1, 101)]:
        await reader.data("query ($n: Int) { tasks(first: $n) { nodes { title } } }", n=size)
    (document,) = [schema.documents.get("query ($n: Int) { tasks(first: $n) { nodes { title } } }")]
    assert document is not None
    (tree,) = document.operations[None].plans.trees.values()
    assert tree.size <= 64


async def test_long_documents_are_not_kept(admin: Reader, schema: HubSchema) -> None:
    before = len(schema.documents)
    await admin.data("{ viewer { name } } #" + "x" * documents.LONGEST_KEPT)
    assert len(schema.documents) == before


async def test_one_of_several_operations_is_named(admin: Reader, schema: HubSchema) -> None:
    query = "query A { viewer { name } } query B { viewer { role } }"
    assert (await admin.ask(query, "B")).data == {"viewer": {"role": "ADMIN"}}
    for _ in range(2):
        ambiguous = await admin.ask(query)
        assert ambiguous.data is None
        assert [error["message"] for error in ambiguous.errors] == [
            "Must provide operation name if query contains multiple operations."
        ]


async def test_what_does_not_validate_is_refused_every_time(admin: Reader) -> None:
    for _ in range(2):
        for query in ("{ agents { nodes { nothing } } }", "{ agents(first: x) { totalCount } }", "{ agents {"):
            answer = await admin.ask(query)
            assert answer.data is None
            assert len(answer.errors) == 1
            assert answer.statements == []
