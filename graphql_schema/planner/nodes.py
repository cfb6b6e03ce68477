"""Root fields that find objects by their global ids, of whatever types the ids name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, Column, ColumnClause, func, select

from graphql_schema.planner.builder import Builder, as_object
from graphql_schema.planner.decisions import Answer
from graphql_schema.planner.entities import Entity, Row
from graphql_schema.planner.fills import EACH, Path
from graphql_schema.planner.keys import Malformed, NodeIds, split_node_id
from graphql_schema.planner.plans import Fault, require
from graphql_schema.planner.selection import Selected
from graphql_schema.planner.sql import Expression, array_json, json_constant, object_json
from graphql_schema.planner.windows import PAGE_MAX


@dataclass(frozen=True)
class NodePlan:
    """Root: the node of a global id, of whatever type the id names; null when there is no such row."""

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        source = selected.argument("id")
        judge = _NodeType(build.entities)
        name = require(build, source, judge, selected, path, "id", "id must be the `id` of a node of this hub.")
        type_ = as_object(build.selection.schema.get_type(str(name)))
        build.node_types = lambda _variables: [type_.name]
        child = build.row(type_)
        pairs = build.object(type_, child, selected.nodes, path)
        ids = NodeIds(type_.name, child.entity)
        found = [
            child[column] == build.bind(source, _KeyPart(ids, index), column.type)
            for index, column in enumerate(child.entity.key)
        ]
        return object_json(pairs, child.source(*found), child.own)


@dataclass(frozen=True)
class NodesPlan:
    """Root: the nodes of a list of global ids, in its order, with null for each that is not there any more.

    The key parts of each type come as arrays as long as the list, null where an id names another type.
    """

    def expression(self, build: Builder, row: Row | None, selected: Selected, path: Path) -> Expression:
        source = selected.argument("ids")
        wanted = f"ids must be a list of at most {PAGE_MAX}, each the `id` of a node of this hub."
        names = require(build, source, _NodeTypes(build.entities), selected, path, "ids", wanted)
        build.node_types = lambda variables: [split_node_id(each)[0] for each in source.read(variables)]
        if not isinstance(names, tuple) or not names:
            return json_constant("[]")
        parts = [part for name in names for part in _parts(build.entities[name], name)]
        arrays = [build.bind(source, part, ARRAY(part.column.type)) for part in parts]
        columns = [ColumnClause(f"k{number}", part.column.type) for number, part in enumerate(parts)]
        listed = func.unnest(*arrays).table_valued(*columns, with_ordinality="position")
        asked = listed.alias().render_derived()
        keys = iter([asked.c[column.name] for column in columns])
        objects = [self._object(build, name, keys, selected, path) for name in names]
        found = func.coalesce(*objects) if len(objects) > 1 else objects[0]
        return array_json(select(found.label("value")).select_from(asked).order_by(asked.c.position))

    def _object(self, build: Builder, name: str, keys: Any, selected: Selected, path: Path) -> Expression:
        type_ = as_object(build.selection.schema.get_type(name))
        child = build.row(type_)
        pairs = build.object(type_, child, selected.nodes, (*path, EACH))
        found = [child[column] == next(keys) for column in child.entity.key]
        return object_json(pairs, child.source(*found), child.own)


def judge_length(value: Any) -> Answer:
    """How many ids a list has; None where it is no list."""
    return min(len(value), PAGE_MAX) if isinstance(value, list) else None


def _parts(entity: Entity, name: str) -> list["_KeyParts"]:
    ids = NodeIds(name, entity)
    return [_KeyParts(_KeyPart(ids, index)) for index in range(len(entity.key))]


@dataclass(frozen=True, eq=False)
class _NodeType:
    entities: Mapping[str, Entity]

    def __call__(self, value: Any) -> Answer:
        if value is None:
            return Fault.NULL
        try:
            name, _ = split_node_id(value)
            entity = self.entities.get(name)
            if entity is None:
                return Fault.MALFORMED
            NodeIds(name, entity).parse(value)
        except Malformed:
            return Fault.MALFORMED
        return name


@dataclass(frozen=True, eq=False)
class _NodeTypes:
    """The types that a list of ids names, each once, or what is wrong with it."""

    entities: Mapping[str, Entity]

    def __call__(self, value: Any) -> Answer:
        if value is None:
            return Fault.NULL
        if len(value) > PAGE_MAX:
            return Fault.MALFORMED
        judge = _NodeType(self.entities)
        answers = {judge(each) for each in value}
        return Fault.MALFORMED if answers & set(Fault) else tuple(sorted(map(str, answers)))


@dataclass(frozen=True)
class _KeyPart:
    ids: NodeIds
    index: int

    def __call__(self, value: Any) -> Any:
        return self.ids.parse(value)[self.index]


@dataclass(frozen=True)
class _KeyParts:
    """One part of the keys of a type's ids in a list; None for the ids of other types."""

    part: _KeyPart

    @property
    def column(self) -> Column[Any]:
        return self.part.ids.entity.key[self.part.index]

    def __call__(self, value: list[str]) -> list[Any]:
        return [self.part(each) if split_node_id(each)[0] == self.part.ids.type_name else None for each in value]
