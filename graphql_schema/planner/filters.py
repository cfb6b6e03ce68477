"""Filters: what was asked is judged, then its shape becomes SQL; the values in it are bound.

The shape (which fields, which operators, how nested) is what the statement depends on, so filters of one shape share a
plan. Everything that a statement could stumble over is found while the shape is judged.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import orjson
from graphql import GraphQLObjectType, Undefined, get_named_type
from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    ColumnElement,
    Numeric,
    Text,
    Uuid,
    and_,
    cast,
    exists,
    false,
    func,
    not_,
    or_,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from app.domain.errors import InvalidInput
from app.domain.rules import bounded_json
from graphql_schema.planner.builder import Builder, dotted
from graphql_schema.planner.entities import Row
from graphql_schema.planner.fills import Path
from graphql_schema.planner.keys import Malformed, parse_uuid, storable_text
from graphql_schema.planner.plans import OnePlan
from graphql_schema.planner.selection import Selected, Source
from graphql_schema.planner.sql import number, text_constant
from graphql_schema.planner.vocabulary import CONDITIONS_MAX, Question, questions_of

RELATIONS_MAX = 4
"""Relations that one filter goes through, one behind the other."""
NESTING_MAX = 12
VALUES_MAX = 500
"""Values in one list."""

Steps = tuple[str | int, ...]
"""Where a value stands within a filter."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a filter, and where."""

    place: Steps
    message: str


@dataclass(frozen=True)
class Test:
    """One operator on one field. `fixed` is a value that the statement depends on."""

    field: str
    operator: str
    place: Steps
    fixed: bool | None = None


@dataclass(frozen=True)
class Group:
    """Shapes under `and`, `or` or `not`."""

    kind: str
    parts: tuple["Shape", ...]


@dataclass(frozen=True)
class Related:
    """A shape that holds for a related object, or by a quantifier for related objects."""

    field: str
    quantifier: str
    part: "Shape"


Shape = Test | Group | Related


class Faulty(Exception):
    """The filter cannot be used."""

    def __init__(self, place: Steps, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(place, message)


@dataclass(frozen=True, eq=False)
class Filter:
    """The filters over one type: what they are, and what they are in SQL."""

    type: GraphQLObjectType
    questions: Mapping[str, Question]

    def judge(self, value: Any) -> Shape | Fault | None:
        """The shape of a filter; None where there is none; what is wrong with it."""
        if value is None:
            return None
        try:
            return _Judge(self.type).shape(value)
        except Faulty as faulty:
            return faulty.fault


_FILTERS: dict[int, Filter] = {}


def filter_over(type_: GraphQLObjectType) -> Filter:
    """The filters over a type; one object for each type, so that a question about it is asked once."""
    found = _FILTERS.get(id(type_))
    if found is None or found.type is not type_:
        found = _FILTERS[id(type_)] = Filter(type_, questions_of(type_))
    return found


class _Judge:
    """Walks through one filter and counts."""

    def __init__(self, type_: GraphQLObjectType) -> None:
        self._type = type_
        self._conditions = 0

    def shape(self, value: Mapping[str, Any]) -> Shape:
        return self._all(self._type, value, (), 0)

    def _all(self, type_: GraphQLObjectType, value: Mapping[str, Any], place: Steps, relations: int) -> Shape:
        if len(place) > NESTING_MAX:
            raise Faulty(place, f"is nested more than {NESTING_MAX} deep")
        if not value:
            self._count(place)
        parts = tuple(
            part for name, asked in value.items() for part in self._one(type_, name, asked, (*place, name), relations)
        )
        return parts[0] if len(parts) == 1 else Group("and", parts)

    def _one(self, type_: GraphQLObjectType, name: str, asked: Any, place: Steps, relations: int) -> Iterator[Shape]:
        if asked is None:
            raise Faulty(place, "must not be null; leave it out, or ask `isNull`")
        if name in ("and", "or"):
            if not asked:
                self._count(place)
            yield Group(name, tuple(self._all(type_, part, (*place, at), relations) for at, part in enumerate(asked)))
        elif name == "not":
            yield Group(name, (self._all(type_, asked, place, relations),))
        else:
            yield from self._about(filter_over(type_).questions[name], asked, place, relations)

    def _about(self, question: Question, asked: Mapping[str, Any], place: Steps, relations: int) -> Iterator[Shape]:
        if not asked:
            self._count(place)
        if question.type is None:
            for operator, value in asked.items():
                yield self._test(question, operator, value, (*place, operator))
            return
        if relations == RELATIONS_MAX:
            raise Faulty(place, f"goes through more than {RELATIONS_MAX} relations")
        if isinstance(question.relation, OnePlan):
            yield Related(question.name, "some", self._all(question.type, asked, place, relations + 1))
            return
        for quantifier, value in asked.items():
            at = (*place, quantifier)
            if value is None:
                raise Faulty(at, "must not be null; leave it out")
            yield Related(question.name, quantifier, self._all(question.type, value, at, relations + 1))

    def _test(self, question: Question, operator: str, value: Any, place: Steps) -> Test:
        self._count(place)
        if value is None:
            raise Faulty(place, "must not be null; leave it out, or ask `isNull`")
        if operator in ("isNull", "isEmpty"):
            return Test(question.name, operator, place, bool(value))
        if isinstance(value, list) and len(value) > VALUES_MAX:
            raise Faulty(place, f"has more than {VALUES_MAX} values")
        type_ = get_named_type(question.field.type).name
        for each in value if isinstance(value, list) and type_ != "JSON" else [value]:
            _check(type_, question.sql_type, each, place)
        return Test(question.name, operator, place)

    def _count(self, place: Steps) -> None:
        """Count one more condition; what is empty counts too, since it also takes time."""
        self._conditions += 1
        if self._conditions > CONDITIONS_MAX:
            raise Faulty(place, f"is one condition too many: there may be {CONDITIONS_MAX}")


def _check(type_name: str, type_: TypeEngine[Any], value: Any, place: Steps) -> None:
    """Raise `Faulty` for a value that PostgreSQL cannot take."""
    item = type_.item_type if isinstance(type_, ARRAY) else type_
    try:
        if type_name == "JSON":
            bounded_json("the value", value)
        elif isinstance(item, Uuid):
            parse_uuid(value)
        elif isinstance(value, str) and not isinstance(value, Enum):
            storable_text(value)
    except InvalidInput as error:
        reason = error.message.removesuffix(" Nothing was written.").removesuffix(".")
        raise Faulty(place, f"cannot be looked for: {reason}") from None
    except Malformed:
        wanted = "a UUID" if isinstance(item, Uuid) else "a text without NUL characters, of at most 2,000 characters"
        raise Faulty(place, f"must be {wanted}") from None


def _plain(value: Any) -> Any:
    """JSON as it was meant, where variables in a literal brought values of other types, or none at all."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items() if each is not Undefined}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return None if value is Undefined else value


def conditions_of(build: Builder, selected: Selected, path: Path, type_: GraphQLObjectType) -> "Conditions":
    """The conditions that the argument `filter` sets. Raises `InvalidInput`."""
    source = selected.argument("filter")
    filter_ = filter_over(type_)
    shape = build.selection.decide(source, filter_.judge)
    if isinstance(shape, Fault):
        place = ".".join(["filter", *map(str, shape.place)])
        raise InvalidInput(f"{place} {shape.message}.", ".".join((*dotted(path), place)))
    return Conditions(build, source, type_, shape if isinstance(shape, Test | Group | Related) else None)


@dataclass(frozen=True)
class Conditions:
    """A judged filter: makes the conditions on a row."""

    build: Builder
    source: Source
    type: GraphQLObjectType
    shape: Shape | None

    def on(self, row: Row) -> Sequence[ColumnElement[bool]]:
        """What must hold for the row."""
        return [] if self.shape is None else [self._holds(self.type, row, self.shape)]

    def _holds(self, type_: GraphQLObjectType, row: Row, shape: Shape) -> ColumnElement[bool]:
        match shape:
            case Group("and", parts):
                return and_(true(), *[self._holds(type_, row, part) for part in parts])
            case Group("or", parts):
                return or_(false(), *[self._holds(type_, row, part) for part in parts])
            case Group(_, (part,)):
                # null counts as "does not hold", so that every object fits either a filter or its opposite
                return not_(func.coalesce(self._holds(type_, row, part), false(), type_=Boolean()))
            case Related():
                return self._related(type_, row, shape)
            case Test():
                return self._test(filter_over(type_).questions[shape.field], row, shape)
        raise AssertionError(shape)

    def _related(self, type_: GraphQLObjectType, row: Row, shape: Related) -> ColumnElement[bool]:
        question = filter_over(type_).questions[shape.field]
        if question.type is None or question.relation is None:
            raise LookupError(f"{shape.field} is no relation")
        child = self.build.row(question.type)
        fits = self._holds(question.type, child, shape.part)
        if shape.quantifier == "every":
            fits = not_(func.coalesce(fits, false(), type_=Boolean()))
        linked = question.relation.links(row, child)
        found = exists(child.source(*linked, fits).add_columns(number(1)).correlate_except(*child.own))
        return found if shape.quantifier == "some" else not_(found)

    def _test(self, question: Question, row: Row, test: Test) -> ColumnElement[bool]:
        if question.value is None:
            raise LookupError(f"{test.field} is no value")
        value = question.value(row)
        if test.operator == "isNull":
            return value.is_(None) if test.fixed else value.is_not(None)
        if test.operator == "isEmpty":
            return _is_empty(value) if test.fixed else not_(_is_empty(value))
        if isinstance(question.sql_type, ARRAY):
            return self._list_test(value, question.sql_type, test)
        if isinstance(question.sql_type, JSON):
            return self._json_test(value, question, test)
        return self._value_test(value, question.sql_type, test)

    def _value_test(self, value: ColumnElement[Any], type_: TypeEngine[Any], test: Test) -> ColumnElement[bool]:
        if test.operator == "in":
            return value == func.any(self._bound(test, type_, ARRAY(type_)))
        given = self._bound(test, type_, type_)
        match test.operator:
            case "contains":
                return func.strpos(func.lower(value), func.lower(given)) > number(0)
            case "startsWith":
                return func.starts_with(func.lower(value), func.lower(given), type_=Boolean())
        compared: ColumnElement[bool] = COMPARISONS[test.operator](value, given)
        return compared

    def _list_test(self, value: ColumnElement[Any], type_: ARRAY[Any], test: Test) -> ColumnElement[bool]:
        given = self._bound(test, type_.item_type, ARRAY(type_.item_type))
        return value.op("@>" if test.operator == "containsAll" else "&&", return_type=Boolean())(given)

    def _json_test(self, value: ColumnElement[Any], question: Question, test: Test) -> ColumnElement[bool]:
        if test.operator == "hasKey":
            has = value.op("?", return_type=Boolean())(self._bound(test, Text(), Text()))
            # a list has its texts by the same operator
            return and_(func.jsonb_typeof(value, type_=Text()) == text_constant("object"), has)
        if test.operator == "containsAny":
            return value.op("?|", return_type=Boolean())(self._bound(test, Text(), ARRAY(Text())))
        # a list of texts, or any JSON value
        given = cast(self._bound(test, question.sql_type, Text()), JSONB)
        return value.op("@>", return_type=Boolean())(given)

    def _bound(self, test: Test, type_: TypeEngine[Any], bound_as: TypeEngine[Any]) -> ColumnElement[Any]:
        """The value of a test as a parameter."""
        return self.build.bind(self.source, _Pick(test.place, type_), bound_as)


@dataclass(frozen=True)
class _Pick:
    """A value in a filter, as the driver takes it; JSON as its text."""

    place: Steps
    type: TypeEngine[Any]

    def __call__(self, value: Any) -> Any:
        for step in self.place:
            value = value[step]
        if isinstance(self.type, JSON):
            return orjson.dumps(_plain(value)).decode()
        return [self._taken(item) for item in value] if isinstance(value, list) else self._taken(value)

    def _taken(self, value: Any) -> Any:
        if isinstance(value, Enum):
            return value.value
        if isinstance(self.type, Uuid):
            return parse_uuid(value)
        return Decimal(str(value)) if isinstance(self.type, Numeric) else value


COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": lambda value, given: value.is_distinct_from(given),
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


def _is_empty(value: ColumnElement[Any]) -> ColumnElement[bool]:
    length = func.jsonb_array_length(value) if isinstance(value.type, JSON) else func.cardinality(value)
    empty: ColumnElement[bool] = length == number(0)
    return empty
