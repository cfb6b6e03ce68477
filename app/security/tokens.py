"""Bearer tokens: made once, stored hashed, looked up through a short-lived cache.

A revoked or expired token is refused within `CACHE_SECONDS` in every process.
"""

import hashlib
import re
import secrets
import time

from app.domain.errors import Unauthenticated
from app.domain.principals import Principal, Role
from db.queries.access import find_token
from db.session import Database

PREFIX = "hub_"
CACHE_SECONDS = 3.0
CACHE_SIZE = 10_000


def new_secret() -> str:
    """A new token: 256 random bits behind a prefix that secret scanners can find."""
    return PREFIX + secrets.token_urlsafe(32)


def is_secret(text: str) -> bool:
    """Whether the text has the form of a token that `new_secret` made."""
    return re.fullmatch(PREFIX + r"[\w-]{43}", text, re.ASCII) is not None


def hash_secret(secret: str) -> bytes:
    """What is stored of a token. It is random, so a plain SHA-256 cannot be searched."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class Authenticator:
    """Turns a bearer token into the principal who holds it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: dict[bytes, tuple[float, Principal]] = {}

    async def authenticate(self, secret: str) -> Principal:
        """The holder of the token. Raises `Unauthenticated`, or `Unavailable` when the database is away."""
        digest = hash_secret(secret)
        cached = self._cache.get(digest)
        if cached is not None and cached[0] > time.monotonic():
            return cached[1]
        principal = await self._look_up(digest)
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[digest] = (time.monotonic() + CACHE_SECONDS, principal)
        return principal

    async def _look_up(self, digest: bytes) -> Principal:
        async with self._database.snapshot() as connection:
            token = await find_token(connection, digest)
        if token is None:
            self._cache.pop(digest, None)
            raise Unauthenticated("This token is unknown, expired or revoked. Ask an administrator for a new one.")
        return Principal(token.token_name, Role(token.role), token.agent_id, str(token.token_id))
