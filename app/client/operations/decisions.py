"""Operations on decisions."""

from app.client.documents import listing, mutation

RECORD = """
mutation DecisionRecord($input: DecisionRecordInput!) {
  decisionRecord(input: $input) {
    decision { decisionId }
    userErrors { field message code currentVersion }
  }
}
"""

ANNOTATE = mutation("decisionAnnotate", "decision { decisionId learningNotes version }")

_listed = """
      decisionId decisionType outcome confidenceScore decidedBy agentId executionId createdAt
      tasks(first: 1) { totalCount }
      workflows(first: 1) { totalCount }
"""

IDS = listing("DecisionIds", "decisions", "decisionId decisionType outcome")

DECISIONS = listing("Decisions", "decisions", _listed)

DECISIONS_OF_EXECUTION = listing("DecisionsOfExecution", "decisions", _listed, of=("workflow", "executionId"))

DECISION = """
query Decision($decisionId: ID!) {
  decision(decisionId: $decisionId) { decisionId decisionType outcome version }
}
"""

DETAILS = """
query DecisionDetails($decisionId: ID!) {
  decision(decisionId: $decisionId) {
    decisionId decisionType outcome confidenceScore reasoningProcess contextData agentAssignments resourceOptimization
    sealed { access reason } learningNotes decidedBy agentId executionId version createdAt updatedAt
    execution { executionId workflowName executionStatus }
    verdictOn { gateId gateName approvalStatus }
    evidence(first: 100) { totalCount nodes { evidenceId agentId executionId intervalStart intervalEnd snapshot } }
    tasks(first: 100) { totalCount nodes { taskId title status assignedAgentId } }
    workflows(first: 100) { totalCount nodes { executionId workflowName executionStatus createdAt } }
    qualityGates(first: 100) { totalCount nodes { gateId gateName gateType approvalStatus } }
    modelAssignments(first: 100) {
      totalCount
      nodes { assignmentId agentId providerName modelName assignmentReason assignmentStatus estimatedCost actualCost }
    }
  }
}
"""
