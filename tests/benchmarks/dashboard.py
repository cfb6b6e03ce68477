"""The question of the nested dashboard read: the 20 newest workflows with gates, assignments and agents, 33 kB."""

import json

QUERY = """
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
"""
VARIABLES = {"first": 20}
BODY = json.dumps({"query": QUERY, "variables": VARIABLES, "operationName": "Dashboard"})
