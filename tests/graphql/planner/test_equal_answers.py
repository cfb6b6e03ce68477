"""Whatever can be asked has one answer: by the planner's hook in one statement, and by graphql-core."""

import base64
from typing import Any

import pytest

from graphql_schema.schema import HubSchema
from tests.graphql.planner import world
from tests.graphql.planner.conftest import Reader

E1, D1, T1, G1 = (str(row_id) for row_id in (world.execution(1), world.decision(1), world.task(1), world.gate(1)))


def global_id(type_name: str, key: object) -> str:
    return base64.b64encode(f"{type_name}:{key}".encode()).decode()


LONG = "a" * 64
OPERATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "one agent": ('{ agent(agentId: "john-pm") { agentId agentName agentRole status } }', {}),
    "nobody": ('{ agent(agentId: "no-body") { agentId } }', {}),
    "__typename everywhere": (
        "{ __typename viewer { __typename } agents { __typename nodes { __typename } edges { __typename node "
        "{ __typename } } pageInfo { __typename } } }",
        {},
    ),
    "only __typename": ("{ __typename }", {}),
    "empty selection sets": ('{ viewer { } agents { } agent(agentId: "john-pm") { } }', {}),
    "aliases": ("{ a: viewer { n: name m: name } b: viewer { role agentId } }", {}),
    "same field twice": ("{ agents { nodes { agentId } } agents { nodes { agentName agentId } totalCount } }", {}),
    "merged deep": (
        "{ agents { nodes { tasks(first: 2) { nodes { title } } } } "
        "agents { nodes { tasks(first: 2) { nodes { taskId } totalCount } } } }",
        {},
    ),
    "fragment": (
        "{ agents { nodes { ...A } } } fragment A on AgentState { agentId ...B } fragment B on AgentState { status }",
        {},
    ),
    "fragment twice": ("{ agents { nodes { ...A ...A agentId } } } fragment A on AgentState { status agentId }", {}),
    "inline fragment without a type": (
        "{ agents { nodes { ... { agentId } ... @include(if: true) { status } } } }",
        {},
    ),
    "fragment on the interface": ("{ agents { nodes { ...N agentId } } } fragment N on Node { id __typename }", {}),
    "inline fragment on the interface": (
        "{ tasks(first: 2) { nodes { ... on Node { id ... on Task { title } } } } }",
        {},
    ),
    "key order follows the document": (
        "{ agents(first: 1) { nodes { status ...A agentName agentId } } } fragment A on AgentState { agentId status }",
        {},
    ),
    "skip and include": (
        "query ($yes: Boolean!, $no: Boolean!) { viewer @skip(if: $yes) { name } a: viewer @include(if: $no) { name } "
        "b: viewer { name @include(if: $yes) role @skip(if: $yes) } agents { ...A @skip(if: $no) ...B "
        "@include(if: $no) "
        "nodes { agentId } } } fragment A on AgentStateConnection { totalCount } "
        "fragment B on AgentStateConnection { edges { cursor } }",
        {"yes": True, "no": False},
    ),
    "skip beats include": ("{ viewer { name @skip(if: true) @include(if: true) role } }", {}),
    "variables": (
        "query ($id: ID!, $n: Int) { agent(agentId: $id) { tasks(first: $n) { nodes { title } } } }",
        {"id": "james-dev", "n": 3},
    ),
    "a variable not given": ("query ($n: Int, $c: Cursor) { agents(first: $n, after: $c) { totalCount } }", {}),
    "a variable null": (
        "query ($n: Int, $c: Cursor) { agents(first: $n, after: $c) { totalCount } }",
        {"n": None, "c": None},
    ),
    "defaults of variables": (
        "query ($n: Int = 2, $c: Boolean = true) { tasks(first: $n) { nodes { title @skip(if: $c) taskId } } }",
        {},
    ),
    "a number as id": ("{ agent(agentId: 7) { agentId } }", {}),
    "null argument": ("{ agents(first: null, after: null) { nodes { agentId } } }", {}),
    "every column of an agent": (
        '{ agent(agentId: "john-pm") { id agentId agentName agentRole status allowedTransitions capabilities '
        "concurrency "
        "extensionConfig resourceUtilization performanceMetrics lastActivity isStale version createdAt updatedAt } }",
        {},
    ),
    "an agent that never reported": (
        '{ agent(agentId: "quinn-ux") { resourceUtilization performanceMetrics lastActivity isStale } }',
        {},
    ),
    "relations of agents": (
        "{ agents { nodes { activeTasks { nodes { taskId } } workflows { nodes { executionId } } "
        "modelAssignments { nodes { assignmentId } } reviews { nodes { reviewId } } decisions { nodes { decisionId } } "
        "metrics { nodes { metricId } } communicationHistory { nodes { body fromAgent { agentId } toAgent { "
        "agentId } } } "
        "} } }",
        {},
    ),
    "every column of tasks": (
        "{ tasks(first: 100) { nodes { id taskId taskKind title description status allowedTransitions requiredRole "
        "requiredCapabilities complexity dependsOn input result phase taskName phaseAttempt attempts failures "
        "maxFailures "
        "startedAt completedAt durationMs version createdAt updatedAt } } }",
        {},
    ),
    "relations of tasks": (
        "{ tasks(first: 8) { nodes { progress { percent message reportedAt } assignedAgent { agentId } decision "
        "{ outcome } execution { workflowName } gate { gateName } dependencies { nodes { title } totalCount } "
        "modelAssignments { nodes { modelName } } } } }",
        {},
    ),
    "a decision": (
        f'{{ decision(decisionId: "{D1}") {{ id decisionId decisionType contextData reasoningProcess outcome '
        "confidenceScore agentAssignments resourceOptimization learningNotes decidedBy version createdAt updatedAt "
        "agent { agentId } execution { executionId } workflows { nodes { executionId } } tasks(first: 3) { nodes "
        "{ taskId } totalCount } qualityGates { nodes { gateId } } verdictOn { gateId } modelAssignments { nodes "
        "{ assignmentId } } evidence { nodes { snapshot intervalStart intervalEnd agent { agentId } execution "
        "{ executionId } decision { decisionId } } } } }",
        {},
    ),
    "sealed in many places": (
        "{ decisions { nodes { contextData reasoningProcess } edges { node { why: reasoningProcess } } } "
        "w: workflows { nodes { decision { contextData } tasks(first: 1) { edges { node { decision { "
        "reasoningProcess } } "
        "} } } } }",
        {},
    ),
    "an execution": (
        f'{{ workflow(executionId: "{E1}") {{ id executionId workflowName templateVersion executionStatus '
        "allowedTransitions triggerType triggeredBy inputContext currentPhase startedAt completedAt lastActivity "
        "durationMs performanceMetrics { __typename durationMs tasks { __typename } qualityGates { inReview "
        "requiresRevision total } steps { running completed failed } actualCost estimatedCost tokensUsed "
        "processingTime modelAssignments errors attempts failures } version "
        "template { id templateName templateVersion phases description } decision "
        "{ outcome } decisions { nodes { outcome } } executionPath { nodes { stepNumber phase stepStatus outcome "
        "execution { executionId } } } errorLog { totalCount } agents { nodes { agentId } totalCount } } }",
        {},
    ),
    "relations of executions": (
        "{ workflows { nodes { tasks(first: 2) { nodes { title } totalCount } taskAssignments(first: 2) { nodes "
        "{ title assignedAgent { agentName } } totalCount } qualityGates { nodes { gateName } } "
        "pendingApprovals { nodes "
        "{ gateName approvalStatus } totalCount } modelAssignments { nodes { modelName } } metrics { nodes { "
        "cpuUsage } } "
        "errorLog { nodes { severity message detail phase execution { executionId } } } } } }",
        {},
    ),
    "gates": (
        "{ qualityGates { nodes { id gateId gateName gateType phase validationCriteria approvalStatus "
        "automatedChecks { name measure measured atMost atLeast passed } "
        "allowedTransitions revision pmDecision qualityScore improvementSuggestions escalationRequired "
        "escalationReason "
        "reviewedAt approvedAt version execution { executionId } decision { outcome } requestedByDecision { outcome } "
        "reviewers { nodes { reviewer revision verdict score feedback assignedAt reviewedAt agent { agentId } gate "
        "{ gateId } } } tasks { nodes { title } } } } }",
        {},
    ),
    "items of a JSON array": (
        "query ($yes: Boolean = true) { qualityGates { nodes { automatedChecks { passed } "
        "a: automatedChecks { __typename x: name y: name } ...G automatedChecks { measured @skip(if: $yes) atLeast } } "
        "edges { node { automatedChecks { } } } } "
        "modelAssignments { nodes { ...M } pageInfo { hasNextPage } } } "
        "fragment G on QualityGateExecution { automatedChecks { atMost ...C } } "
        f"fragment C on AutomatedCheck {{ measured {LONG}: name }} "
        "fragment M on ModelAssignment { fallbackChain { providerName ... on ModelChoice { modelName estimatedCost } } "
        "p: fallbackChain { __typename } }",
        {},
    ),
    "reviews of the current revision": (
        "{ qualityGates { nodes { reviewers { totalCount } reviewerAssignments { nodes { reviewer verdict } totalCount "
        "} reviewerFeedback(first: 1) { edges { cursor node { reviewer feedback } } pageInfo { hasNextPage } } } } }",
        {},
    ),
    "fallbacks": (
        "{ modelAssignments { nodes { failureReason fallbackOfId fallbackOf { assignmentId fallback { assignmentId } } "
        "fallback { assignmentReason fallbackOf { modelName } fallbackChain { modelName } } } } }",
        {},
    ),
    "evidence from where it is of": (
        "{ agents { nodes { evidence { nodes { decision { outcome } } } } } "
        "workflows { nodes { evidence { totalCount } } } }",
        {},
    ),
    "what is sealed": (
        "{ decisions { nodes { sealed { access reason } s: sealed { __typename a: access } } } }",
        {},
    ),
    "one gate": (f'{{ qualityGate(gateId: "{G1}") {{ qualityScore decision {{ verdictOn {{ gateName }} }} }} }}', {}),
    "model assignments": (
        "{ modelAssignments { nodes { id assignmentId providerName modelName assignmentReason taskComplexity "
        "estimatedCost actualCost performanceScore processingTime tokensUsed assignmentStatus allowedTransitions "
        "completedAt version agent { agentId } task { title } execution { workflowName } decision { outcome } } } }",
        {},
    ),
    "metrics": (
        "{ resourceMetrics { nodes { id metricId measurementTime cpuUsage memoryUsage diskUsage networkIo "
        "activeSessions "
        "databaseConnections responseTime errorRate optimizationScore optimizationSuggestions alertLevel "
        "createdAt agent "
        "{ agentId } execution { executionId } } totalCount } }",
        {},
    ),
    "templates": (
        "{ workflowTemplates { nodes { id templateName templateVersion phases createdAt } totalCount } }",
        {},
    ),
    "tokens": (
        "{ apiTokens { nodes { id tokenId tokenName role agentId isLive expiresAt revokedAt version agent "
        "{ agentName } } } }",
        {},
    ),
    "edges and nodes": ("{ tasks(first: 3) { edges { cursor node { title } } nodes { taskId } } }", {}),
    "foreign keys": (
        "{ tasks { nodes { assignedAgentId decisionId executionId gateId progress { taskId } } } "
        "decisions { nodes { agentId executionId evidence { nodes { decisionId agentId executionId } } } } "
        "workflows { nodes { decisionId executionPath { nodes { executionId } } errorLog { nodes { executionId } } } } "
        "qualityGates { nodes { workflowExecutionId decisionId requestedByDecisionId reviewers { nodes { gateId "
        "agentId } } } } modelAssignments { nodes { agentId taskId executionId decisionId } } "
        "resourceMetrics { nodes { agentId "
        "executionId } } agents { nodes { communicationHistory { nodes { fromAgentId toAgentId } } } } }",
        {},
    ),
    "only pageInfo": ("{ tasks(first: 3) { pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }", {}),
    "only hasPreviousPage": ("{ tasks { pageInfo { hasPreviousPage } } }", {}),
    "only totalCount": ("{ tasks { totalCount again: totalCount } }", {}),
    "an empty page": (
        '{ agent(agentId: "quinn-ux") { tasks { nodes { taskId } edges { cursor } totalCount pageInfo { hasNextPage '
        "hasPreviousPage startCursor endCursor } } } }",
        {},
    ),
    "parts under many aliases": (
        "{ tasks(first: 2) { a: nodes { title } b: nodes { taskId } c: edges { x: cursor y: node { title } } d: edges "
        "{ cursor } e: pageInfo { hasNextPage } f: pageInfo { end: endCursor } g: totalCount } }",
        {},
    ),
    "connections within connections": (
        "{ agents { nodes { agentId tasks(first: 2) { pageInfo { hasNextPage endCursor } nodes { title execution { "
        "qualityGates(first: 1) { pageInfo { hasNextPage } edges { cursor node { gateName reviewers(first: 1) { nodes "
        "{ reviewer } pageInfo { hasNextPage } } } } } } } } } } }",
        {},
    ),
    "one relation with several arguments": (
        '{ agent(agentId: "james-dev") { few: tasks(first: 1) { nodes { title } } more: tasks(first: 4) { nodes '
        "{ title } } all: tasks(first: 100) { totalCount } } }",
        {},
    ),
    "node of a type": (
        f'{{ node(id: "{global_id("Task", T1)}") {{ id __typename ... on Task {{ title status dependencies {{ nodes '
        "{ taskId } } } ... on AgentState { agentId } } }",
        {},
    ),
    "node of another": (
        f'{{ a: node(id: "{global_id("AgentState", "john-pm")}") {{ ...X }} '
        f'b: node(id: "{global_id("WorkflowTemplate", "feature-delivery:2")}") {{ ...X }} '
        f'c: node(id: "{global_id("ResourceMetrics", world.uid(world.METRIC, 1))}") {{ ...X }} }} '
        "fragment X on Node { __typename id ... on AgentState { status tasks(first: 1) { totalCount } } "
        "... on WorkflowTemplate { templateVersion } ... on ResourceMetrics { cpuUsage } }",
        {},
    ),
    "node that is gone": (f'{{ node(id: "{global_id("Task", world.task(999))}") {{ id }} }}', {}),
    "node by variable": (
        "query ($id: ID!) { node(id: $id) { __typename ... on QualityGateExecution { gateName } } }",
        {"id": global_id("QualityGateExecution", G1)},
    ),
    "sealed in a node": (
        f'{{ node(id: "{global_id("PMDecisionContext", D1)}") {{ ... on PMDecisionContext {{ contextData }} }} }}',
        {},
    ),
    "keys longer than PostgreSQL's names": (
        f"{{ {LONG}: agents(first: 1) {{ nodes {{ {LONG}b: agentId {LONG}c: status {LONG}: tasks(first: 1) {{ "
        f"totalCount "
        f"{LONG}: nodes {{ {LONG}: taskId }} }} }} }} }}",
        {},
    ),
    "keys like the planner's own": (
        "{ value: agents(first: 1) { anon_1: nodes { value: agentId anon_2: status p0: agentName x1: version } "
        "pageInfo { hasNextPage } } }",
        {},
    ),
    "wrong first": ("{ agents(first: 0) { totalCount } tasks(first: 1) { nodes { title } } }", {}),
    "wrong first deep inside": ("{ a: agents { nodes { tasks(first: 101) { totalCount } } } viewer { name } }", {}),
    "wrong after": ('{ agents(after: "nonsense") { totalCount } viewer { name } }', {}),
    "wrong ids": (
        '{ a: task(taskId: "x") { title } b: node(id: "x") { id } c: agent(agentId: "a\\u0000b") { agentId } viewer '
        "{ name } }",
        {},
    ),
    "a required argument null by variable": (
        'query ($id: ID = "x", $b: Boolean = true) { agent(agentId: $id) { agentId } viewer { name @include(if: '
        "$b) } }",
        {"id": None},
    ),
    "a condition null at the root": ("query ($b: Boolean = true) { viewer @include(if: $b) { name } }", {"b": None}),
    "a condition null below": (
        "query ($b: Boolean = true) { agents { nodes { agentId @skip(if: $b) } } viewer { name } }",
        {"b": None},
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
async def test_both_ways_answer_the_same(name: str, admin: Reader, plain: Reader, schema: HubSchema) -> None:
    query, variables = OPERATIONS[name]
    fallbacks = schema.planner.fallbacks
    planned, executed = await admin.ask(query, **variables), await plain.ask(query, **variables)
    assert planned.data == executed.data
    assert planned.errors == executed.errors
    assert list(_keys(planned.data)) == list(_keys(executed.data))
    assert len(planned.statements) == (0 if planned.data is None else 1)
    assert schema.planner.fallbacks == fallbacks


def _keys(data: Any) -> Any:
    """All keys in order, which `==` does not compare."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield key
            yield from _keys(value)
    elif isinstance(data, list):
        for value in data:
            yield from _keys(value)


WRONG_VARIABLES: dict[str, tuple[str, dict[str, Any]]] = {
    "not an int": ("query ($n: Int) { agents(first: $n) { totalCount } }", {"n": "3"}),
    "a float": ("query ($n: Int) { agents(first: $n) { totalCount } }", {"n": 1.5}),
    "beyond 32 bits": ("query ($n: Int) { agents(first: $n) { totalCount } }", {"n": 2**31}),
    "missing": ("query ($id: ID!) { agent(agentId: $id) { agentId } }", {}),
    "null for non-null": ("query ($id: ID!) { agent(agentId: $id) { agentId } }", {"id": None}),
    "an object for an id": ("query ($id: ID!) { agent(agentId: $id) { agentId } }", {"id": {}}),
    "text for a boolean": ("query ($b: Boolean!) { viewer { name @include(if: $b) } }", {"b": "abc"}),
    "a number for a cursor": ("query ($c: Cursor) { agents(after: $c) { totalCount } }", {"c": 7}),
    "several at once": ("query ($n: Int, $b: Boolean!) { agents(first: $n) { totalCount @skip(if: $b) } }", {"n": []}),
}


@pytest.mark.parametrize("name", WRONG_VARIABLES)
async def test_wrong_variables_are_refused_alike(name: str, admin: Reader, plain: Reader) -> None:
    query, variables = WRONG_VARIABLES[name]
    planned, executed = await admin.ask(query, **variables), await plain.ask(query, **variables)
    assert planned.data is executed.data is None
    assert planned.errors == executed.errors != []
    assert planned.statements == []


async def test_only_introspection_is_left_to_graphql_core(admin: Reader, plain: Reader, schema: HubSchema) -> None:
    for query in (
        "{ __schema { queryType { name } } }",
        '{ __type(name: "Task") { name } agents(first: 1) { nodes { agentId status } } }',
        'query ($b: Boolean!) { viewer { name } t: __type(name: "Task") @include(if: $b) { name } }',
    ):
        before = schema.planner.fallbacks
        planned, executed = await admin.ask(query, b=True), await plain.ask(query, b=True)
        assert planned.data == executed.data is not None
        assert planned.errors == []
        assert schema.planner.fallbacks == before + 1


async def test_introspection_that_is_skipped_is_planned(admin: Reader, schema: HubSchema) -> None:
    before = schema.planner.fallbacks
    query = 'query ($b: Boolean!) { viewer { name } t: __type(name: "Task") @include(if: $b) { name } }'
    assert await admin.data(query, b=False) == {"viewer": {"name": "some admin"}}
    assert schema.planner.fallbacks == before
