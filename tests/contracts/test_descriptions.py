"""What tools learn of the API from its schema alone: what scalars are, how far inputs may go, what is going away."""

import re
from collections.abc import Iterator

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    is_specified_scalar_type,
)

from tests.contracts.generating import ROOT, SDL
from tests.contracts.limits import limits

LIMITS = limits()


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema(SDL.read_text())


def inputs(schema: GraphQLSchema) -> Iterator[tuple[str, str, GraphQLInputField]]:
    """Every field of every input, with the names of both."""
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLInputObjectType):
            yield from ((type_.name, name, field) for name, field in type_.fields.items())


def test_every_scalar_of_the_hub_says_where_it_is_specified(schema: GraphQLSchema) -> None:
    own = [
        type_
        for type_ in schema.type_map.values()
        if isinstance(type_, GraphQLScalarType) and not is_specified_scalar_type(type_)
    ]
    assert {type_.name for type_ in own} == {"BigInt", "Cursor", "DateTime", "Decimal", "JSON"}
    assert [type_.name for type_ in own if not (type_.specified_by_url or "").startswith("https://")] == []
    page = (ROOT / "docs" / "api.md").read_text()
    for type_ in own:
        assert f"| `{type_.name}` |" in page
        assert str(type_.specified_by_url) in page


def test_every_code_of_a_refusal_is_explained(schema: GraphQLSchema) -> None:
    codes = schema.type_map["ErrorCode"]
    assert isinstance(codes, GraphQLEnumType)
    page = (ROOT / "docs" / "api.md").read_text()
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.M)) - {"JSON"} == set(codes.values)


def test_the_limits_are_found() -> None:
    assert LIMITS["title"] == {"200 characters"}
    assert LIMITS["confidenceScore"] == LIMITS["complexity"] == {"from 1 to 10"}
    assert LIMITS["cpuUsage"] == {"from 0 to 100"}
    assert LIMITS["fallbacks"] == {"10"}
    assert len(LIMITS) >= 40


def names_its_limits(name: str, field: GraphQLInputField) -> bool:
    """Whether the description names the limit; of a list how many it may have, and how long each may be."""
    enough = all if "[" in str(field.type) else any  # fields of one name may have limits of their own
    return enough(words in (field.description or "") for words in LIMITS[name])


def test_every_limit_of_an_input_is_named_in_its_description(schema: GraphQLSchema) -> None:
    silent = [
        f"{type_}.{name}: {' or '.join(sorted(LIMITS[name]))}"
        for type_, name, field in inputs(schema)
        if name in LIMITS and not type_.endswith("Filter") and not names_its_limits(name, field)
    ]
    assert silent == []


NUMBERS_WITHOUT_LIMIT = {"expectedVersion", "measured", "atMost", "atLeast"}
"""Of `CheckInput` any finite number is taken; a version is one that was read."""


def test_every_number_and_every_list_has_a_limit_that_is_found(schema: GraphQLSchema) -> None:
    numeric = {"Int", "Float", "Decimal", "BigInt"}
    unknown = [
        f"{type_}.{name}: {field.type}"
        for type_, name, field in inputs(schema)
        if (get_named_type(field.type).name in numeric or "[" in str(field.type))
        # what a value is compared with may be any value
        and not (type_.endswith("Filter") and "[" not in str(field.type))
        and not any(sign.isdigit() for sign in field.description or "")
        and name not in NUMBERS_WITHOUT_LIMIT
    ]
    assert unknown == []


def reasons(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """All that is deprecated, with the reason."""
    for type_ in schema.type_map.values():
        if isinstance(type_, (GraphQLObjectType, GraphQLInterfaceType)):
            for name, field in type_.fields.items():
                yield f"{type_.name}.{name}", field.deprecation_reason
                yield from (
                    (f"{type_.name}.{name}({arg})", given.deprecation_reason) for arg, given in field.args.items()
                )
        if isinstance(type_, GraphQLInputObjectType):
            yield from ((f"{type_.name}.{name}", field.deprecation_reason) for name, field in type_.fields.items())
        if isinstance(type_, GraphQLEnumType):
            yield from ((f"{type_.name}.{name}", value.deprecation_reason) for name, value in type_.values.items())


DEPRECATED = """
type Query {
  old: Int @deprecated(reason: "Use `new`, which counts more. Goes with 0.9.")
  older: Int @deprecated
}
"""


def follows_the_policy(reason: str) -> bool:
    """Whether a reason says what to use instead, and which version takes the old away."""
    return reason.startswith("Use `") and " Goes with " in reason


def test_what_is_deprecated_says_what_to_use_and_when_it_goes(schema: GraphQLSchema) -> None:
    wanting = [name for name, reason in reasons(schema) if reason is not None and not follows_the_policy(reason)]
    assert wanting == []
    example = {name: reason for name, reason in reasons(build_schema(DEPRECATED)) if reason is not None}
    assert {name: follows_the_policy(reason) for name, reason in example.items()} == {
        "Query.old": True,
        "Query.older": False,
    }
