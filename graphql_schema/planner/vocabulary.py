"""What can be filtered and ordered by: inputs of the schema, made of the declarations that the planner already has.

Each column, relation and SQL expression that a type shows can be asked about, under the name that it is shown by. The
inputs are graphql-core's own, added once the schema stands: they are read by the planner alone.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLString,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
)
from sqlalchemy import ARRAY, Column, ColumnElement
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import NULLTYPE, TypeEngine

from graphql_schema.planner.builder import as_object, object_type_of, plan_of
from graphql_schema.planner.entities import BACK_REFERENCE, STREAM, SUBJECT_TYPE, Entity, Row, entity_of_type
from graphql_schema.planner.group_types import GroupTypes, screaming
from graphql_schema.planner.plans import ColumnPlan, ComputedPlan, OnePlan, RelationPlan

ORDER_TERMS_MAX = 5
DIRECTION = GraphQLEnumType(
    "OrderDirection",
    {
        "ASC": GraphQLEnumValue("asc", description="Smallest, earliest or alphabetically first things first."),
        "DESC": GraphQLEnumValue("desc", description="Greatest, latest or alphabetically last things first."),
    },
    description="Which end of an order comes first.",
)
NULLS = GraphQLEnumType(
    "NullsOrder",
    {
        "FIRST": GraphQLEnumValue("first", description="Before all values."),
        "LAST": GraphQLEnumValue("last", description="After all values."),
    },
    description="Where objects stand that have no value for what is ordered by.",
)

CONDITIONS_MAX = 50
"""Conditions in one filter."""
CONDITIONS = f"A filter has at most {CONDITIONS_MAX} conditions."

COMPARED = frozenset({"String", "Int", "BigInt", "Float", "Decimal", "DateTime"})
LISTED = frozenset({"String", "ID"})
OPERATORS: Mapping[str, str] = {
    "eq": "The value is this one.",
    "ne": "The value is another one, or there is none.",
    "in": "The value is one of these; at most 500. Nothing fits an empty list.",
    "lt": "The value is less than this one.",
    "lte": "The value is this one or less.",
    "gt": "The value is greater than this one.",
    "gte": "The value is this one or greater.",
    "contains": "This text occurs in the value, in whatever case.",
    "startsWith": "The value begins with this text, in whatever case.",
}


@dataclass(frozen=True, eq=False)
class Question:
    """What can be asked about one field: a value in SQL, or a relation to another type."""

    name: str
    field: GraphQLField
    value: Callable[[Row], ColumnElement[Any]] | None = None
    sql_type: TypeEngine[Any] = NULLTYPE
    relation: RelationPlan | None = None
    type: GraphQLObjectType | None = None


def questions_of(type_: GraphQLObjectType) -> dict[str, Question]:
    """All that can be asked about the fields of an entity's type, by the fields' names."""
    entity = entity_of_type(type_)
    if entity is None:
        raise LookupError(f"{type_.name} declares no entity")
    found = {name: _question(name, field, Row(entity)) for name, field in type_.fields.items()}
    return {name: question for name, question in found.items() if question is not None}


def columns_of(type_: GraphQLObjectType) -> dict[str, Column[Any]]:
    """The columns that can be ordered by, by the names of their fields."""
    found = {}
    for name, field in type_.fields.items():
        plan = plan_of(field) if _is_planned(field) else None
        if isinstance(plan, ColumnPlan) and not isinstance(plan.column.type, (ARRAY, JSONB)):
            found[name] = plan.column
    return found


def _question(name: str, field: GraphQLField, row: Row) -> Question | None:
    plan: Any = plan_of(field) if _is_planned(field) else None
    match plan:
        case ColumnPlan(column):
            return Question(name, field, lambda row: row[column], column.type)
        case ComputedPlan(compute) if is_leaf_type(get_nullable_type(field.type)):
            return Question(name, field, compute, compute(row).type)
        case RelationPlan():
            type_ = object_type_of(field, is_list=not isinstance(plan, OnePlan))
            return Question(name, field, relation=plan, type=type_)
        case _:
            return None


def _is_planned(field: GraphQLField) -> bool:
    return "strawberry-definition" in field.extensions


class Vocabulary:
    """Makes the inputs of a schema, each once, and gives them to its connections."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._made: dict[str, GraphQLNamedType] = {DIRECTION.name: DIRECTION, NULLS.name: NULLS}
        self._groups = GroupTypes(schema, self._made)

    def add(self) -> None:
        """Give connections of entities the arguments `filter` and `orderBy`, and `groups`; give streams a filter."""
        for field in list(self._connections()):
            node = object_type_of(field, is_list=True)
            self._groups.add(as_object(get_named_type(field.type)), node, columns_of(node))
            field.args["filter"] = GraphQLArgument(
                self.filter_of(node), description="Only what fits this. Everything that is said must hold."
            )
            field.args["orderBy"] = GraphQLArgument(
                GraphQLList(GraphQLNonNull(self.order_of(node))),
                description=f"The order, by the first term, then by the second, at most {ORDER_TERMS_MAX}; what is "
                "equal in all of them is in the order of its key. Without it, as this connection's description says.",
            )
        for field, subject in list(self._streams()):
            field.args["filter"] = GraphQLArgument(
                self.filter_of(subject),
                description="Only events whose subject fits this, as it is when the payload is made. Everything that "
                "is said must hold.",
            )
            if getattr(field.extensions[BACK_REFERENCE].metadata[STREAM], "merged_by", None) is not None:
                self._groups.add_merged(as_object(get_named_type(field.type)), subject, columns_of(subject))
        # the fields of inputs refer to each other in circles and are made when they are looked at
        for made in list(self._made.values()):
            self._complete(made)
        self._schema.type_map.update(self._made)

    def _complete(self, made: GraphQLNamedType) -> None:
        before = set(self._made)
        if isinstance(made, GraphQLInputObjectType):
            _ = made.fields
        for name in set(self._made) - before:
            self._complete(self._made[name])

    def _connections(self) -> Iterator[GraphQLField]:
        for type_ in self._schema.type_map.values():
            if isinstance(type_, GraphQLObjectType):
                for field in type_.fields.values():
                    if _holds_entities(field):
                        yield field

    def _streams(self) -> Iterator[tuple[GraphQLField, GraphQLObjectType]]:
        """The fields of Subscription whose payloads have a subject, with its type."""
        root = self._schema.subscription_type
        for field in root.fields.values() if root else ():
            for part in as_object(get_named_type(field.type)).fields.values():
                type_ = part.extensions[BACK_REFERENCE].metadata.get(SUBJECT_TYPE)
                if type_ is not None:
                    yield field, as_object(self._schema.get_type(type_))

    def filter_of(self, type_: GraphQLObjectType) -> GraphQLInputObjectType:
        """The filter over objects of an entity's type."""
        return self._input(
            f"{type_.name}Filter",
            f"Which objects of the type {type_.name}: those for which all that is said holds.",
            lambda: self._filter_fields(type_),
        )

    def order_of(self, type_: GraphQLObjectType) -> GraphQLInputObjectType:
        """One term of an order over objects of an entity's type."""
        return self._input(
            f"{type_.name}Order",
            f"One thing that objects of the type {type_.name} are ordered by.",
            lambda: {
                "field": GraphQLInputField(GraphQLNonNull(self._order_fields(type_)), description="What is compared."),
                "direction": GraphQLInputField(
                    GraphQLNonNull(DIRECTION), default_value="asc", description="Which end comes first."
                ),
                "nulls": GraphQLInputField(
                    GraphQLNonNull(NULLS), default_value="last", description="Where objects without a value stand."
                ),
            },
        )

    def _order_fields(self, type_: GraphQLObjectType) -> GraphQLEnumType:
        name = f"{type_.name}OrderField"
        made = self._made.get(name)
        if not isinstance(made, GraphQLEnumType):
            values = {
                screaming(field): GraphQLEnumValue(field, description=f"By `{field}`.") for field in columns_of(type_)
            }
            made = GraphQLEnumType(
                name, values, description=f"What objects of the type {type_.name} can be ordered by."
            )
            self._made[name] = made
        return made

    def _filter_fields(self, type_: GraphQLObjectType) -> dict[str, GraphQLInputField]:
        own = self.filter_of(type_)
        several = GraphQLList(GraphQLNonNull(own))
        fields = {
            "and": GraphQLInputField(several, description=f"All of these hold, an empty list always. {CONDITIONS}"),
            "or": GraphQLInputField(
                several,
                description=f"At least one of these holds, of an empty list none. {CONDITIONS}",
            ),
            "not": GraphQLInputField(own, description="This does not hold."),
        }
        for name, question in questions_of(type_).items():
            asked = self._asked(question)
            if asked is not None:
                fields[name] = GraphQLInputField(asked, description=f"About `{name}`.")
        return fields

    def _asked(self, question: Question) -> GraphQLInputObjectType | None:
        if question.type is None:
            return self._of_value(question.field.type)
        if isinstance(question.relation, OnePlan):
            return self.filter_of(question.type)
        return self._of_many(question.type)

    def _of_many(self, type_: GraphQLObjectType) -> GraphQLInputObjectType:
        own = self.filter_of(type_)
        return self._input(
            f"{type_.name}ListFilter",
            f"About the related objects of the type {type_.name}.",
            lambda: {
                "some": GraphQLInputField(own, description="At least one of them fits."),
                "none": GraphQLInputField(own, description="None of them fits."),
                "every": GraphQLInputField(own, description="All of them fit; so it is when there are none."),
            },
        )

    def _of_value(self, type_: GraphQLOutputType) -> GraphQLInputObjectType | None:
        nullable = get_nullable_type(type_)
        named = get_named_type(type_)
        if isinstance(nullable, GraphQLList):
            return self._of_list(named) if named.name in LISTED else None
        if named.name == "JSON":
            return self._of_json(named)
        if named.name == "Boolean" or named.name == "ID" or named.name in COMPARED:
            return self._of_scalar(named)
        return self._of_scalar(named) if isinstance(named, GraphQLEnumType) else None

    def _of_scalar(self, named: Any) -> GraphQLInputObjectType:
        names = ["eq", "ne", "in"] if named.name != "Boolean" else ["eq"]
        if named.name in COMPARED:
            names += ["lt", "lte", "gt", "gte"]
        if named.name == "String":
            names += ["contains", "startsWith"]

        def fields() -> dict[str, GraphQLInputField]:
            made = {name: _operator(name, named) for name in names}
            return {**made, "isNull": _is_null()}

        return self._input(f"{named.name}Filter", f"Conditions on a value of the type {named.name}.", fields)

    def _of_list(self, named: Any) -> GraphQLInputObjectType:
        items: GraphQLInputType = GraphQLList(GraphQLNonNull(named))
        return self._input(
            f"{named.name}ListFilter",
            f"Conditions on a list of values of the type {named.name}.",
            lambda: {
                "containsAll": GraphQLInputField(items, description="All of these are in the list; at most 500."),
                "containsAny": GraphQLInputField(items, description="At least one of these is; at most 500."),
                "isEmpty": GraphQLInputField(GraphQLBoolean, description="Whether the list is empty."),
            },
        )

    def _of_json(self, named: Any) -> GraphQLInputObjectType:
        return self._input(
            "JSONFilter",
            "Conditions on a JSON value.",
            lambda: {
                "contains": GraphQLInputField(
                    named, description='This is a part of the value: {"a": 1} is one of {"a": 1, "b": [2]}.'
                ),
                "hasKey": GraphQLInputField(GraphQLString, description="The value is an object with this key."),
                "isNull": _is_null(),
            },
        )

    def _input(
        self, name: str, description: str, fields: Callable[[], dict[str, GraphQLInputField]]
    ) -> GraphQLInputObjectType:
        made = self._made.get(name)
        if not isinstance(made, GraphQLInputObjectType):
            made = GraphQLInputObjectType(name, fields, description=description)
            self._made[name] = made
        return made


def _holds_entities(field: GraphQLField) -> bool:
    named = get_named_type(field.type)
    if not isinstance(named, GraphQLObjectType) or not {"nodes", "pageInfo"} <= set(named.fields):
        return False
    node = get_named_type(named.fields["nodes"].type)
    return isinstance(node, GraphQLObjectType) and isinstance(entity_of_type(node), Entity)


def _operator(name: str, named: Any) -> GraphQLInputField:
    type_ = GraphQLList(GraphQLNonNull(named)) if name == "in" else named
    return GraphQLInputField(type_, description=OPERATORS[name])


def _is_null() -> GraphQLInputField:
    return GraphQLInputField(GraphQLBoolean, description="Whether there is no value.")
