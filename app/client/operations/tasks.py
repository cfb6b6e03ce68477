"""Operations on tasks."""

from app.client.documents import listing, mutation

_at_hand = """
      taskId taskKind title description phase taskName phaseAttempt complexity requiredCapabilities input attempts
      timeoutSeconds status version execution { executionId } decision { decisionId }
"""

CLAIM = f"""
mutation TaskClaim($input: TaskClaimInput!) {{
  taskClaim(input: $input) {{
    task {{ {_at_hand} }}
    userErrors {{ field message code currentVersion }}
  }}
}}
"""

CLAIMED = f"""
query TasksClaimed($agentId: ID!) {{
  agent(agentId: $agentId) {{ activeTasks(first: 100) {{ nodes {{ {_at_hand} }} }} }}
}}
"""

START = """
mutation TaskStart($input: TaskStartInput!) {
  taskStart(input: $input) {
    task { taskId attempts version }
    userErrors { field message code currentVersion }
  }
}
"""

REPORT_PROGRESS = """
mutation TaskReportProgress($input: TaskReportProgressInput!) {
  taskReportProgress(input: $input) {
    task { taskId }
    userErrors { field message code currentVersion }
  }
}
"""

COMPLETE = """
mutation TaskComplete($input: TaskCompleteInput!) {
  taskComplete(input: $input) {
    task { taskId status version }
    userErrors { field message code currentVersion }
  }
}
"""

FAIL = """
mutation TaskFail($input: TaskFailInput!) {
  taskFail(input: $input) {
    task { taskId status version }
    userErrors { field message code currentVersion }
  }
}
"""

RELEASE = """
mutation TaskRelease($input: TaskReleaseInput!) {
  taskRelease(input: $input) {
    task { taskId status version }
    userErrors { field message code currentVersion }
  }
}
"""

RETRY = mutation("taskRetry", "task { taskId title status version }")

CANCEL = mutation("taskCancel", "task { taskId title status version }")

TASK = """
query Task($taskId: ID!) {
  task(taskId: $taskId) { taskId status version assignedAgent { agentId } }
}
"""

CHANGES = """
subscription Tasks($after: Cursor) {
  taskChanged(after: $after) {
    cursor eventType toStatus version
    task { taskId requiredRole requiredCapabilities }
  }
}
"""

CHANGES_OF_EXECUTION = """
subscription TasksOfExecution($executionId: ID!, $after: Cursor) {
  taskChanged(executionId: $executionId, after: $after) {
    cursor eventType occurredAt actor toStatus detail
    task { taskId title }
  }
}
"""

_listed = """
      taskId taskKind title status phase executionId assignedAgentId attempts failures createdAt updatedAt
      progress { percent message }
"""

IDS = listing("TaskIds", "tasks", "taskId title status")

TASKS = listing("TasksListed", "tasks", _listed)

TASKS_OF_AGENT = listing("TasksOfAgent", "tasks", _listed, of=("agent", "agentId"))

TASKS_OF_EXECUTION = listing("TasksListedOfExecution", "tasks", _listed, of=("workflow", "executionId"))

DETAILS = """
query TaskDetails($taskId: ID!) {
  task(taskId: $taskId) {
    taskId taskKind title description status allowedTransitions complexity requiredRole requiredCapabilities
    phase taskName phaseAttempt attempts failures maxFailures input result
    priority timeoutSeconds releases maxReleases releaseReason escalatedAt escalationReason
    assignedAgentId decisionId executionId gateId startedAt completedAt durationMs version createdAt updatedAt
    progress { percent message reportedAt }
    assignedAgent { agentId status isStale lastActivity }
    execution { executionId workflowName executionStatus }
    decision { decisionId decisionType outcome }
    gate { gateId gateName approvalStatus }
    dependencies(first: 100) { totalCount nodes { taskId title status assignedAgentId } }
    modelAssignments(first: 100) {
      totalCount
      nodes { assignmentId agentId providerName modelName assignmentStatus actualCost tokensUsed processingTime }
    }
  }
}
"""
