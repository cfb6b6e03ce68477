"""Every mutation, called with every class of wrong argument: a typed answer that helps, no row, no event.

The mutations and their fields are those of the schema: a new one without a case, or a field without a rule, fails.
Each test ends with the valid call that the wrong ones were made of, for real: else the refusals would prove nothing.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from graphql import GraphQLInputObjectType, get_named_type

from app.domain.errors import ErrorCode
from app.domain.principals import Role
from db.embedded import EmbeddedServer
from graphql_schema.http_transport import BODY_LIMIT
from tests.api.wrong import asking, rules
from tests.api.wrong.cases import Call
from tests.api.wrong.every import CASES
from tests.api.wrong.rules import rule_of
from tests.api.wrong.state import state_of
from tests.api.wrong.trial import MARK, Trial, with_raw
from tests.api.wrong.walking import Place, places, replaced, spell, value_at, without
from tests.api.wrong.world import JANE, World, as_json, opened_world
from tests.api.wrong.wrong_types import not_json, wrong_types
from tests.api.wrong.wrong_values import Place as RulePlace
from tests.api.wrong.wrong_values import just_right, wrong_values

pytestmark = pytest.mark.asyncio(loop_scope="module")

DATABASE = "wrong_arguments"
NUMBERS = ("Int", "Float", "BigInt", "Decimal")
WITHOUT_KEY = {
    "agentReport": "a report merges with what is there, so sending it again changes nothing",
    "apiTokenCreate": "the secret is shown once, so no answer of it may be kept",
}
"""The mutations that take neither idempotency key nor dry run, and why."""

each_mutation = pytest.mark.parametrize("mutation", sorted(asking.mutations()))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    postgres: EmbeddedServer, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """One hub for all cases."""
    postgres.create_database(DATABASE, template_database)
    folder: Path = tmp_path_factory.mktemp("wrong")
    async with opened_world(postgres.url(DATABASE), folder) as opened:
        yield opened
    postgres.drop_database(DATABASE)


async def test_every_mutation_has_a_case_and_every_case_a_mutation() -> None:
    assert set(CASES) == set(asking.mutations())


async def test_every_field_has_a_rule_and_every_rule_a_field() -> None:
    fields = {field for mutation in asking.mutations() for field in fields_of(asking.input_type(mutation))}
    named = {f"{owner}.{field}" for owner, field in fields} | {field for _, field in fields}
    assert [key for key in rules.RULES if key not in named] == []
    missing = [
        f"{owner}.{field}"
        for owner, field in sorted(fields)
        if f"{owner}.{field}" not in rules.RULES and field not in rules.RULES
    ]
    assert missing == []


def fields_of(owner: GraphQLInputObjectType) -> Iterator[tuple[str, str]]:
    """The fields of an input and of the inputs in it, each with its type's name."""
    for name, field in owner.fields.items():
        yield owner.name, name
        inner = get_named_type(field.type)
        if isinstance(inner, GraphQLInputObjectType):
            yield from fields_of(inner)


async def test_every_mutation_takes_a_key_and_a_dry_run_but_for_the_known() -> None:
    lacking = {
        mutation
        for mutation in asking.mutations()
        if not {"idempotencyKey", "dryRun"} <= set(asking.input_type(mutation).fields)
    }
    assert lacking == set(WITHOUT_KEY)


@each_mutation
async def test_wrong_types(world: World, mutation: str) -> None:
    trial = await Trial.begin(world, CASES[mutation])
    valid = trial.call.input
    for place in places(asking.input_type(mutation), valid):
        for label, value in wrong_types(place):
            words = f"'$input' has invalid value at {graphql_spelling(place)}"
            await trial.rejected(f"{place.spelled} = {label}", replaced(valid, place.path, value), words)
        if place.is_required:
            words = f"to include required field '{place.name}'"
            await trial.rejected(f"without {place.spelled}", without(valid, place.path), words)
    for whole in (None, "text", 7, [valid, valid]):
        await trial.rejected(f"input = {str(whole)[:20]}", whole, "'$input' has invalid value")
    await trial.rejected("an unknown field", {**valid, "noSuchField": 1}, "noSuchField")
    await trial.end()


def graphql_spelling(place: Place) -> str:
    """The path as graphql-core spells it: `.tasks[0].title`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place.path)


@each_mutation
async def test_wrong_values(world: World, mutation: str) -> None:
    trial = await Trial.begin(world, CASES[mutation])
    valid = trial.call.input
    for place in places(asking.input_type(mutation), valid):
        rule, example = rule_of(place.owner.name, place.name), rule_place(world, place, valid)
        for wrong in wrong_values(rule, example):
            path = (*place.path, *wrong.below)
            label = f"{spell(path)}, {wrong.label}"
            item = wrong.value
            for _ in wrong.below:
                item = [item]
            broken = replaced(valid, place.path, item)
            if "a lone surrogate" in wrong.label:
                await trial.malformed(label, as_json({"query": trial.document, "variables": {"input": broken}}))
            else:
                version = wrong.current_version
                await trial.refused(label, broken, wrong.codes, spell(path), current_version=version)
        for value in just_right(rule, example):
            await trial.would_succeed(f"{place.spelled} at its limit", replaced(valid, place.path, value))
    await trial.end()


def rule_place(world: World, place: Place, valid: Any) -> RulePlace:
    type_name = get_named_type(place.definition.type).name
    return RulePlace(value_at(valid, place.path), type_name, world.known)


@each_mutation
async def test_what_is_wrong_in_a_way_of_its_own(world: World, mutation: str) -> None:
    trial = await Trial.begin(world, CASES[mutation])
    for special in trial.call.special:
        at = None if special.at is None else f"input.{special.at}"
        await trial.refused(special.label, {**trial.call.input, **special.changes}, special.codes, at)
    await trial.would_succeed("the valid call", trial.call.input)
    trial.tried += 1
    await trial.end()


@each_mutation
async def test_no_json_and_too_large(world: World, mutation: str) -> None:
    trial = await Trial.begin(world, CASES[mutation])
    valid = trial.call.input
    for place in places(asking.input_type(mutation), valid):
        if get_named_type(place.definition.type).name in (*NUMBERS, "JSON"):
            marked = replaced(valid, place.path, MARK)
            for text in not_json():
                await trial.malformed(f"{place.spelled} = {text}", with_raw(trial.document, marked, text))
    body = as_json({"query": trial.document, "variables": {"input": valid}})
    await trial.malformed("a body over the limit", body + b" " * (BODY_LIMIT + 1 - len(body)), 413)
    await trial.malformed("bottomless nesting", with_raw(trial.document, {**valid, "noSuchField": MARK}, "[" * 100_000))
    await trial.malformed("half a body", body[: len(body) // 2])
    await trial.malformed("no UTF-8", body.replace(b"mutation", b"mutation \xff", 1))
    await trial.end()


@each_mutation
async def test_who_may_not(world: World, mutation: str) -> None:
    trial = await Trial.begin(world, CASES[mutation])
    case, call = trial.case, trial.call
    forbidden = [ErrorCode.FORBIDDEN]
    for role in Role:
        secret = await own_token(world, role, call)
        trial.state = await state_of(world.database)
        if role in case.roles:
            await trial.would_succeed(f"as {role.name}", call.input, secret)
        else:
            await trial.refused(f"as {role.name}", call.input, forbidden, None, secret=secret)
    others = [await world.secret(role, JANE) for role in (Role.AGENT, Role.PM) if role in case.roles]
    expired = await world.new_token(Role.ADMIN, None, expires_at=at_time(-1))
    revoked = await world.new_token(Role.ADMIN, None, revoked_at=at_time(0))
    trial.state = await state_of(world.database)
    if case.other_agent is not None:
        for secret in others:
            await trial.refused("as another agent", call.input, [case.other_agent], None, secret=secret)
    for label, secret_ in (
        ("no token", None),
        ("unknown", "hub_" + "x" * 43),
        ("expired", expired),
        ("revoked", revoked),
    ):
        await trial.unauthenticated(label, secret_)
    await trial.end()


async def own_token(world: World, role: Role, call: Call) -> str:
    """A token of the role; an agent's is that of the agent that the call is about."""
    return await world.secret(role, (call.agent_id or JANE) if role is Role.AGENT else None)


def at_time(days: float) -> Any:
    return datetime.now(UTC) + timedelta(days=days)


@each_mutation
async def test_repeated(world: World, mutation: str) -> None:
    case = CASES[mutation]
    other = await case.prepare(world)
    trial = await Trial.begin(world, case)
    key = {} if mutation in WITHOUT_KEY else {"idempotencyKey": world.name("key")}
    first = asking.payload_of(await trial.ask({**trial.call.input, **key}), mutation)
    assert first["userErrors"] == []
    done = await state_of(world.database)
    assert done != trial.state
    trial.state = done
    if key:
        again = asking.payload_of(await trial.ask({**trial.call.input, **key}), mutation)
        assert again == first
        await trial.unchanged("the same key and input")
        reused = [ErrorCode.IDEMPOTENCY_KEY_REUSED]
        await trial.refused("the key of another", {**other.input, **key}, reused, "input.idempotencyKey")
        await trial.would_succeed("another key", {**other.input, "idempotencyKey": world.name("key")})
    if case.again is not None:
        reply = await trial.ask(trial.call.input)
        version = reply.body["data"][mutation]["userErrors"][0]["currentVersion"]
        await trial.refused("once more", trial.call.input, [case.again], None, current_version=version)
    else:
        assert asking.payload_of(await trial.ask(trial.call.input), mutation)["userErrors"] == []
        trial.tried += 1
    trial.verify()
