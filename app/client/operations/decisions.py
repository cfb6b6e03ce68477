"""Operations on decisions."""

RECORD = """
mutation DecisionRecord($input: DecisionRecordInput!) {
  decisionRecord(input: $input) {
    decision { decisionId }
    userErrors { field message code currentVersion }
  }
}
"""
