"""Checks of the hub's API as a client finds it: alive, ready, the token, the schema."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
from graphql import (
    GraphQLSchema,
    build_client_schema,
    build_schema,
    find_breaking_changes,
    get_introspection_query,
)

from app.doctor.findings import Finding, fine, problem, skipped, warning
from app.doctor.installation import Installation

SECONDS = 5.0
NAMED = 3
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ADDRESS = "Set HUB_URL to one such as http://127.0.0.1:8000."
VIEWER = "{ viewer { name role agentId } }"
TRUSTED_ONLY = "TRUSTED_DOCUMENTS_ONLY"
"""The code by which a hub says that it answers registered documents only, none of which this is."""


async def examine_api(installation: Installation) -> list[Finding]:
    """All checks of the API; without an answer the later ones are skipped."""
    base = installation.hub_url.rstrip("/").removesuffix("/graphql")
    if not _is_address(base):
        return [problem("hub", f"{base} is not an address.", _ADDRESS), *_unasked()]
    async with httpx.AsyncClient(base_url=base, timeout=SECONDS, trust_env=not _is_local(base)) as client:
        alive = await _alive(client, base)
        if alive.remedy:
            return [alive, *_unasked()]
        token = _token(installation, base)
        return [
            alive,
            await _ready(client),
            await _token_works(client, token),
            await _schema(client, token, installation),
        ]


def _is_address(base: str) -> bool:
    try:
        parts = urlsplit(base)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _unasked() -> list[Finding]:
    return [skipped(name, "the hub does not answer") for name in ("readiness", "token", "schema")]


async def _alive(client: httpx.AsyncClient, base: str) -> Finding:
    try:
        answer = await client.get("/healthz")
        hub = answer.status_code == httpx.codes.OK and answer.json() == {"status": "alive"}
    except httpx.HTTPError as error:
        return problem(
            "hub",
            f"No hub answers at {base} ({type(error).__name__}).",
            "Start one with `hub up`, or set HUB_URL to where it is.",
        )
    except ValueError:
        hub = False
    if not hub:
        return problem("hub", f"What answers at {base} is not a hub.", "Set HUB_URL to where the hub is.")
    return fine("hub", f"It answers at {base}.")


async def _ready(client: httpx.AsyncClient) -> Finding:
    try:
        checks = (await client.get("/readyz")).json()["checks"]
        red = sorted(name for name, verdict in checks.items() if verdict != "ok")
    except (httpx.HTTPError, ValueError, KeyError, AttributeError):
        return problem("readiness", "The hub does not tell whether it is ready.", "Look at its log; start it again.")
    if red:
        return problem("readiness", f"The hub is not ready; red: {', '.join(red)}.", _remedies(red))
    return fine("readiness", f"The hub is ready: {', '.join(sorted(checks))}.")


def _remedies(red: list[str]) -> str:
    known = {
        "database": "Make its database answer (see the checks of the database).",
        "migrated": "Run `hub migrate`.",
        "tail": "It comes back by itself once the database answers; otherwise start the hub again.",
    }
    return " ".join(known.get(name, f"The hub's log tells why {name} is red.") for name in red)


async def _token_works(client: httpx.AsyncClient, token: str | None) -> Finding:
    remedy = "Give a token with --token or HUB_TOKEN; an administrator makes one: `hub token create NAME --role ROLE`."
    if token is None:
        return warning("token", "There is none to show to the hub, so that client commands do not work.", remedy)
    status, answer = await _ask(client, token, VIEWER)
    if _is_untrusted(answer):
        return fine("token", "The hub takes it, and answers registered documents only: not whose it is.")
    viewer: Any = (answer.get("data") or {}).get("viewer")
    if not viewer:
        return problem("token", f"The hub refuses it (HTTP {status}): unknown, expired or revoked.", remedy)
    agent = f", for the agent {viewer['agentId']} only" if viewer["agentId"] else ""
    return fine("token", f"It is {viewer['name']}'s, role {viewer['role']}{agent}.")


async def _schema(client: httpx.AsyncClient, token: str | None, installation: Installation) -> Finding:
    name = "schema"
    if token is None:
        return skipped(name, "there is no token")
    _, answer = await _ask(client, token, get_introspection_query(descriptions=False))
    if _is_untrusted(answer):
        return skipped(name, "the hub answers registered documents only (HUB_TRUSTED_DOCUMENTS_ONLY)")
    if not answer.get("data"):
        return skipped(name, "the hub does not show its schema to this token")
    theirs, ours = build_client_schema(answer["data"]), build_schema(installation.sdl)
    missing = _missing(ours, theirs)
    if missing:
        return problem(
            name,
            f"The hub lacks what this installation's commands ask for: {_some(missing)}.",
            "Update the hub to this installation's version, or this installation to the hub's.",
        )
    newer = _missing(theirs, ours)
    if newer:
        return warning(
            name,
            f"The hub is of another version; this installation does not know: {_some(newer)}.",
            "Update this installation to the hub's version.",
        )
    return fine(name, "The hub's schema is that of this installation.")


def _is_untrusted(answer: Mapping[str, Any]) -> bool:
    codes = [(error.get("extensions") or {}).get("code") for error in answer.get("errors") or ()]
    return TRUSTED_ONLY in codes


def _missing(wanted: GraphQLSchema, offered: GraphQLSchema) -> list[str]:
    """What is promised by the one schema and not by the other."""
    return [change.description.removesuffix(" was removed.") for change in find_breaking_changes(wanted, offered)]


async def _ask(client: httpx.AsyncClient, token: str, query: str) -> tuple[int, Mapping[str, Any]]:
    try:
        answer = await client.post("/graphql", json={"query": query}, headers={"authorization": f"Bearer {token}"})
        content = answer.json()
    except (httpx.HTTPError, ValueError):
        return 0, {}
    return answer.status_code, content if isinstance(content, Mapping) else {}


def _token(installation: Installation, base: str) -> str | None:
    """The token given, or that of this machine's administrator, which is sent to no other machine."""
    if installation.token is not None or not _is_local(base):
        return installation.token
    try:
        return installation.admin_token_file.read_text().strip() or None
    except OSError:
        return None


def _is_local(base: str) -> bool:
    return urlsplit(base).hostname in LOOPBACK


def _some(texts: list[str]) -> str:
    named = "; ".join(text.rstrip(".") for text in texts[:NAMED])
    return named + (f"; and {len(texts) - NAMED} more" if len(texts) > NAMED else "")
