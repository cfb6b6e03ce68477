"""Builds the expression of a selection: walks down the schema and lets each field's declaration say its SQL."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from graphql import FieldNode, GraphQLField, GraphQLObjectType, get_named_type
from sqlalchemy import ARRAY, BindParameter, Double, Numeric, bindparam
from sqlalchemy.types import TypeEngine

from app.domain.errors import Forbidden, InvalidInput
from app.domain.principals import Principal
from app.security.policy import Permission
from graphql_schema.planner.decisions import Variables
from graphql_schema.planner.entities import BACK_REFERENCE, Entity, Row, entity_of_type
from graphql_schema.planner.fills import Fill, Path
from graphql_schema.planner.selection import Given, Selected, Selection, Source
from graphql_schema.planner.sql import Expression, text_constant

ROWS_MAX = 300
"""How many times a table may occur in one statement: planning takes about a millisecond for each."""
PLAN = "plan"
"""The key of a field's metadata under which its plan is declared."""
TYPENAME = "__typename"

Rights = frozenset[Permission]
Extract = Callable[[Variables, Principal], Any]
"""Takes one argument of the statement out of the operation's variables, or from who asks."""
TypesOf = Callable[[Variables], Sequence[str]]
"""The types that the ids given to `node` or `nodes` name."""
Pair = tuple[str, Expression]


class FieldPlan(Protocol):
    """How a field is computed in SQL."""

    def expression(self, build: "Builder", row: Row | None, selected: Selected, path: Path) -> Expression:
        """The field's value, ready to stand in a JSON object; `path` leads to it. `row` is the parent's."""
        ...


class Builder:
    """Builds one statement's expressions, and notes its arguments and what must be filled in afterwards."""

    def __init__(self, selection: Selection, rights: Rights, entities: Mapping[str, Entity]) -> None:
        self.selection = selection
        self.rights = rights
        self.entities = entities
        self.fills: list[Fill] = []
        self.extracts: dict[str, Extract] = {}
        self.constants: dict[str, Any] = {}
        self.node_types: TypesOf | None = None
        self.is_personal = False
        """Whether what is built depends on who asks, and not only on the rights."""
        self._rows = 0

    def object(self, type_: GraphQLObjectType, row: Row | None, nodes: Sequence[FieldNode], path: Path) -> list[Pair]:
        """The pairs of an object of this type, in response order; `path` leads to the object."""
        return [
            (selected.key, self.field(row, selected, (*path, selected.key)))
            for selected in self.selection.fields(type_, nodes)
        ]

    def field(self, row: Row | None, selected: Selected, path: Path) -> Expression:
        """The value of one response key."""
        if selected.name == TYPENAME:
            return text_constant(selected.parent.name)
        return plan_of(selected.field).expression(self, row, selected, path)

    def row(self, type_: GraphQLObjectType) -> Row:
        """A new row of a type's entity. Raises `Forbidden` for whoever may not read it, `InvalidInput` for too many."""
        self._rows += 1
        if self._rows > ROWS_MAX:
            raise InvalidInput(f"The operation asks for more than {ROWS_MAX} relations. Ask for less at once.")
        entity = entity_of_type(type_)
        if entity is None:
            raise LookupError(f"{type_.name} declares no entity")
        if entity.requires is not None and entity.requires not in self.rights:
            raise Forbidden(f"Your token's role may not {entity.requires.value}, so it cannot read {type_.name}.")
        return Row(entity)

    def bind(self, source: Source, convert: Callable[[Any], Any], type_: TypeEngine[Any]) -> BindParameter[Any]:
        """A parameter that holds an argument's value, converted to what the driver takes.

        The value was judged before, so that `convert` does not raise.
        """
        if isinstance(source, Given):
            name = self._name()
            self.constants[name] = convert(source.value)
            return bindparam(name, type_=_exact(type_), required=False, value=None)
        return self.bind_extract(lambda variables, _: convert(source.read(variables)), type_)

    def bind_extract(self, extract: Extract, type_: TypeEngine[Any]) -> BindParameter[Any]:
        """A parameter whose value is taken from the request."""
        name = self._name()
        self.extracts[name] = extract
        return bindparam(name, type_=_exact(type_), required=False, value=None)

    def _name(self) -> str:
        return f"p{len(self.extracts) + len(self.constants)}"


def _exact(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """The type without a scale: a parameter is cast to its type, and a column's NUMERIC(5, 2) would round it."""
    if isinstance(type_, ARRAY):
        return ARRAY(_exact(type_.item_type))
    return Numeric() if isinstance(type_, Numeric) and not isinstance(type_, Double) else type_


def plan_of(field: GraphQLField) -> FieldPlan:
    """The plan that a field declares."""
    declared = field.extensions[BACK_REFERENCE].metadata.get(PLAN)
    if declared is None:
        raise LookupError("a field that can be reached from Query declares no plan")
    plan: FieldPlan = declared
    return plan


def object_type(selected: Selected) -> GraphQLObjectType:
    """The object type of a field, without list and non-null."""
    return as_object(get_named_type(selected.field.type))


def object_type_of(field: GraphQLField, *, is_list: bool) -> GraphQLObjectType:
    """The type of the object that a field shows, or of those that a connection holds."""
    type_ = as_object(get_named_type(field.type))
    return as_object(get_named_type(type_.fields["nodes"].type)) if is_list else type_


def as_object(type_: Any) -> GraphQLObjectType:
    """The type itself, which must be an object's."""
    if not isinstance(type_, GraphQLObjectType):
        raise TypeError(f"{type_} is no object type")
    return type_


def dotted(path: Path) -> Iterator[str]:
    """The response keys of a path."""
    return (step for step in path if step is not None)
