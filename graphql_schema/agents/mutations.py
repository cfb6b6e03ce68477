"""Mutations of agents."""

import strawberry

from app.domain.errors import HubError
from app.security.policy import Permission, authorise
from app.services.agents import register_agent, set_agent_status, set_agent_statuses, update_agent
from app.services.messages import send_message
from graphql_schema.agents.inputs import (
    AgentMessageSendInput,
    AgentRegisterInput,
    AgentReportInput,
    AgentSetStatusInput,
    AgentsSetStatusInput,
    AgentUpdateInput,
)
from graphql_schema.agents.types import AgentMessage, AgentState
from graphql_schema.batches import RESULTS, BatchPayload, BatchResult, refer_each
from graphql_schema.context import Info
from graphql_schema.mutating import by, carry_out, refused
from graphql_schema.payloads import Payload
from graphql_schema.planner.bridge import entity_of
from graphql_schema.redacting import redact_input


@strawberry.type(description="The agent as it is after the mutation.")
class AgentPayload(Payload):
    entity_id: strawberry.Private[str | None] = None
    agent: AgentState | None = entity_of("AgentState", description="The agent; null when the request was refused.")


@strawberry.type(description="What became of one agent of a batch.")
class AgentResult(BatchResult):
    agent: AgentState | None = entity_of("AgentState", description="The agent as it is now; null when it was refused.")


@strawberry.type(description="What became of each agent of a batch.")
class AgentsPayload(BatchPayload):
    @strawberry.field(description=RESULTS)
    def results(self) -> list[AgentResult]:
        return [AgentResult.of(outcome) for outcome in self.outcomes]


@strawberry.type(description="The message that was sent.")
class AgentMessagePayload(Payload):
    entity_id: strawberry.Private[str | None] = None
    message: AgentMessage | None = entity_of(
        "AgentMessage", description="The message; null when the request was refused, and in a dry run."
    )


@strawberry.type
class AgentMutations:
    @strawberry.mutation(
        description="Register an agent or, if it is known, begin a new session of it: it comes online, and tasks that "
        "an earlier process of it still held are given back."
    )
    async def agent_register(self, info: Info, input: AgentRegisterInput) -> AgentPayload:
        return await carry_out(
            info,
            AgentPayload,
            input,
            Permission.ACT_AS_AGENT,
            lambda session: register_agent(session, info.context.principal, input.command()),
            by("agent_id"),
            agent_id=input.agent_id,
        )

    @strawberry.mutation(
        description="Say that the agent is alive, with what it observed of itself. At least every 30 seconds, else it "
        "counts as stale; after 90 seconds it is offline and its tasks are given back. Never makes a version stale."
    )
    async def agent_report(self, info: Info, input: AgentReportInput) -> AgentPayload:
        redacted: list[str] = []
        try:
            authorise(info.context.principal, Permission.ACT_AS_AGENT, agent_id=input.agent_id)
            redacted = await redact_input(input)
            await info.context.reports.report(info.context.principal, input.command())
        except HubError as error:
            return refused(AgentPayload, error)
        return AgentPayload(entity_id=input.agent_id, redacted_fields=redacted)

    @strawberry.mutation(
        description="Move an agent to IDLE, ERROR or OFFLINE; for the last two the tasks that it held are given back."
    )
    async def agent_set_status(self, info: Info, input: AgentSetStatusInput) -> AgentPayload:
        return await carry_out(
            info,
            AgentPayload,
            input,
            Permission.ACT_AS_AGENT,
            lambda session: set_agent_status(session, info.context.principal, input.command()),
            by("agent_id"),
            agent_id=input.agent_id,
        )

    @strawberry.mutation(
        description="Move many agents to IDLE, ERROR or OFFLINE, as `agentSetStatus` does, all or nothing or each by "
        "itself. A token that names an agent may name that one only."
    )
    async def agents_set_status(self, info: Info, input: AgentsSetStatusInput) -> AgentsPayload:
        return await carry_out(
            info,
            AgentsPayload,
            input,
            Permission.ACT_AS_AGENT,
            lambda session: set_agent_statuses(session, info.context.principal, input.command()),
            refer_each("agent_id"),
        )

    @strawberry.mutation(
        description="Change what is known of an agent: name, role, capabilities, concurrency or configuration. Of two "
        "who change the same version one is refused with STALE_VERSION."
    )
    async def agent_update(self, info: Info, input: AgentUpdateInput) -> AgentPayload:
        return await carry_out(
            info,
            AgentPayload,
            input,
            Permission.ACT_AS_AGENT,
            lambda session: update_agent(session, info.context.principal, input.command()),
            by("agent_id"),
            agent_id=input.agent_id,
        )

    @strawberry.mutation(
        description="Send a message to an agent, or to all; it is pushed by `agentMessageSent` and kept in "
        "`communicationHistory`."
    )
    async def agent_message_send(self, info: Info, input: AgentMessageSendInput) -> AgentMessagePayload:
        return await carry_out(
            info,
            AgentMessagePayload,
            input,
            Permission.ACT_AS_AGENT,
            lambda session: send_message(session, info.context.principal, input.command()),
            by("message_id"),
        )
