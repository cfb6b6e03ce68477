"""Operations on agents."""

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

SET_STATUS = """
mutation AgentSetStatus($input: AgentSetStatusInput!) {
  agentSetStatus(input: $input) {
    agent { agentId status version }
    userErrors { field message code currentVersion }
  }
}
"""

AGENT = """
query Agent($agentId: ID!) {
  agent(agentId: $agentId) { agentId agentRole status isStale lastActivity }
}
"""
