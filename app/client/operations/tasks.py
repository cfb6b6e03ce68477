"""Operations on tasks."""

CLAIM = """
mutation TaskClaim($input: TaskClaimInput!) {
  taskClaim(input: $input) {
    task {
      taskId taskKind title description phase complexity requiredCapabilities input attempts status version
      execution { executionId }
      decision { decisionId }
    }
    userErrors { field message code currentVersion }
  }
}
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
