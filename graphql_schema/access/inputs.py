"""Inputs of the tokens' mutations."""

from datetime import datetime

import strawberry

from app.domain.principals import Role
from app.services.access import CreateToken
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.payloads import MutationInput, given, optional


@strawberry.input(description="A new API token.")
class ApiTokenCreateInput:
    token_name: str = given("Who holds it, at most 200 characters; recorded as the actor of every change made with it.")
    role: Role = given("What it may do.")
    agent_id: strawberry.ID | None = optional("The one agent that it acts for; required for the role AGENT.")
    expires_at: datetime | None = optional("When it stops working; null: only when it is revoked.")

    def command(self, secret: str) -> CreateToken:
        return CreateToken(self.token_name, self.role, secret, self.agent_id, self.expires_at)


@strawberry.input(description="End a token.")
class ApiTokenRevokeInput(MutationInput):
    token_id: strawberry.ID = given("The token.")
