"""API tokens, and who is asking."""

from datetime import datetime

import strawberry
from sqlalchemy import ColumnElement, and_, func, or_

from app.domain.principals import Role
from app.security.policy import Permission
from db.tables.access import api_tokens
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.connections import AgentRef
from graphql_schema.node import Node
from graphql_schema.planner.entities import Entity, Row
from graphql_schema.planner.fields import column, computed, of_principal, one

TOKEN = api_tokens.c


def _is_live(token: Row) -> ColumnElement[bool]:
    return and_(
        token[TOKEN.revoked_at].is_(None),
        or_(token[TOKEN.expires_at].is_(None), token[TOKEN.expires_at] > func.now()),
    )


@strawberry.type(
    description="A token that opens the hub's API. Only ADMIN sees tokens, and the secret itself is shown once, by "
    "`apiTokenCreate`; the hub keeps a hash of it."
)
class ApiToken(Node):
    __entity__ = Entity(api_tokens, (TOKEN.token_id,), requires=Permission.MANAGE_TOKENS)

    token_id: strawberry.ID = column(TOKEN.token_id, description="The token's UUID, which is no secret.")
    token_name: str = column(
        TOKEN.token_name, description="Who holds it; recorded as the actor of all that is done with it."
    )
    role: Role = column(TOKEN.role, description="What its holder may do.")
    agent_id: strawberry.ID | None = column(
        TOKEN.agent_id, description="The one agent that its holder acts for; null when it names none."
    )
    is_live: bool = computed(_is_live, description="Whether it opens the API now: neither revoked nor expired.")
    expires_at: datetime | None = column(
        TOKEN.expires_at, description="From when on it is refused; null when it does not expire."
    )
    revoked_at: datetime | None = column(
        TOKEN.revoked_at, description="When `apiTokenRevoke` ended it; null when it was not."
    )
    version: int = column(TOKEN.version, description="Rises by one with each change.")
    created_at: datetime = column(TOKEN.created_at, description="When it was made.")
    updated_at: datetime = column(TOKEN.updated_at, description="When it last changed.")
    agent: AgentRef | None = one(
        TOKEN.agent_id, description="The agent that its holder acts for; null before the agent registers."
    )


@strawberry.type(description="Who is asking: the holder of the token that came with the request.")
class Viewer:
    name: str = of_principal(lambda principal: principal.name, description="The token's name.")
    role: Role = of_principal(lambda principal: principal.role.name, description="What the viewer may do.")
    agent_id: strawberry.ID | None = of_principal(
        lambda principal: principal.agent_id, description="The one agent that the viewer acts for; null when none."
    )
