"""Operations on quality gates."""

from app.domain.quality_gates import ReviewVerdict

APPROVE = """
mutation QualityGateApprove($input: QualityGateDecideInput!) {
  qualityGateApprove(input: $input) {
    qualityGate { gateId gateName approvalStatus version }
    decision { decisionId }
    userErrors { field message code currentVersion }
  }
}
"""

REJECT = """
mutation QualityGateReject($input: QualityGateDecideInput!) {
  qualityGateReject(input: $input) {
    qualityGate { gateId gateName approvalStatus version }
    decision { decisionId }
    userErrors { field message code currentVersion }
  }
}
"""

REQUEST_REVISION = """
mutation QualityGateRequestRevision($input: QualityGateDecideInput!) {
  qualityGateRequestRevision(input: $input) {
    qualityGate { gateId gateName approvalStatus version }
    decision { decisionId }
    userErrors { field message code currentVersion }
  }
}
"""

BY_VERDICT = {
    ReviewVerdict.APPROVE: APPROVE,
    ReviewVerdict.REJECT: REJECT,
    ReviewVerdict.REQUEST_REVISION: REQUEST_REVISION,
}

REVIEW = """
mutation QualityGateReview($input: QualityGateReviewInput!) {
  qualityGateReview(input: $input) {
    qualityGate { gateId approvalStatus version }
    userErrors { field message code currentVersion }
  }
}
"""

GATE = """
query QualityGate($gateId: ID!) {
  qualityGate(gateId: $gateId) { gateId gateName approvalStatus version }
}
"""

GATES = """
query QualityGates($first: Int!, $after: Cursor) {
  qualityGates(first: $first, after: $after) {
    nodes {
      gateId gateName gateType approvalStatus version revision qualityScore automatedChecks createdAt
      execution { executionId workflowName }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""

CHANGES_OF_EXECUTION = """
subscription QualityGatesOfExecution($executionId: ID!, $after: Cursor) {
  qualityGateChanged(executionId: $executionId, after: $after) {
    cursor eventType occurredAt actor toStatus detail
    qualityGate { gateId gateName }
  }
}
"""
