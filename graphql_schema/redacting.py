"""Secrets in the input of a mutation are replaced before anything else happens with it.

What an input holds of free text follows from its type hints, so a new field is covered by being declared: every String
and every JSON, in lists and nested inputs too. IDs, enums and the idempotency key are no free text: they are compared,
not shown.
"""

import asyncio
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_origin

import strawberry
from strawberry.types import get_object_definition, has_object_definition
from strawberry.utils.str_converters import to_camel_case

from app.security.scrubbing import Texts
from graphql_schema.scalars import JSON

NO_FREE_TEXT = frozenset({"idempotency_key"})
AT_ONCE = 20_000
"""Characters that are examined on the event loop, in 1.5 ms; more are in a thread, between whose steps it runs on."""


@dataclass(frozen=True)
class FreeText:
    """A field of an input that holds text, JSON, or a list of either."""

    attribute: str
    name: str


@dataclass(frozen=True)
class Nested:
    """A field of an input that holds another input, or a list of them."""

    attribute: str
    name: str


async def redact_input(input: Any) -> list[str]:
    """`redact`, which leaves the event loop to others while much is examined."""
    texts, kept = _taken_in(input)
    if texts.size <= AT_ONCE:
        return _put_back(texts, kept)
    return await asyncio.to_thread(_put_back, texts, kept)


def redact(input: Any) -> list[str]:
    """Replace the secrets in an input, in place; the GraphQL paths of what was replaced, each once."""
    return _put_back(*_taken_in(input))


@cache
def parts_of(input_type: type) -> Sequence[FreeText | Nested]:
    """The fields of an input type that hold free text, and those through which more of it is reached."""
    hints = typing.get_type_hints(input_type)
    fields = get_object_definition(input_type, strict=True).fields
    found = (_part(field, hints[field.python_name]) for field in fields if field.python_name not in NO_FREE_TEXT)
    return tuple(part for part in found if part is not None)


def _part(field: Any, hint: Any) -> FreeText | Nested | None:
    name = field.graphql_name or to_camel_case(field.python_name)
    inner = _innermost(hint)
    if inner is str or inner is JSON:
        return FreeText(field.python_name, name)
    if isinstance(inner, type) and has_object_definition(inner):
        return Nested(field.python_name, name)
    return None


def _innermost(hint: Any) -> Any:
    """The type within optionals and lists."""
    origin = get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _innermost(next(option for option in get_args(hint) if option not in (type(None), types.NoneType)))
    if origin in (list, typing.Annotated):
        return _innermost(get_args(hint)[0])
    return hint


@dataclass(frozen=True)
class _Kept:
    """Where a field's value is put back."""

    input: Any
    attribute: str
    slot: list[Any]


def _taken_in(input: Any) -> tuple[Texts, list[_Kept]]:
    texts = Texts()
    return texts, list(_fields(input, "input", texts))


def _fields(input: Any, path: str, texts: Texts) -> Iterator[_Kept]:
    kind: type = type(input)
    for part in parts_of(kind):
        value, below = getattr(input, part.attribute), f"{path}.{part.name}"
        if value is None or value is strawberry.UNSET:
            continue
        if isinstance(part, FreeText):
            yield _Kept(input, part.attribute, texts.add(value, below))
        elif isinstance(value, list):
            for number, item in enumerate(value):
                yield from _fields(item, f"{below}.{number}", texts)
        else:
            yield from _fields(value, below, texts)


def _put_back(texts: Texts, kept: Sequence[_Kept]) -> list[str]:
    found = texts.scrub()
    for each in kept if found else ():
        setattr(each.input, each.attribute, each.slot[0])
    return list(dict.fromkeys(path for path, _ in found))
