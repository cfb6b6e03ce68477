"""Operations on workflow executions."""

START = """
mutation WorkflowStart($input: WorkflowStartInput!) {
  workflowStart(input: $input) {
    workflow { executionId workflowName executionStatus version }
    userErrors { field message code currentVersion }
  }
}
"""

CANCEL = """
mutation WorkflowCancel($input: WorkflowCancelInput!) {
  workflowCancel(input: $input) {
    workflow { executionId executionStatus version }
    userErrors { field message code currentVersion }
  }
}
"""

WORKFLOWS = """
query Workflows($first: Int!, $after: Cursor) {
  workflows(first: $first, after: $after) {
    nodes {
      executionId workflowName executionStatus currentPhase triggerType triggeredBy createdAt startedAt completedAt
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""

PROGRESS = """
query WorkflowProgress($executionId: ID!) {
  workflow(executionId: $executionId) {
    executionId workflowName executionStatus currentPhase startedAt completedAt version
    executionPath(first: 100) { nodes { stepNumber phase attempt stepStatus } }
    tasks(first: 100) { nodes { taskId title phase status assignedAgent { agentId } } }
    qualityGates(first: 100) { nodes { gateId gateName gateType approvalStatus version automatedChecks pmDecision } }
    errorLog(first: 20) { nodes { errorId phase severity message } }
  }
}
"""

CHANGES = """
subscription WorkflowChanges($executionId: ID!, $after: Cursor) {
  workflowProgress(executionId: $executionId, after: $after) {
    cursor eventType occurredAt actor toStatus detail
    execution { executionId }
  }
}
"""

OUTCOME = """
query WorkflowOutcome($executionId: ID!) {
  workflow(executionId: $executionId) {
    executionId workflowName executionStatus triggeredBy inputContext createdAt startedAt completedAt
    decisions(first: 100) {
      nodes { decisionId decisionType outcome confidenceScore decidedBy reasoningProcess createdAt }
    }
    tasks(first: 100) {
      nodes {
        taskId taskKind taskName title phase status attempts result startedAt completedAt
        assignedAgent { agentId agentRole }
      }
    }
    qualityGates(first: 100) {
      nodes {
        gateId gateName gateType approvalStatus qualityScore automatedChecks pmDecision createdAt approvedAt
        decision { decisionId decidedBy confidenceScore }
      }
    }
    metrics(first: 100) {
      nodes { metricId measurementTime cpuUsage memoryUsage agent { agentId } }
      pageInfo { hasNextPage }
    }
    modelAssignments(first: 100) {
      nodes { assignmentId providerName modelName actualCost tokensUsed processingTime }
    }
    errorLog(first: 20) { nodes { phase severity message } }
  }
}
"""
