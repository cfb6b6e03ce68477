"""Operations on the queue of what waits."""

from app.client.documents import listing

_listed = """
      itemId kind waitsFor title reason since ageSeconds blockedAgents blockedSpend score nextSteps
      executionId gateId taskId agentId
"""

QUEUE = listing("AttentionQueue", "attentionQueue", _listed)

CHANGES = """
subscription AttentionQueueChanges($after: Cursor) {
  attentionQueueChanged(after: $after) { cursor }
}
"""
