"""Inputs of the agents' mutations."""

from datetime import datetime

import strawberry

from app.domain.agents import FIGURE_BYTES, MESSAGE_MAX, OBSERVED_WITHIN, AgentRole, AgentStatus
from app.domain.batches import BatchMode
from app.domain.ids import parse_id
from app.domain.json_schemas import KEYS_MAX
from app.services.agents import RegisterAgent, SetAgentStatus, SetAgentStatuses, UpdateAgent
from app.services.messages import SendMessage
from app.services.reports import ReportAgent
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.batches import ITEMS, mode_field
from graphql_schema.mutating import json_object
from graphql_schema.payloads import VERSION_DESCRIPTION, MutationInput, given, optional
from graphql_schema.scalars import JSON


@strawberry.input(description="An agent's process says that it is there, who it is and what it can do.")
class AgentRegisterInput(MutationInput):
    agent_id: strawberry.ID = given("Lower-case words joined by hyphens, e.g. `james-dev`; at most 100 characters.")
    agent_role: AgentRole = given("The agent's specialisation; decides which tasks it is offered.")
    agent_name: str | None = optional("Human-readable name, at most 200 characters; the id when left out.")
    capabilities: list[str] | None = optional(
        "What the agent can do, at most 100 words of at most 100 characters; it is offered tasks that need no more."
    )
    concurrency: int = given("How many tasks the agent works on at once, from 1 to 64.", default=1)
    extension_config: JSON | None = optional("Configuration of the agent's extensions, a JSON object.")
    keep_task_ids: list[strawberry.ID] | None = optional(
        "Tasks that an earlier process of the agent had at hand and that this one goes on with, at most 64: they stay "
        "the agent's, all others are given back. Tasks that it does not hold any more are passed over."
    )

    def command(self) -> RegisterAgent:
        return RegisterAgent(
            self.agent_id,
            self.agent_role,
            self.agent_name,
            self.capabilities or (),
            self.concurrency,
            json_object("extensionConfig", self.extension_config),
            [parse_id("keepTaskIds", value) for value in self.keep_task_ids or ()],
        )


FIGURES = (
    f"At most {KEYS_MAX} figures of at most {FIGURE_BYTES:,} bytes each; so many are kept of an agent, those that were "
    "observed last."
)


@strawberry.input(description="What an agent observed of itself; merged key by key, the newest observation winning.")
class AgentReportInput:
    agent_id: strawberry.ID = given("The agent that reports.")
    observed_at: datetime = given(
        "When the figures were observed. A time ahead of the hub's clock counts as now; more than "
        f"{int(OBSERVED_WITHIN.total_seconds()) // 3600} hours ago is refused."
    )
    resource_utilization: JSON | None = optional(
        f'Current resource usage, a JSON object, e.g. `{{"cpu_percent": 12.5}}`. {FIGURES}'
    )
    performance_metrics: JSON | None = optional(
        f'Performance figures, a JSON object, e.g. `{{"tasks_completed": 3}}`. {FIGURES}'
    )

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


@strawberry.input(description="One status for many agents.")
class AgentsSetStatusInput(MutationInput):
    agent_ids: list[strawberry.ID] = given(f"{ITEMS} agents, each named once.")
    status: AgentStatus = given("IDLE, ERROR or OFFLINE; ACTIVE and BUSY follow from the agents' tasks.")
    reason: str | None = optional("Why, for the audit record; at most 2,000 characters.")
    mode: BatchMode = mode_field("agentIds")

    def command(self) -> SetAgentStatuses:
        return SetAgentStatuses(self.agent_ids, self.status, self.reason or "", self.mode)


@strawberry.input(description="What is to be changed of an agent; what is left out or null stays as it is.")
class AgentUpdateInput(MutationInput):
    agent_id: strawberry.ID = given("The agent.")
    expected_version: int = given(VERSION_DESCRIPTION)
    agent_name: str | None = optional("Human-readable name, at most 200 characters.")
    agent_role: AgentRole | None = optional("The agent's specialisation; a token of role AGENT cannot change it.")
    capabilities: list[str] | None = optional(
        "All that the agent can do, in place of what was there; at most 100 words of at most 100 characters."
    )
    concurrency: int | None = optional(
        "How many tasks the agent works on at once, from 1 to 64. Its status follows; tasks at hand stay with it."
    )
    extension_config: JSON | None = optional("Configuration of the agent's extensions, in place of what was there.")

    def command(self) -> UpdateAgent:
        config = None if self.extension_config is None else json_object("extensionConfig", self.extension_config)
        return UpdateAgent(
            self.agent_id,
            self.expected_version,
            self.agent_name,
            self.agent_role,
            self.capabilities,
            self.concurrency,
            config,
        )


@strawberry.input(description="A message to an agent, or to all.")
class AgentMessageSendInput(MutationInput):
    from_agent_id: strawberry.ID | None = optional(
        "The agent that sends it; left out, the agent that the token names, or the person who holds it. A token that "
        "names an agent sends as that agent only."
    )
    to_agent_id: strawberry.ID | None = optional("The agent that it is for; null for all.")
    body: str = given(f"What it says, at most {MESSAGE_MAX:,} characters.")

    def command(self) -> SendMessage:
        return SendMessage(self.body, self.from_agent_id, self.to_agent_id)
