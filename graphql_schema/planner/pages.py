"""Connections: one page of a relation by keyset, with only as much work as its selection needs.

Where only `nodes` and `edges` are asked for, each is an array of at most `first` rows. Where `pageInfo` needs to know
what follows, one row more is read and the page is put together by an aggregate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from graphql import GraphQLObjectType, get_named_type
from sqlalchemy import ColumnElement, Select, and_, case, exists, false, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import aggregate_order_by

from app.domain.errors import InvalidInput
from graphql_schema.planner.builder import TYPENAME, Builder, Pair, as_object, dotted, object_type
from graphql_schema.planner.decisions import Answer
from graphql_schema.planner.entities import Order, Row
from graphql_schema.planner.fills import EACH, Path
from graphql_schema.planner.keys import Cursors, Foreign, Malformed
from graphql_schema.planner.selection import Selected
from graphql_schema.planner.sql import (
    Expression,
    JsonObject,
    array_json,
    json_constant,
    number,
    object_json,
    rows_json,
    text_constant,
)

PAGE_DEFAULT = 20
PAGE_MAX = 100
COUNT_MAX = 10_000

Conditions = Callable[[Row], Sequence[ColumnElement[bool]]]
"""Which rows belong to the connection, on whatever page."""


class Part(StrEnum):
    """The fields of a connection, by their names in the schema."""

    NODES = "nodes"
    EDGES = "edges"
    PAGE_INFO = "pageInfo"
    TOTAL_COUNT = "totalCount"


class Place(StrEnum):
    """What `after` was found to be."""

    START = "start"
    GIVEN = "given"
    MALFORMED = "malformed"
    FOREIGN = "foreign"


LOOKS_AHEAD = frozenset({"hasNextPage", "startCursor", "endCursor"})
"""The fields of PageInfo that need the page's rows."""


@dataclass(frozen=True)
class Page:
    """One page that was asked for."""

    build: Builder
    path: Path
    node_type: GraphQLObjectType
    conditions: Conditions
    cursors: Cursors
    size: int
    after: Sequence[ColumnElement[Any]] | None

    def new_row(self) -> Row:
        return self.build.row(self.node_type)

    def keys(self, row: Row) -> list[ColumnElement[Any]]:
        """What the order compares, of a row."""
        return [row[column] for column in self.cursors.order.columns]

    def ordered(self, keys: Sequence[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
        return [key.desc() if self.cursors.order.descending else key.asc() for key in keys]

    def rows(self, row: Row) -> Select[Any]:
        """The rows from the place of `after` on, in order, without columns."""
        keys = self.keys(row)
        return row.source(*self.conditions(row), *self.beyond(row)).order_by(*self.ordered(keys))

    def beyond(self, row: Row) -> list[ColumnElement[bool]]:
        """The condition that a row comes after the cursor."""
        if self.after is None:
            return []
        place, given = _as_one(self.keys(row)), _as_one(self.after)
        return [place < given if self.cursors.order.descending else place > given]

    def up_to(self, row: Row) -> ColumnElement[bool]:
        """The condition that a row comes before the cursor or is the cursor's own."""
        place, given = _as_one(self.keys(row)), _as_one(self.after or ())
        condition: ColumnElement[bool] = place >= given if self.cursors.order.descending else place <= given
        return condition


def connection(build: Builder, selected: Selected, path: Path, conditions: Conditions, order: Order) -> Expression:
    """The JSON object of a connection. Raises `InvalidInput` for a wrong `first` or `after`."""
    type_ = object_type(selected)
    page = Page(
        build,
        path,
        as_object(get_named_type(type_.fields[Part.NODES].type)),
        conditions,
        cursors := Cursors(f"{selected.parent.name}.{selected.name}", order),
        _size(build, selected, path),
        _after(build, selected, path, cursors),
    )
    parts = list(build.selection.fields(type_, selected.nodes))
    return _looking_ahead(page, parts) if any(_looks_ahead(build, part) for part in parts) else _plain(page, parts)


def _plain(page: Page, parts: Sequence[Selected]) -> Expression:
    return object_json([(part.key, _plain_part(page, part)) for part in parts])


def _plain_part(page: Page, part: Selected) -> Expression:
    if part.name not in (Part.NODES, Part.EDGES):
        return _other_part(page, part)
    row = page.new_row()
    pairs = _item(page, row, part)
    return array_json(rows_json(pairs, page.rows(row).limit(number(page.size)), row.own))


def _looking_ahead(page: Page, parts: Sequence[Selected]) -> Expression:
    """As `_plain`, from one more row than the page has."""
    row = page.new_row()
    keys = page.keys(row)
    position = func.row_number().over(order_by=page.ordered(keys))
    cursor = page.cursors.expression(keys)
    is_last = or_(
        position == number(page.size),
        and_(position < number(page.size), func.lead(number(1)).over(order_by=page.ordered(keys)).is_(None)),
    )
    items = {
        part.key: case((position <= number(page.size), object_json(_item(page, row, part))))
        for part in parts
        if part.name in (Part.NODES, Part.EDGES)
    }
    # names that no alias can have: a response key never begins with a digit
    columns = [
        position.label("0position"),
        case((position == number(1), cursor)).label("0first"),
        case((is_last, cursor)).label("0last"),
        *[key.label(f"0key{index}") for index, key in enumerate(keys)],
        *[item.label(f"0item{index}") for index, item in enumerate(items.values())],
    ]
    source = page.rows(row).limit(number(page.size + 1))
    read = source.add_columns(*columns).correlate_except(*row.own).subquery()
    order = page.ordered([read.c[f"0key{index}"] for index in range(len(keys))])
    on_page = read.c["0position"] <= number(page.size)
    pairs: list[Pair] = []
    for part in parts:
        if part.key in items:
            item = read.c[f"0item{list(items).index(part.key)}"]
            array = func.array_to_json(func.array_agg(aggregate_order_by(item, *order)).filter(on_page))
            pairs.append((part.key, func.coalesce(array, json_constant("[]"))))
        elif part.name == Part.PAGE_INFO:
            facts = {
                "hasNextPage": func.count() > number(page.size),
                "startCursor": func.max(read.c["0first"]),
                "endCursor": func.max(read.c["0last"]),
            }
            pairs.append((part.key, _page_info(page, part, facts)))
        else:
            pairs.append((part.key, _other_part(page, part)))
    return object_json(pairs, select().select_from(read), [read])


def _item(page: Page, row: Row, part: Selected) -> list[Pair]:
    """The pairs of one node, or of one edge."""
    path = (*page.path, part.key, EACH)
    if part.name == Part.NODES:
        return page.build.object(page.node_type, row, part.nodes, path)
    pairs: list[Pair] = []
    for field in page.build.selection.fields(object_type(part), part.nodes):
        match field.name:
            case "node":
                node = page.build.object(page.node_type, row, field.nodes, (*path, field.key))
                pairs.append((field.key, object_json(node)))
            case "cursor":
                pairs.append((field.key, page.cursors.expression(page.keys(row))))
            case _:
                pairs.append((field.key, text_constant(field.parent.name)))
    return pairs


def _other_part(page: Page, part: Selected) -> Expression:
    """The parts that need none of the page's rows."""
    if part.name == Part.TOTAL_COUNT:
        return _total_count(page)
    if part.name == Part.PAGE_INFO:
        return _page_info(page, part, {})
    return text_constant(part.parent.name)


def _page_info(page: Page, part: Selected, facts: dict[str, ColumnElement[Any]]) -> Expression:
    pairs: list[Pair] = []
    for field in page.build.selection.fields(object_type(part), part.nodes):
        if field.name == TYPENAME:
            pairs.append((field.key, text_constant(field.parent.name)))
        elif field.name == "hasPreviousPage":
            pairs.append((field.key, _has_previous(page)))
        else:
            pairs.append((field.key, facts[field.name]))
    # not as a row: a sub-select would make the aggregates among the facts its own
    return JsonObject(pairs)


def _has_previous(page: Page) -> Expression:
    if page.after is None:
        return false()
    row = page.new_row()
    before = row.source(*page.conditions(row), page.up_to(row)).add_columns(number(1)).correlate_except(*row.own)
    return exists(before)


def _total_count(page: Page) -> Expression:
    row = page.new_row()
    counted = row.source(*page.conditions(row)).add_columns(number(1).label("one")).limit(number(COUNT_MAX))
    inner = counted.correlate_except(*row.own).subquery()
    return select(func.count()).select_from(inner).scalar_subquery()


def _looks_ahead(build: Builder, part: Selected) -> bool:
    if part.name != Part.PAGE_INFO:
        return False
    return any(field.name in LOOKS_AHEAD for field in build.selection.fields(object_type(part), part.nodes))


def _size(build: Builder, selected: Selected, path: Path) -> int:
    size = build.selection.decide(selected.argument("first"), judge_size)
    if not isinstance(size, int):
        raise InvalidInput(f"first must be from 1 to {PAGE_MAX}.", _place(path, "first"))
    return size


def judge_size(value: Any) -> Answer:
    """The size of a page; None when it is out of bounds."""
    if value is None:
        return PAGE_DEFAULT
    return value if 1 <= value <= PAGE_MAX else None


def _after(build: Builder, selected: Selected, path: Path, cursors: Cursors) -> Sequence[ColumnElement[Any]] | None:
    source = selected.argument("after")
    match build.selection.decide(source, _Judge(cursors)):
        case Place.START:
            return None
        case Place.GIVEN:
            return [
                build.bind(source, _Pick(cursors, index), column.type)
                for index, column in enumerate(cursors.order.columns)
            ]
        case Place.FOREIGN:
            raise InvalidInput("after is a cursor of another connection; pass one of this.", _place(path, "after"))
        case _:
            raise InvalidInput("after is no cursor; pass one that this connection gave.", _place(path, "after"))


@dataclass(frozen=True)
class _Judge:
    """What an `after` is. Equal for equal connections, so that the question is asked once."""

    cursors: Cursors

    def __call__(self, value: Any) -> Answer:
        if value is None:
            return Place.START
        try:
            self.cursors.parse(value)
        except Foreign:
            return Place.FOREIGN
        except Malformed:
            return Place.MALFORMED
        return Place.GIVEN


@dataclass(frozen=True)
class _Pick:
    """One of the values in a cursor."""

    cursors: Cursors
    index: int

    def __call__(self, value: Any) -> Any:
        return self.cursors.parse(value)[self.index]


def _as_one(values: Sequence[ColumnElement[Any]]) -> Any:
    return values[0] if len(values) == 1 else tuple_(*values)


def _place(path: Path, argument: str) -> str:
    return ".".join((*dotted(path), argument))
