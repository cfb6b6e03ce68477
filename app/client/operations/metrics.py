"""Operations on resource metrics."""

RECORD = """
mutation ResourceMetricsRecord($input: ResourceMetricsRecordInput!) {
  resourceMetricsRecord(input: $input) {
    recorded
    userErrors { field message code currentVersion }
  }
}
"""

CHANGES_OF_EXECUTION = """
subscription MetricsOfExecution($executionId: ID!, $after: Cursor) {
  resourceMetricsRecorded(executionId: $executionId, after: $after) {
    cursor eventType occurredAt detail
    resourceMetrics { measurementTime cpuUsage memoryUsage agent { agentId } }
  }
}
"""
