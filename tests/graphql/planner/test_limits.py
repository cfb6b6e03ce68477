"""Limits of a document: they hold through fragments, cost nothing to check, and are told."""

import time

import pytest
from graphql import parse

from graphql_schema import limits
from graphql_schema.limits import over_the_limits
from tests.graphql.planner.conftest import Reader


def refusals(query: str) -> list[str]:
    return [error.message for error in over_the_limits(parse(query))]


def nested(levels: int) -> str:
    return "{ a " * levels + "}" * levels


def test_depth_is_counted_in_levels_that_have_fields() -> None:
    assert refusals(nested(13)) == []
    assert refusals(nested(14)) == [
        "The operation has 13 levels of fields; at most 12 are allowed. Ask for less at once."
    ]


def test_depth_holds_through_fragments() -> None:
    fragment = "fragment F on T { a { a { a { a { a { a { b } } } } } } }"
    assert refusals("{ a { a { a { a { a { a { ...F } } } } } } }" + fragment) == []
    (message,) = refusals("{ a { a { a { a { a { a { a { ...F } } } } } } } }" + fragment)
    assert "13 levels" in message


def test_introspection_is_deep_by_nature() -> None:
    assert refusals("{ __schema { " + "a { " * 15 + "b" + "}" * 17) == []


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("{ " + " ".join(f"a{n}: a" for n in range(101)) + " }", "101 aliases"),
        ("{ a " + "@x " * 101 + "}", "101 directives"),
        ("query " + "@x " * 101 + "{ a }", "101 directives"),
        ("{ " + "a " * 2_001 + "}", "2001 fields"),
        ("{ " + "...F " * 51 + "} fragment F on T { x: a y: a }", "102 aliases"),
        ("{ " + "...F " * 51 + "} fragment F on T { x @x y @x }", "102 directives"),
    ],
)
def test_counts_are_of_the_document_written_out(query: str, what: str) -> None:
    (message,) = refusals(query)
    assert what in message


def test_fragments_are_limited() -> None:
    assert refusals("{ a }" + "".join(f" fragment F{n} on T {{ a }}" for n in range(101))) == [
        "The document has 101 fragments; at most 100 are allowed."
    ]


def test_fragments_that_spread_each_other_are_counted_once_each() -> None:
    doubling = "".join(f" fragment F{n} on T {{ ...F{n + 1} ...F{n + 1} }}" for n in range(90))
    started = time.perf_counter()
    messages = refusals("{ ...F0 }" + doubling + " fragment F90 on T { a }")
    assert time.perf_counter() - started < 0.5
    assert f"The operation has {2**90} fields" in messages[0]


def test_fragments_in_a_circle_end() -> None:
    assert refusals("{ ...A } fragment A on T { a { ...B } } fragment B on T { b { ...A } }") == []


async def test_the_limits_come_before_validation(admin: Reader) -> None:
    answer = await admin.ask("{ " + "nothing " * 2_001 + "}")
    assert [error["message"] for error in answer.errors] == [
        "The operation has 2001 fields, fragments written out; at most 2000 are allowed. Ask for less at once."
    ]
    assert answer.data is None
    assert answer.statements == []


async def test_tokens_are_limited(admin: Reader) -> None:
    answer = await admin.ask("{ " + "a " * limits.MAX_TOKENS + "}")
    (error,) = answer.errors
    assert "4000 tokens" in error["message"]


async def test_the_usual_introspection_passes(admin: Reader) -> None:
    from_tool = """query { __schema { types { name fields(includeDeprecated: true) { name args { type { ...T } } type {
        ...T } } inputFields { type { ...T } } } } } fragment T on __Type { kind name ofType { kind name ofType { kind
        name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } }
        } }"""
    answer = await admin.ask(from_tool)
    assert answer.errors == []
    assert len(answer.data["__schema"]["types"]) > 50
