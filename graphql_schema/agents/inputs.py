"""Inputs of the agents' mutations."""

from datetime import datetime

import strawberry

from app.domain.agents import AgentRole, AgentStatus
from app.services.agents import RegisterAgent, SetAgentStatus
from app.services.reports import ReportAgent
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.mutating import json_object
from graphql_schema.payloads import VERSION_DESCRIPTION, MutationInput, given, optional
from graphql_schema.scalars import JSON


@strawberry.input(description="An agent's process says that it is there, who it is and what it can do.")
class AgentRegisterInput(MutationInput):
    agent_id: strawberry.ID = given("Lower-case words joined by hyphens, e.g. `james-dev`; at most 100 characters.")
    agent_role: AgentRole = given("The agent's specialisation; decides which tasks it is offered.")
    agent_name: str | None = optional("Human-readable name; the id when left out.")
    capabilities: list[str] | None = optional("What the agent can do; it is offered tasks that need nothing else.")
    concurrency: int = given("How many tasks the agent works on at once, from 1 to 64.", default=1)
    extension_config: JSON | None = optional("Configuration of the agent's extensions, a JSON object.")

    def command(self) -> RegisterAgent:
        return RegisterAgent(
            self.agent_id,
            self.agent_role,
            self.agent_name,
            self.capabilities or (),
            self.concurrency,
            json_object("extensionConfig", self.extension_config),
        )


@strawberry.input(description="What an agent observed of itself; merged key by key, the newest observation winning.")
class AgentReportInput:
    agent_id: strawberry.ID = given("The agent that reports.")
    observed_at: datetime = given("When the figures were observed; a time ahead of the hub's clock counts as now.")
    resource_utilization: JSON | None = optional('Current resource usage, a JSON object, e.g. `{"cpu_percent": 12.5}`.')
    performance_metrics: JSON | None = optional('Performance figures, a JSON object, e.g. `{"tasks_completed": 3}`.')

    def command(self) -> ReportAgent:
        return ReportAgent(
            self.agent_id,
            self.observed_at,
            json_object("resourceUtilization", self.resource_utilization),
            json_object("performanceMetrics", self.performance_metrics),
        )


@strawberry.input(description="A status that an agent or an operator reports.")
class AgentSetStatusInput(MutationInput):
    agent_id: strawberry.ID = given("The agent.")
    status: AgentStatus = given("IDLE, ERROR or OFFLINE; ACTIVE and BUSY follow from the agent's tasks.")
    expected_version: int | None = optional(VERSION_DESCRIPTION)
    reason: str | None = optional("Why, for the audit record; at most 2,000 characters.")

    def command(self) -> SetAgentStatus:
        return SetAgentStatus(self.agent_id, self.status, self.expected_version, self.reason or "")
