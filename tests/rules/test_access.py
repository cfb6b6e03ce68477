"""Tokens: one that is revoked again was revoked when it first was."""

from app.domain.principals import Role
from app.security.tokens import new_secret
from app.services.access import CreateToken, create_token, revoke_token
from db.session import Database
from tests.services.makers import ADMIN, run


async def test_the_moment_of_a_revocation_stays(database: Database) -> None:
    token = await run(database, create_token, ADMIN, CreateToken("a leaver", Role.VIEWER, new_secret()))
    first = await run(database, revoke_token, ADMIN, token.token_id)
    again = await run(database, revoke_token, ADMIN, token.token_id)
    assert first.revoked_at is not None
    assert (again.revoked_at, again.version) == (first.revoked_at, first.version + 1)
