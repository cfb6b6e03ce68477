"""Connections: one page of a relation by keyset, with only as much work as its selection needs.

Where only `nodes` and `edges` are asked for, each is an array of at most `first` rows. Where `pageInfo` needs to know
what follows, one row more is read and the page is put together by an aggregate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from graphql import GraphQLObjectType, get_named_type
from sqlalchemy import ColumnElement, Select, and_, case, false, func, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from graphql_schema.planner.builder import Builder, Pair, as_object, object_type
from graphql_schema.planner.cursors import Cursors
from graphql_schema.planner.entities import Row
from graphql_schema.planner.fills import EACH, Path
from graphql_schema.planner.groups import groups_json
from graphql_schema.planner.orders import Ordering, Place
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
from graphql_schema.planner.windows import Window, window

COUNT_MAX = 10_000

Conditions = Callable[[Row], Sequence[ColumnElement[bool]]]
"""Which rows belong to the connection, on whatever page."""


class Part(StrEnum):
    """The fields of a connection, by their names in the schema."""

    NODES = "nodes"
    EDGES = "edges"
    PAGE_INFO = "pageInfo"
    TOTAL_COUNT = "totalCount"
    GROUPS = "groups"


ENDS = frozenset({"startCursor", "endCursor"})
"""The fields of PageInfo that need the page's rows; so does whether there is more in the direction of reading."""


@dataclass(frozen=True)
class Page:
    """One page that was asked for: shown in one order, and read in the other where it is the last of its window."""

    build: Builder
    path: Path
    node_type: GraphQLObjectType
    conditions: Conditions
    cursors: Cursors
    window: Window

    @property
    def shown(self) -> Ordering:
        return self.cursors.ordering

    @property
    def reading(self) -> Ordering:
        return self.shown.reversed() if self.window.backward else self.shown

    @property
    def size(self) -> int:
        return self.window.size

    def new_row(self) -> Row:
        return self.build.row(self.node_type)

    def rows(self, row: Row) -> Select[Any]:
        """The rows of the window, as far as they go, in the order of reading, without columns."""
        values = self.reading.values(row)
        return row.source(*self.conditions(row), *self.within(row)).order_by(*self.reading.sorted(values))

    def within(self, row: Row) -> list[ColumnElement[bool]]:
        """The conditions that a row comes after `after` and before `before`."""
        conditions = []
        if self.window.after is not None:
            conditions.append(self.shown.beyond(row, self.window.after))
        if self.window.before is not None:
            conditions.append(self.shown.reversed().beyond(row, self.window.before))
        return conditions


def connection(
    build: Builder, selected: Selected, path: Path, conditions: Conditions, ordering: Ordering
) -> Expression:
    """The JSON object of a connection. Raises `InvalidInput` for a wrong `first`, `last`, `after` or `before`."""
    type_ = object_type(selected)
    cursors = Cursors(f"{selected.parent.name}.{selected.name}", ordering)
    page = Page(
        build,
        path,
        as_object(get_named_type(type_.fields[Part.NODES].type)),
        conditions,
        cursors,
        window(build, selected, path, cursors),
    )
    parts = list(build.selection.fields(type_, selected.nodes))
    ahead = any(_looks_ahead(page, part) for part in parts)
    return _looking_ahead(page, parts) if ahead else _plain(page, parts)


def _plain(page: Page, parts: Sequence[Selected]) -> Expression:
    return object_json([(part.key, _plain_part(page, part)) for part in parts])


def _plain_part(page: Page, part: Selected) -> Expression:
    if part.name not in (Part.NODES, Part.EDGES):
        return _other_part(page, part)
    row = page.new_row()
    pairs = _item(page, row, part)
    return array_json(rows_json(pairs, page.rows(row).limit(number(page.size)), row.own))


def _looking_ahead(page: Page, parts: Sequence[Selected]) -> Expression:
    """As `_plain`, from one more row than the page has; where it is read from its end, the last row is read first."""
    row = page.new_row()
    values = page.reading.values(row)
    sorted_values = page.reading.sorted(values)
    position = func.row_number().over(order_by=sorted_values)
    cursor = page.cursors.expression(values)
    is_last = or_(
        position == number(page.size),
        and_(position < number(page.size), func.lead(number(1)).over(order_by=sorted_values).is_(None)),
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
        *[item.label(f"0item{index}") for index, item in enumerate(items.values())],
    ]
    source = page.rows(row).limit(number(page.size + 1))
    read = source.add_columns(*columns).correlate_except(*row.own).subquery()
    read_first, read_last = read.c["0first"], read.c["0last"]
    order = read.c["0position"].desc() if page.window.backward else read.c["0position"]
    on_page = read.c["0position"] <= number(page.size)
    pairs: list[Pair] = []
    for part in parts:
        if part.key in items:
            item = read.c[f"0item{list(items).index(part.key)}"]
            array = func.array_to_json(func.array_agg(aggregate_order_by(item, order)).filter(on_page))
            pairs.append((part.key, func.coalesce(array, json_constant("[]"))))
        elif part.name == Part.PAGE_INFO:
            ends = (read_last, read_first) if page.window.backward else (read_first, read_last)
            facts = {
                "startCursor": func.max(ends[0]),
                "endCursor": func.max(ends[1]),
                "more": func.count() > number(page.size),
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
                pairs.append((field.key, page.cursors.expression(page.shown.values(row))))
            case _:
                pairs.append((field.key, text_constant(field.parent.name)))
    return pairs


def _other_part(page: Page, part: Selected) -> Expression:
    """The parts that need none of the page's rows."""
    if part.name == Part.TOTAL_COUNT:
        return _total_count(page)
    if part.name == Part.GROUPS:
        path = (*page.path, part.key)
        return groups_json(page.build, part, path, page.node_type, page.new_row(), page.conditions)
    if part.name == Part.PAGE_INFO:
        return _page_info(page, part, {})
    return text_constant(part.parent.name)


def _page_info(page: Page, part: Selected, facts: dict[str, ColumnElement[Any]]) -> Expression:
    pairs: list[Pair] = []
    for field in page.build.selection.fields(object_type(part), part.nodes):
        match field.name:
            case "__typename":
                pairs.append((field.key, text_constant(field.parent.name)))
            case "hasNextPage":
                pairs.append((field.key, _has_more(page, facts, page.window.before, forward=True)))
            case "hasPreviousPage":
                pairs.append((field.key, _has_more(page, facts, page.window.after, forward=False)))
            case name:
                pairs.append((field.key, facts[name]))
    # not as a row: a sub-select would make the aggregates among the facts its own
    return JsonObject(pairs)


def _has_more(page: Page, facts: dict[str, ColumnElement[Any]], place: Place | None, *, forward: bool) -> Expression:
    """Whether rows lie beyond the page on one side: more in its window, or some at the place where the window ends."""
    within = facts["more"] if forward is not page.window.backward else false()
    if place is None:
        return within
    row = page.new_row()
    outward = page.shown if forward else page.shown.reversed()
    found = row.source(*page.conditions(row), outward.beyond(row, place, or_at=True)).add_columns(number(1))
    # the nearest one, by the index of the order. EXISTS has no order: for a parent with many rows PostgreSQL thinks to
    # meet one soon, and reads the table from its beginning, where there may be none
    nearest = found.order_by(*outward.sorted(outward.values(row))).limit(number(1))
    outside = nearest.correlate_except(*row.own).scalar_subquery().is_not(None)
    return outside if forward is page.window.backward else or_(within, outside)


def _total_count(page: Page) -> Expression:
    row = page.new_row()
    counted = row.source(*page.conditions(row)).add_columns(number(1).label("one")).limit(number(COUNT_MAX))
    inner = counted.correlate_except(*row.own).subquery()
    return select(func.count()).select_from(inner).scalar_subquery()


def _looks_ahead(page: Page, part: Selected) -> bool:
    """Whether a part needs the page's rows put together: to know what follows, or to turn them round."""
    if part.name in (Part.NODES, Part.EDGES):
        return page.window.backward
    if part.name != Part.PAGE_INFO:
        return False
    needs = ENDS | {"hasPreviousPage" if page.window.backward else "hasNextPage"}
    return any(field.name in needs for field in page.build.selection.fields(object_type(part), part.nodes))
