"""The questions that are measured, in the hub's graph and in PostGraphile's.

The peers on Strawberry take the hub's own. PostGraphile's are what its users would write over the same tables; with
aliases its answers have the same names and size, but for aggregates, which have another form (retelling.py).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tests.benchmarks.seed import LATEST, agent_id


@dataclass(frozen=True)
class Question:
    """A query in two vocabularies, with the variables of each."""

    name: str
    query: str
    variables: Mapping[str, Any]
    postgraphile_query: str

    @property
    def body(self) -> str:
        """What the hub is sent."""
        return json.dumps({"query": self.query, "variables": self.variables})

    @property
    def postgraphile_body(self) -> str:
        """What PostGraphile is sent."""
        return json.dumps({"query": self.postgraphile_query, "variables": self.variables})


AGENT = Question(
    "one agent by id over HTTP",
    """
query Agent($agentId: ID!) {
  agent(agentId: $agentId) {
    agentId
    agentName
    agentRole
    status
    capabilities
    concurrency
    version
    createdAt
    updatedAt
  }
}
""",
    {"agentId": agent_id(7)},
    """
query Agent($agentId: String!) {
  agent: agentByAgentId(agentId: $agentId) {
    agentId
    agentName
    agentRole
    status
    capabilities
    concurrency
    version
    createdAt
    updatedAt
  }
}
""",
)

# the 20 newest workflows with gates, assignments and agents, 33 kB
NESTED = Question(
    "nested dashboard read over HTTP",
    """
query Dashboard($first: Int!) {
  workflows(first: $first) {
    nodes {
      executionId
      workflowName
      executionStatus
      currentPhase
      startedAt
      completedAt
      qualityGates {
        nodes { gateId gateName gateType approvalStatus qualityScore }
      }
      modelAssignments {
        nodes {
          assignmentId
          modelName
          assignmentStatus
          actualCost
          agent { agentId agentName agentRole status }
        }
      }
    }
  }
}
""",
    {"first": 20},
    """
query Dashboard($first: Int!) {
  workflows: allWorkflowExecutions(first: $first, orderBy: [EXECUTION_ID_DESC]) {
    nodes {
      executionId
      workflowName
      executionStatus
      currentPhase
      startedAt
      completedAt
      qualityGates: qualityGatesByWorkflowExecutionId(first: 20, orderBy: [GATE_ID_DESC]) {
        nodes { gateId gateName gateType approvalStatus qualityScore }
      }
      modelAssignments: modelAssignmentsByExecutionId(first: 20, orderBy: [ASSIGNMENT_ID_DESC]) {
        nodes {
          assignmentId
          modelName
          assignmentStatus
          actualCost
          agent: agentByAgentId { agentId agentName agentRole status }
        }
      }
    }
  }
}
""",
)

# how the team is doing: who is at work, what runs, what waits for a verdict, what the week cost, how loaded the last
# hour was
PAGE = Question(
    "dashboard page of five roots over HTTP",
    """
query Page($week: DateTime!, $from: DateTime!, $to: DateTime!) {
  agents { groups(by: [{field: STATUS}]) { key { status } count } }
  workflows(first: 10) {
    nodes { executionId workflowName executionStatus currentPhase startedAt lastActivity }
    groups(by: [{field: EXECUTION_STATUS}]) { key { executionStatus } count }
  }
  qualityGates(first: 10, filter: {approvalStatus: {eq: PENDING}}) {
    totalCount
    nodes { gateId gateName gateType createdAt execution { executionId workflowName currentPhase } }
  }
  modelAssignments(filter: {createdAt: {gte: $week}}) {
    groups(by: [{field: PROVIDER_NAME}, {field: CREATED_AT, bucket: DAY}]) {
      key { providerName createdAt }
      count
      actualCost { sum }
      tokensUsed { sum }
    }
  }
  resourceMetrics(filter: {measurementTime: {gte: $from, lt: $to}}) {
    groups(by: [{field: MEASUREMENT_TIME, bucket: MINUTE}]) {
      key { measurementTime }
      count
      cpuUsage { avg max }
      memoryUsage { avg }
    }
  }
}
""",
    {
        "week": (LATEST - timedelta(days=7)).isoformat(),
        "from": (LATEST - timedelta(hours=1)).isoformat(),
        "to": LATEST.isoformat(),
    },
    """
query Page($week: Datetime!, $from: Datetime!, $to: Datetime!) {
  agents: allAgents { groupedAggregates(groupBy: [STATUS]) { keys count { agentId } } }
  workflows: allWorkflowExecutions(first: 10, orderBy: [EXECUTION_ID_DESC]) {
    nodes { executionId workflowName executionStatus currentPhase startedAt lastActivity }
    groupedAggregates(groupBy: [EXECUTION_STATUS]) { keys count { executionId } }
  }
  qualityGates: allQualityGates(
    first: 10, orderBy: [GATE_ID_DESC], filter: {approvalStatus: {equalTo: "pending"}}
  ) {
    totalCount
    nodes {
      gateId
      gateName
      gateType
      createdAt
      execution: workflowExecutionByWorkflowExecutionId { executionId workflowName currentPhase }
    }
  }
  modelAssignments: allModelAssignments(filter: {createdAt: {greaterThanOrEqualTo: $week}}) {
    groupedAggregates(groupBy: [PROVIDER_NAME, CREATED_AT_TRUNCATED_TO_DAY]) {
      keys
      count { assignmentId }
      sum { actualCost tokensUsed }
    }
  }
  resourceMetrics: allResourceMetrics(filter: {measurementTime: {greaterThanOrEqualTo: $from, lessThan: $to}}) {
    groupedAggregates(groupBy: [MEASUREMENT_TIME_TRUNCATED_TO_MINUTE]) {
      keys
      count { metricId }
      average { cpuUsage memoryUsage }
      max { cpuUsage }
    }
  }
}
""",
)

QUESTIONS = (AGENT, NESTED, PAGE)
