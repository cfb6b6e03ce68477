"""The interface of everything that has a global id."""

from typing import Any, ClassVar

import strawberry

from graphql_schema.planner.entities import Entity
from graphql_schema.planner.fields import node_id


class NodeRow(dict[str, Any]):
    """Planned JSON of a node that knows its type, for graphql-core where a field's type is the interface."""

    def __init__(self, planned: dict[str, Any], type_name: str) -> None:
        super().__init__(planned)
        self.type_name = type_name


@strawberry.interface(description="An object with a global id; the root field `node` finds it by that.")
class Node:
    __entity__: ClassVar[Entity]

    id: strawberry.ID = node_id()

    @classmethod
    def is_type_of(cls, value: Any, _info: Any) -> bool:
        """Planned JSON is of the type that it was planned for."""
        return isinstance(value, dict)

    @classmethod
    def resolve_type(cls, value: NodeRow, _info: Any, _abstract: Any) -> str:
        """The type that the id named."""
        return value.type_name
