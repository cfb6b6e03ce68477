"""Connections as fields: related rows, and all rows of an entity; filtered, ordered, paged."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement

from graphql_schema.planner.builder import Builder, object_type_of
from graphql_schema.planner.entities import Order, Row
from graphql_schema.planner.fills import Path
from graphql_schema.planner.filters import conditions_of
from graphql_schema.planner.ordering import ordering_of
from graphql_schema.planner.pages import Conditions, connection
from graphql_schema.planner.plans import Condition, RelationPlan, of
from graphql_schema.planner.selection import Selected
from graphql_schema.planner.sql import Expression


@dataclass(frozen=True)
class ManyPlan(RelationPlan):
    """Related rows as a connection, in `order` unless another is asked for."""

    order: Order | None = None

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        parent = of(row)
        return _browse(build, selected, path, self.order, lambda child: self.links(parent, child))


@dataclass(frozen=True)
class BrowsePlan:
    """Root: all rows of an entity as a connection; `where` narrows them."""

    order: Order | None = None
    where: Condition | None = None

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        return _browse(
            build, selected, path, self.order, lambda child: [] if self.where is None else [self.where(child)]
        )


def _browse(build: Builder, selected: Selected, path: Path, own: Order | None, belongs: Conditions) -> Expression:
    node = object_type_of(selected.field, is_list=True)
    filtered = conditions_of(build, selected, path, node)

    def conditions(child: Row) -> Sequence[ColumnElement[bool]]:
        return [*belongs(child), *filtered.on(child)]

    return connection(build, selected, path, conditions, ordering_of(build, selected, path, node, own))
