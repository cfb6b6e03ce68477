"""The types behind `groups`: what objects can be grouped by, and what can be counted up of each group."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLFloat,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    get_named_type,
)
from sqlalchemy import Column

GROUPS_DEFAULT = 100
GROUPS_MAX = 1_000
GROUP_TERMS_MAX = 4
MERGED = "merged"
"""The field of a stream's payload with the figures of all that it stands for."""
GROUPABLE = frozenset({"String", "ID", "Boolean", "Int", "DateTime"})
NUMBERS = frozenset({"Int", "BigInt", "Decimal", "Float"})

BUCKET = GraphQLEnumType(
    "TimeBucket",
    {
        "MINUTE": GraphQLEnumValue("minute", description="By the minute."),
        "HOUR": GraphQLEnumValue("hour", description="By the hour."),
        "DAY": GraphQLEnumValue("day", description="By the day, in UTC."),
        "WEEK": GraphQLEnumValue("week", description="By the week, in UTC, from Monday on."),
        "MONTH": GraphQLEnumValue("month", description="By the month, in UTC."),
    },
    description="Into which stretches points in time are put.",
)


Kept = TypeVar("Kept", bound=GraphQLNamedType)


class GroupTypes:
    """Makes the types of a schema's groups, each once, among those that `made` keeps by name."""

    def __init__(self, schema: GraphQLSchema, made: dict[str, GraphQLNamedType]) -> None:
        self._schema = schema
        self._made = made

    def add(self, connection: GraphQLObjectType, node: GraphQLObjectType, columns: Mapping[str, Column[Any]]) -> None:
        """Give a connection's type the field `groups`, unless nothing of its objects can be grouped."""
        if "groups" in connection.fields or not any(_is_groupable(node, name) for name in columns):
            return
        self._made[BUCKET.name] = BUCKET
        connection.fields["groups"] = _field(
            GraphQLNonNull(GraphQLList(GraphQLNonNull(self._group(node, columns)))),
            "The objects of all pages in groups, each with its figures; in the order of what they are grouped by.",
            {
                "by": GraphQLArgument(
                    GraphQLList(GraphQLNonNull(self._term(node, columns))),
                    description=f"What the objects of a group have in common, at most {GROUP_TERMS_MAX} things; "
                    "without it all objects are one group.",
                ),
                "first": GraphQLArgument(
                    GraphQLInt,
                    description=f"How many groups at most, from 1 to {GROUPS_MAX}; {GROUPS_DEFAULT} when left out.",
                ),
            },
        )

    def add_merged(
        self, payload: GraphQLObjectType, node: GraphQLObjectType, columns: Mapping[str, Column[Any]]
    ) -> None:
        """Give the payload of a stream the field `merged`: the figures of all that one payload stands for."""
        payload.fields[MERGED] = _field(
            GraphQLNonNull(self._group(node, columns)),
            "The figures of all that this payload stands for: with `minInterval` those of the interval, else the one. "
            "Its `key` is null throughout.",
        )

    def _term(self, node: GraphQLObjectType, columns: Mapping[str, Column[Any]]) -> GraphQLInputObjectType:
        values = {
            screaming(name): GraphQLEnumValue(name, description=f"By `{name}`.")
            for name in columns
            if _is_groupable(node, name)
        }
        name = f"{node.name}GroupField"
        field = self._kept(
            name, lambda: GraphQLEnumType(name, values, description=f"What a {node.name} can be grouped by.")
        )
        return self._kept(
            f"{node.name}GroupBy",
            lambda: GraphQLInputObjectType(
                f"{node.name}GroupBy",
                {
                    "field": GraphQLInputField(GraphQLNonNull(field), description="What is compared."),
                    "bucket": GraphQLInputField(
                        BUCKET,
                        description="For points in time, and required there: the stretches that they are put in.",
                    ),
                },
                description=f"One thing that objects of the type {node.name} are grouped by.",
            ),
        )

    def _group(self, node: GraphQLObjectType, columns: Mapping[str, Column[Any]]) -> GraphQLObjectType:
        fields = {
            "key": _field(GraphQLNonNull(self._key(node, columns)), "What the objects of the group have in common."),
            "count": _field(GraphQLNonNull(GraphQLInt), "How many objects the group has."),
        }
        for name in columns:
            named = get_named_type(node.fields[name].type)
            if named.name in NUMBERS or named.name == "DateTime":
                fields[name] = _field(GraphQLNonNull(self._figures(named)), f"Figures of `{name}`.")
        name = f"{node.name}Group"
        return self._kept(
            name,
            lambda: GraphQLObjectType(
                name, fields, description=f"Objects of the type {node.name} that have something in common."
            ),
        )

    def _key(self, node: GraphQLObjectType, columns: Mapping[str, Column[Any]]) -> GraphQLObjectType:
        fields = {
            name: _field(
                get_named_type(node.fields[name].type),
                f"The group's `{name}`, or where its stretch of time begins; null when they are not grouped by it.",
            )
            for name in columns
            if _is_groupable(node, name)
        }
        name = f"{node.name}GroupKey"
        return self._kept(
            name, lambda: GraphQLObjectType(name, fields, description=f"What a group of {node.name} has in common.")
        )

    def _figures(self, named: Any) -> GraphQLObjectType:
        name = f"{named.name}Figures"
        ends = {
            "min": _field(named, "The least value; null when there is none."),
            "max": _field(named, "The greatest value; null when there is none."),
        }
        exact = self._schema.type_map.get("Decimal", GraphQLFloat)
        numbers = {
            "sum": _field(exact, "The sum, exact; null when there is no value."),  # type: ignore[arg-type]
            "avg": _field(exact, "The mean, to six decimals; null when there is no value."),  # type: ignore[arg-type]
            "percentile": _field(
                GraphQLFloat,
                "The value below which this share of the values lies, interpolated; null when there is no value.",
                {
                    "p": GraphQLArgument(
                        GraphQLNonNull(GraphQLFloat),
                        description="The share, from 0 to 1: 0.95 for the 95th percentile.",
                    )
                },
            ),
        }
        fields = {**ends, **(numbers if named.name in NUMBERS else {})}
        return self._kept(
            name,
            lambda: GraphQLObjectType(
                name, fields, description=f"Figures of values of the type {named.name}; nulls do not count."
            ),
        )

    def _kept(self, name: str, make: Callable[[], Kept]) -> Kept:
        if name not in self._made:
            self._made[name] = make()
        return cast("Kept", self._made[name])


def screaming(name: str) -> str:
    """A field's name as an enum's value: `createdAt` is CREATED_AT."""
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in name)


def _is_groupable(node: GraphQLObjectType, name: str) -> bool:
    named = get_named_type(node.fields[name].type)
    return named.name in GROUPABLE or isinstance(named, GraphQLEnumType)


def _field(
    type_: GraphQLOutputType, description: str, arguments: dict[str, GraphQLArgument] | None = None
) -> GraphQLField:
    return GraphQLField(type_, arguments, resolve=_by_response_key, description=description)


def _by_response_key(source: Any, info: GraphQLResolveInfo[Any], **_: Any) -> Any:
    """What the planner put there."""
    value = source[info.path.key]
    named = get_named_type(info.return_type)
    if value is not None and isinstance(named, GraphQLEnumType):
        return named.values[value].value
    return value
