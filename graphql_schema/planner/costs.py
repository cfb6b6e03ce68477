"""What an operation costs at most, in values of its answer: for each field, how many objects may show it.

It is known before a statement runs, from the pages that the operation asks for, so that what is too much is refused
with the figure. Introspection is free: graphql-core bounds it by a rule of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLAbstractType,
    GraphQLError,
    GraphQLObjectType,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
)

from graphql_schema.planner.builder import as_object
from graphql_schema.planner.groups import judge_most
from graphql_schema.planner.nodes import judge_length
from graphql_schema.planner.pages import Part
from graphql_schema.planner.selection import Selected, Selection
from graphql_schema.planner.windows import PAGE_DEFAULT, judge_size

MAX_COST = 1_000_000
"""Unless the settings say otherwise."""
COUNT_COST = 100
"""Of a `totalCount`, which looks at up to 10,000 rows of an index."""
GROUPS_COST = 1_000
"""Of a `groups`, beside its values: it looks at all rows of its connection."""
LIST_SIZE = 10
"""How many items a list without pages is taken to have."""


def cost_of(selection: Selection, operation: OperationDefinitionNode) -> int:
    """What an operation costs at most, with the variables that the selection decides by.

    Raises `GraphQLError` where graphql-core would refuse the operation as a whole.
    """
    root = as_object(selection.schema.get_root_type(operation.operation))
    costs = _Costs(selection)
    return sum(costs.of_root(selected) for selected in selection.of_sets(root, [operation.selection_set]))


@dataclass(frozen=True)
class _Costs:
    selection: Selection

    def of_root(self, selected: Selected) -> int:
        """The cost of a root field; one that cannot be planned costs nothing, its error is told when it is planned."""
        try:
            return self._field(selected, 1)
        except GraphQLError:
            return 0

    def _of_sets(self, type_: GraphQLObjectType, sets: Iterable[SelectionSetNode], objects: int) -> int:
        return sum(self._field(selected, objects) for selected in self.selection.of_sets(type_, sets))

    def _field(self, selected: Selected, objects: int) -> int:
        if selected.name.startswith("__"):
            return 0
        type_ = get_named_type(selected.field.type)
        if is_leaf_type(type_):
            return objects * (COUNT_COST if selected.name == Part.TOTAL_COUNT else 1)
        if "first" in selected.field.args and isinstance(type_, GraphQLObjectType) and Part.NODES in type_.fields:
            return objects + self._connection(type_, selected, objects)
        if is_list_type(get_nullable_type(selected.field.type)):
            return objects + self._below(type_, selected, objects * self._length(selected))
        return objects + self._below(type_, selected, objects)

    def _connection(self, type_: GraphQLObjectType, selected: Selected, objects: int) -> int:
        size = self._page(selected, "first") or self._page(selected, "last") or PAGE_DEFAULT
        return sum(self._part(part, objects, size) for part in self.selection.fields(type_, selected.nodes))

    def _part(self, part: Selected, objects: int, size: int) -> int:
        type_ = get_named_type(part.field.type)
        if part.name in (Part.NODES, Part.EDGES):
            return self._below(type_, part, objects * size)
        if part.name == Part.GROUPS:
            groups = self.selection.decide(part.argument("first"), judge_most)
            most = groups if isinstance(groups, int) else 0
            return objects * GROUPS_COST + self._below(type_, part, objects * most)
        return self._field(part, objects)

    def _below(self, type_: Any, selected: Selected, objects: int) -> int:
        """The cost of an object's fields; of an interface's, that of its most expensive type."""
        sets = [node.selection_set for node in selected.nodes if node.selection_set is not None]
        return max(self._of_sets(possible, sets, objects) for possible in self._possible(type_))

    def _possible(self, type_: GraphQLAbstractType | GraphQLObjectType) -> Iterable[GraphQLObjectType]:
        return self.selection.schema.get_possible_types(type_) if is_abstract_type(type_) else [as_object(type_)]

    def _page(self, selected: Selected, argument: str) -> int | None:
        """The size that was asked for; a wrong one is refused when the field is planned."""
        size = self.selection.decide(selected.argument(argument), judge_size)
        return size if isinstance(size, int) and size else None

    def _length(self, selected: Selected) -> int:
        if "ids" not in selected.field.args:
            return LIST_SIZE
        length = self.selection.decide(selected.argument("ids"), judge_length)
        return length if isinstance(length, int) else 0
