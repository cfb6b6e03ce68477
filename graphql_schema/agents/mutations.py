"""Mutations of agents."""

import strawberry

from app.domain.errors import HubError
from app.security.policy import Permission, authorise
from app.services.agents import register_agent, set_agent_status
from graphql_schema.agents.inputs import AgentRegisterInput, AgentReportInput, AgentSetStatusInput
from graphql_schema.agents.types import AgentState
from graphql_schema.context import Info
from graphql_schema.mutating import by, carry_out, refused
from graphql_schema.payloads import Payload
from graphql_schema.planner.bridge import entity_of


@strawberry.type(description="The agent as it is after the mutation.")
class AgentPayload(Payload):
    entity_id: strawberry.Private[str | None] = None
    agent: AgentState | None = entity_of("AgentState", description="The agent; null when the request was refused.")


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
        try:
            authorise(info.context.principal, Permission.ACT_AS_AGENT, agent_id=input.agent_id)
            await info.context.reports.report(info.context.principal, input.command())
        except HubError as error:
            return refused(AgentPayload, error)
        return AgentPayload(entity_id=input.agent_id)

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
