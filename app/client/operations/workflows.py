"""Operations on workflow executions."""

from app.client.documents import listing, mutation

_state = "workflow { executionId workflowName executionStatus version }"

START = mutation("workflowStart", _state)

PAUSE = mutation("workflowPause", _state)

RESUME = mutation("workflowResume", _state)

RETRY = mutation("workflowRetry", _state)

FORK = mutation("workflowFork", _state)

SKIP_PHASE = mutation("workflowSkipPhase", _state)

FAIL = mutation("workflowFail", _state)

CANCEL = mutation("workflowCancel", _state)

SIGNAL = mutation("workflowSignal", _state)

REGISTER = mutation("workflowTemplateRegister", "template { templateName templateVersion }", "WorkflowTemplateInput")

VALIDATE = mutation(
    "workflowTemplateValidate", "valid faults { path line message hint } mermaid", "WorkflowTemplateInput"
)

TEMPLATE = """
query WorkflowTemplate($name: String!) {
  workflowTemplates(filter: { templateName: { eq: $name } }, first: 1) {
    nodes { templateName templateVersion description registeredBy createdAt spec mermaid }
  }
}
"""

IDS = listing("ExecutionIds", "workflows", "executionId workflowName executionStatus")

TEMPLATES = listing("WorkflowTemplates", "workflowTemplates", "templateName templateVersion description")

EXECUTION = """
query WorkflowExecution($executionId: ID!) {
  workflow(executionId: $executionId) { executionId workflowName executionStatus version }
}
"""

WORKFLOWS = listing(
    "Workflows",
    "workflows",
    "executionId workflowName executionStatus currentPhase triggerType triggeredBy createdAt startedAt completedAt",
)

PROGRESS = """
query WorkflowProgress($executionId: ID!) {
  workflow(executionId: $executionId) {
    executionId workflowName executionStatus currentPhase startedAt completedAt version
    executionPath(last: 100) { nodes { stepNumber phase attempt stepStatus } }
    tasks(first: 100) { nodes { taskId title phase status assignedAgent { agentId } } }
    qualityGates(first: 100) {
      nodes {
        gateId gateName gateType approvalStatus version pmDecision
        automatedChecks { name measured at_most: atMost at_least: atLeast passed }
      }
    }
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
        gateId gateName gateType approvalStatus qualityScore pmDecision createdAt approvedAt
        automatedChecks { name measured at_most: atMost at_least: atLeast passed }
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
