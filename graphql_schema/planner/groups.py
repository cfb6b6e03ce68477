"""The field `groups` of connections: aggregates over all their objects, grouped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLObjectType, get_named_type
from sqlalchemy import ColumnElement, Double, Numeric, cast, func, true

from app.domain.errors import InvalidInput
from graphql_schema.planner.builder import Builder, Pair, dotted, object_type
from graphql_schema.planner.decisions import Answer
from graphql_schema.planner.entities import Row
from graphql_schema.planner.fills import Path
from graphql_schema.planner.group_types import GROUP_TERMS_MAX, GROUPS_DEFAULT, GROUPS_MAX
from graphql_schema.planner.selection import Selected
from graphql_schema.planner.sql import (
    Expression,
    JsonObject,
    array_json,
    json_null,
    number,
    object_json,
    render,
    rows_json,
    text_constant,
)
from graphql_schema.planner.vocabulary import columns_of

AVERAGE_DECIMALS = 6


@dataclass(frozen=True)
class Asked:
    """One thing to group by."""

    field: str
    bucket: str | None


@dataclass(frozen=True)
class Grouping:
    """A `groups` that was asked for: of which objects, and by what."""

    build: Builder
    path: Path
    node: GraphQLObjectType
    row: Row
    by: tuple[Asked, ...]

    def column(self, name: str) -> ColumnElement[Any]:
        return self.row[columns_of(self.node)[name]]

    def key(self, asked: Asked) -> ColumnElement[Any]:
        """What one term compares."""
        value = self.column(asked.field)
        if asked.bucket is None:
            return value
        return func.date_trunc(text_constant(asked.bucket), value, text_constant("UTC"), type_=value.type)


def groups_json(
    build: Builder,
    selected: Selected,
    path: Path,
    node: GraphQLObjectType,
    row: Row,
    conditions: Callable[[Row], Sequence[ColumnElement[bool]]],
) -> Expression:
    """The JSON list of the groups. Raises `InvalidInput` for wrong arguments."""
    grouping = Grouping(build, path, node, row, _by(build, selected, path, node))
    most = _most(build, selected, path)
    keys = [grouping.key(asked) for asked in grouping.by]
    pairs = _pairs(grouping, selected)
    source = row.source(*conditions(row))
    # without an aggregate among what is selected, one group would be a row for each of its objects
    source = source.group_by(*keys).order_by(*keys) if keys else source.having(true())
    return array_json(rows_json(pairs, source.limit(number(most)), row.own))


def one_group_json(
    build: Builder,
    selected: Selected,
    path: Path,
    node: GraphQLObjectType,
    row: Row,
    conditions: Sequence[ColumnElement[bool]],
) -> Expression:
    """The JSON of one group: of all rows that meet the conditions."""
    grouping = Grouping(build, path, node, row, ())
    return object_json(_pairs(grouping, selected), row.source(*conditions).having(true()), row.own)


def _pairs(grouping: Grouping, selected: Selected) -> list[Pair]:
    fields = grouping.build.selection.fields(object_type(selected), selected.nodes)
    return [(part.key, _part(grouping, part)) for part in fields]


def _part(grouping: Grouping, part: Selected) -> Expression:
    match part.name:
        case "__typename":
            return text_constant(part.parent.name)
        case "count":
            return func.count()
        case "key":
            return _object(grouping, part, _key_part)
        case _:
            return _object(grouping, part, lambda grouping, figure: _figure(grouping, part, figure))


def _object(grouping: Grouping, part: Selected, value: Callable[[Grouping, Selected], Expression]) -> Expression:
    fields = grouping.build.selection.fields(object_type(part), part.nodes)
    pairs: list[Pair] = [
        (field.key, text_constant(field.parent.name) if field.name == "__typename" else value(grouping, field))
        for field in fields
    ]
    # not as a row: a sub-select would make the aggregates its own
    return JsonObject(pairs)


def _key_part(grouping: Grouping, field: Selected) -> Expression:
    asked = next((asked for asked in grouping.by if asked.field == field.name), None)
    return json_null() if asked is None else render(grouping.key(asked), get_named_type(field.field.type))


def _figure(grouping: Grouping, part: Selected, figure: Selected) -> Expression:
    value, shown_as = grouping.column(part.name), get_named_type(figure.field.type)
    match figure.name:
        case "min":
            return render(func.min(value, type_=value.type), shown_as)
        case "max":
            return render(func.max(value, type_=value.type), shown_as)
        case "sum":
            return render(cast(func.sum(value), Numeric()), shown_as)
        case "avg":
            return render(func.round(cast(func.avg(value), Numeric()), number(AVERAGE_DECIMALS)), shown_as)
        case _:
            return _percentile(grouping, value, figure, (*grouping.path, part.key, figure.key))


def _percentile(grouping: Grouping, value: ColumnElement[Any], figure: Selected, path: Path) -> Expression:
    share = figure.argument("p")
    if grouping.build.selection.decide(share, judge_share) is not True:
        raise InvalidInput("p must be from 0 to 1.", _place(path, "p"))
    given = grouping.build.bind(share, float, Double())
    return func.percentile_cont(given).within_group(cast(value, Double()))


def _by(build: Builder, selected: Selected, path: Path, node: GraphQLObjectType) -> tuple[Asked, ...]:
    asked = build.selection.decide(selected.argument("by"), _by_of(node))
    if isinstance(asked, str):
        raise InvalidInput(asked, _place(path, "by"))
    return asked if isinstance(asked, tuple) else ()


@dataclass(frozen=True, eq=False)
class _ByOf:
    """What can be asked of one type; one object a type, so that the question is asked once."""

    node: GraphQLObjectType

    def __call__(self, value: Any) -> Answer:
        """The terms; what is wrong with them, in words."""
        asked = tuple(Asked(term["field"], term.get("bucket")) for term in value or ())
        if len(asked) > GROUP_TERMS_MAX:
            return f"by takes at most {GROUP_TERMS_MAX} terms."
        names = [term.field for term in asked]
        for term in asked:
            if names.count(term.field) > 1:
                return f"by names {term.field} more than once."
            is_time = get_named_type(self.node.fields[term.field].type).name == "DateTime"
            if is_time and term.bucket is None:
                return f"{term.field} is a point in time: say by which `bucket` to group it."
            if term.bucket is not None and not is_time:
                return f"{term.field} is no point in time and has no `bucket`."
        return asked


_BY: dict[int, _ByOf] = {}


def _by_of(node: GraphQLObjectType) -> _ByOf:
    found = _BY.get(id(node))
    if found is None or found.node is not node:
        found = _BY[id(node)] = _ByOf(node)
    return found


def _most(build: Builder, selected: Selected, path: Path) -> int:
    most = build.selection.decide(selected.argument("first"), judge_most)
    if not isinstance(most, int):
        raise InvalidInput(f"first must be from 1 to {GROUPS_MAX}.", _place(path, "first"))
    return most


def judge_most(value: Any) -> Answer:
    """How many groups at most; None when it is out of bounds."""
    if value is None:
        return GROUPS_DEFAULT
    return value if 1 <= value <= GROUPS_MAX else None


def judge_share(value: Any) -> Answer:
    """Whether it is a share."""
    return value is not None and 0 <= value <= 1


def _place(path: Path, argument: str) -> str:
    return ".".join((*dotted(path), argument))
