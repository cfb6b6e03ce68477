"""Operations on quality gates."""

from app.client.documents import listing, mutation
from app.domain.quality_gates import ReviewVerdict

_decided = "qualityGate { gateId gateName approvalStatus version } decision { decisionId }"

APPROVE = mutation("qualityGateApprove", _decided, "QualityGateDecideInput")

REJECT = mutation("qualityGateReject", _decided, "QualityGateDecideInput")

REQUEST_REVISION = mutation("qualityGateRequestRevision", _decided, "QualityGateDecideInput")

WAIVE = mutation("qualityGateWaive", _decided, "QualityGateWaiveInput")

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

_listed = """
      gateId gateName gateType approvalStatus version revision qualityScore createdAt closedAt
      automatedChecks { name measured at_most: atMost at_least: atLeast passed }
      execution { executionId workflowName }
"""

IDS = listing("QualityGateIds", "qualityGates", "gateId gateName approvalStatus")

GATES = listing("QualityGates", "qualityGates", _listed)

GATES_OF_EXECUTION = listing("GatesOfExecution", "qualityGates", _listed, of=("workflow", "executionId"))

CHANGES_OF_EXECUTION = """
subscription QualityGatesOfExecution($executionId: ID!, $after: Cursor) {
  qualityGateChanged(executionId: $executionId, after: $after) {
    cursor eventType occurredAt actor toStatus detail
    qualityGate { gateId gateName }
  }
}
"""
