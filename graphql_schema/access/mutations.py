"""Mutations of API tokens."""

import strawberry

from app.domain.errors import HubError
from app.domain.ids import parse_id
from app.security.policy import Permission, authorise
from app.security.tokens import new_secret
from app.services.access import create_token, revoke_token
from graphql_schema.access.inputs import ApiTokenCreateInput, ApiTokenRevokeInput
from graphql_schema.access.types import ApiToken
from graphql_schema.context import Info
from graphql_schema.mutating import by, carry_out, refused
from graphql_schema.payloads import Payload
from graphql_schema.planner.bridge import entity_of
from graphql_schema.redacting import redact_input


@strawberry.type(description="The token as it is after the mutation.")
class ApiTokenPayload(Payload):
    entity_id: strawberry.Private[str | None] = None
    api_token: ApiToken | None = entity_of("ApiToken", description="The token; null when the request was refused.")
    secret: str | None = strawberry.field(
        description="The token itself, shown this once and stored only as a hash; null but at its creation.",
        default=None,
    )


@strawberry.type
class AccessMutations:
    @strawberry.mutation(
        description="Make an API token. The secret is shown once, so this mutation takes no idempotency key."
    )
    async def api_token_create(self, info: Info, input: ApiTokenCreateInput) -> ApiTokenPayload:
        context, secret = info.context, new_secret()
        try:
            authorise(context.principal, Permission.MANAGE_TOKENS)
            redacted = await redact_input(input)
            row = await context.database.transact(
                lambda session: create_token(session, context.principal, input.command(secret))
            )
        except HubError as error:
            return refused(ApiTokenPayload, error)
        return ApiTokenPayload(entity_id=str(row.token_id), secret=secret, redacted_fields=redacted)

    @strawberry.mutation(description="End a token: it is refused within five seconds everywhere.")
    async def api_token_revoke(self, info: Info, input: ApiTokenRevokeInput) -> ApiTokenPayload:
        return await carry_out(
            info,
            ApiTokenPayload,
            input,
            Permission.MANAGE_TOKENS,
            lambda session: revoke_token(session, info.context.principal, parse_id("tokenId", input.token_id)),
            by("token_id"),
        )
