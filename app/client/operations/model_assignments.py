"""Operations on model assignments."""

RECORD = """
mutation ModelAssignmentRecord($input: ModelAssignmentRecordInput!) {
  modelAssignmentRecord(input: $input) {
    modelAssignment { assignmentId version }
    userErrors { field message code currentVersion }
  }
}
"""

COMPLETE = """
mutation ModelAssignmentComplete($input: ModelAssignmentCompleteInput!) {
  modelAssignmentComplete(input: $input) {
    modelAssignment { assignmentId version }
    userErrors { field message code currentVersion }
  }
}
"""

FAIL = """
mutation ModelAssignmentFail($input: ModelAssignmentFailInput!) {
  modelAssignmentFail(input: $input) {
    modelAssignment { assignmentId version }
    userErrors { field message code currentVersion }
  }
}
"""
