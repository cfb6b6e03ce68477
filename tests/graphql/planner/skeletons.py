"""Which fields generated operations select: hypothesis-graphql chooses them from the SDL.

It knows neither variables nor fragments, aliases and directives; it would fill the filters, which refer to each other,
without an end, and of connections it would mostly take `totalCount`. So it is given the SDL without arguments and with
nothing but `nodes` in connections, and dressing.py puts on the rest. And since it spreads some forty fields over all
that Query has, it is given one field of Query at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from graphql import (
    DocumentNode,
    FieldDefinitionNode,
    FieldNode,
    GraphQLSchema,
    InlineFragmentNode,
    InterfaceTypeDefinitionNode,
    NamedTypeNode,
    NameNode,
    ObjectTypeDefinitionNode,
    OperationDefinitionNode,
    SelectionNode,
    TypeDefinitionNode,
    Visitor,
    build_ast_schema,
    parse,
    visit,
)
from hypothesis import strategies as st
from hypothesis_graphql import queries

from graphql_schema.export import SDL_FILE

Skeleton = tuple[SelectionNode, ...]
"""The root fields of an operation with all that is selected under them; no arguments yet."""
SCALARS = ("BigInt", "Cursor", "DateTime", "Decimal", "JSON")


class _Bare(Visitor):
    def leave_field_definition(self, node: FieldDefinitionNode, *_: Any) -> FieldDefinitionNode:
        return FieldDefinitionNode(name=node.name, type=node.type, arguments=(), directives=())

    def leave_object_type_definition(self, node: ObjectTypeDefinitionNode, *_: Any) -> ObjectTypeDefinitionNode | None:
        return _with_only(node, "nodes") if node.name.value.endswith("Connection") else None


def _with_only(node: ObjectTypeDefinitionNode, name: str) -> ObjectTypeDefinitionNode:
    fields = tuple(field for field in node.fields or () if field.name.value == name)
    return ObjectTypeDefinitionNode(name=node.name, interfaces=(), fields=fields, directives=())


@cache
def _types() -> Mapping[str, TypeDefinitionNode]:
    document = visit(parse(SDL_FILE.read_text(), no_location=True), _Bare())
    return {each.name.value: each for each in document.definitions if isinstance(each, TypeDefinitionNode)}


def _schema(root_field: str) -> GraphQLSchema:
    query = _types()["Query"]
    assert isinstance(query, ObjectTypeDefinitionNode)
    types = {**_types(), "Query": _with_only(query, root_field)}
    reachable = _reachable(types, "Query")
    kept = tuple(types[name] for name in types if name in reachable)
    return build_ast_schema(DocumentNode(definitions=kept), assume_valid=True)


def _reachable(types: Mapping[str, Any], root: str) -> set[str]:
    """The types that an operation can show, and the interface that they have; through it all that have it."""
    found: set[str] = set()
    todo = [root]
    while todo:
        name = todo.pop()
        node = types.get(name)
        if name in found or node is None:
            continue
        found.add(name)
        todo += [_named(field.type) for field in getattr(node, "fields", ()) or ()]
        if isinstance(node, InterfaceTypeDefinitionNode):
            todo += [each.name.value for each in types.values() if getattr(each, "interfaces", ())]
    return found | {_named(each) for name in found for each in getattr(types[name], "interfaces", ()) or ()}


def _named(type_: Any) -> str:
    while not isinstance(type_, NamedTypeNode):
        type_ = type_.type
    return type_.name.value


def _roots(document: DocumentNode) -> Skeleton:
    (operation,) = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    return tuple(operation.selection_set.selections)


@dataclass(frozen=True)
class Drawn:
    """Fields of Query with what is selected under them; and `node`, with something for several types."""

    roots: Sequence[Skeleton]
    node: FieldNode

    @property
    def skeletons(self) -> Sequence[Skeleton]:
        """Each field by itself, so that many small operations come of this, and those that go together."""
        nodes = FieldNode(name=NameNode(value="nodes"), selection_set=self.node.selection_set)
        return [*self.roots, tuple(each for root in self.roots for each in root), (self.node,), (nodes,)]

    @property
    def by_type(self) -> Mapping[str, Skeleton]:
        """What may be selected of objects beside what is; most that hypothesis draws is small."""
        found = {}
        for each in self.node.selection_set.selections if self.node.selection_set else ():
            if isinstance(each, InlineFragmentNode) and each.type_condition is not None:
                found[each.type_condition.name.value] = tuple(each.selection_set.selections)
        return found


def drawn(root_fields: Sequence[str]) -> st.SearchStrategy[Drawn]:
    """What an operation may select, under some of these fields of Query."""
    some = st.lists(st.sampled_from(root_fields), min_size=1, max_size=3, unique=True)
    roots = some.flatmap(lambda names: st.tuples(*map(_under, names)))
    return st.builds(Drawn, roots, _under("node").map(lambda skeleton: skeleton[0]))


@cache
def _under(root_field: str) -> st.SearchStrategy[Skeleton]:
    unused: dict[str, st.SearchStrategy[Any]] = {name: st.nothing() for name in SCALARS}
    return queries(_schema(root_field), custom_scalars=unused, print_ast=_roots)
