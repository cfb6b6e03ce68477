"""Operations on agents."""

from app.client.documents import listing, mutation

REGISTER = """
mutation AgentRegister($input: AgentRegisterInput!) {
  agentRegister(input: $input) {
    agent { agentId status version }
    userErrors { field message code currentVersion }
  }
}
"""

REPORT = """
mutation AgentReport($input: AgentReportInput!) {
  agentReport(input: $input) {
    agent { agentId status version activeTasks(first: 100) { nodes { taskId } } }
    userErrors { field message code currentVersion }
  }
}
"""

SET_STATUS = mutation("agentSetStatus", "agent { agentId status version }")

SEND_MESSAGE = mutation("agentMessageSend", "message { messageId sentBy fromAgentId toAgentId body createdAt }")

AGENT = """
query Agent($agentId: ID!) {
  agent(agentId: $agentId) { agentId agentRole status isStale lastActivity version }
}
"""

IDS = listing("AgentIds", "agents", "agentId agentName status")

AGENTS = listing(
    "Agents",
    "agents",
    """
      agentId agentName agentRole status isStale concurrency lastActivity
      activeTasks(first: 100) { totalCount nodes { taskId title status } }
    """,
)

DETAILS = """
query AgentDetails($agentId: ID!) {
  agent(agentId: $agentId) {
    agentId agentName agentRole status allowedTransitions isStale lastActivity concurrency capabilities
    resourceUtilization performanceMetrics extensionConfig version createdAt updatedAt
    activeTasks(first: 100) {
      totalCount
      nodes {
        taskId title status startedAt progress { percent message reportedAt } execution { executionId workflowName }
      }
    }
    tasks(first: 10) { totalCount nodes { taskId title status attempts completedAt } }
    reviews(first: 10) { totalCount nodes { gateId verdict assignedAt reviewedAt gate { gateName approvalStatus } } }
    modelAssignments(first: 10) {
      totalCount nodes { assignmentId providerName modelName assignmentStatus actualCost tokensUsed createdAt }
    }
    communicationHistory(first: 10) { totalCount nodes { messageId sentBy fromAgentId toAgentId body createdAt } }
  }
}
"""
