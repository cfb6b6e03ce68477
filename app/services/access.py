"""API tokens: make and revoke."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import check_agent_id
from app.domain.errors import InvalidInput
from app.domain.ids import new_id
from app.domain.principals import Principal, Role
from app.domain.rules import NAME_MAX, required_text
from app.security.tokens import hash_secret
from db.queries.changes import amend, create
from db.queries.entities import API_TOKEN
from db.tables.access import api_tokens


@dataclass(frozen=True)
class CreateToken:
    """A token for a holder; `expires_at` None means that it lives until it is revoked."""

    token_name: str
    role: Role
    secret: str
    agent_id: str | None = None
    expires_at: datetime | None = None


async def create_token(session: AsyncConnection, principal: Principal, command: CreateToken) -> Row[Any]:
    """Store the token's hash. Raises `InvalidInput`."""
    if command.agent_id is not None:
        check_agent_id(command.agent_id)
    if command.role is Role.AGENT and command.agent_id is None:
        raise InvalidInput(
            "A token of role AGENT names the agent that it acts for. Nothing was written.", "input.agentId"
        )
    values = {
        "token_id": new_id(),
        "token_name": required_text("tokenName", command.token_name, NAME_MAX),
        "token_hash": hash_secret(command.secret),
        "role": command.role.value,
        "agent_id": command.agent_id,
        "expires_at": command.expires_at,
    }
    return await create(session, API_TOKEN, values, "created", principal.name, {"role": command.role.value})


async def revoke_token(session: AsyncConnection, principal: Principal, token_id: UUID) -> Row[Any]:
    """Make the token worthless, within seconds in every process. Raises `NotFound`."""
    # what is revoked again was revoked when it first was
    values = {"revoked_at": func.coalesce(api_tokens.c.revoked_at, func.clock_timestamp())}
    return await amend(session, API_TOKEN, token_id, "revoked", principal.name, values=values)
