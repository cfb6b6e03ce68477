"""The fields of an input, those of nested inputs too, each with its place in a valid value."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLType,
    Undefined,
    get_named_type,
)

Path = tuple[str | int, ...]


class NoExample(Exception):
    """The valid call leaves out a field whose parts must be tried."""


@dataclass(frozen=True)
class Place:
    """A field of an input, and where it stands in the value of `$input`."""

    owner: GraphQLInputObjectType
    name: str
    definition: GraphQLInputField
    path: Path

    @property
    def spelled(self) -> str:
        """The path as `userErrors` spell it."""
        return spell(self.path)

    @property
    def is_required(self) -> bool:
        return isinstance(self.definition.type, GraphQLNonNull) and self.definition.default_value is Undefined


def places(owner: GraphQLInputObjectType, value: Mapping[str, Any], path: Path = ()) -> Iterator[Place]:
    """Every field, parents before their parts; of a list the parts of the first item."""
    for name, definition in owner.fields.items():
        place = Place(owner, name, definition, (*path, name))
        yield place
        inner = get_named_type(definition.type)
        if isinstance(inner, GraphQLInputObjectType):
            if not value.get(name):
                raise NoExample(f"give an example of {place.spelled}")
            is_list = isinstance(nullable(definition.type), GraphQLList)
            example = value[name][0] if is_list else value[name]
            yield from places(inner, example, (*place.path, 0) if is_list else place.path)


def nullable(type_: GraphQLType) -> GraphQLType:
    """The type without its `!`."""
    return type_.of_type if isinstance(type_, GraphQLNonNull) else type_


def spell(path: Path) -> str:
    return ".".join(["input", *map(str, path)])


def value_at(value: Any, path: Path) -> Any:
    """What stands there, None when nothing does."""
    for key in path:
        if isinstance(value, Mapping):
            value = value.get(key)
        else:
            value = value[key] if isinstance(value, list) and isinstance(key, int) and key < len(value) else None
    return value


def replaced(value: Mapping[str, Any], path: Path, new: Any) -> dict[str, Any]:
    """A copy in which `new` stands at the path."""
    return _changed(value, path, lambda holder, key: holder.__setitem__(key, new))


def without(value: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A copy without what stands at the path."""
    return _changed(value, path, lambda holder, key: holder.pop(key, None))


def _changed(value: Mapping[str, Any], path: Path, change: Any) -> dict[str, Any]:
    whole = copy.deepcopy(dict(value))
    holder: Any = whole
    for key in path[:-1]:
        holder = holder[key]
    change(holder, path[-1])
    return whole
