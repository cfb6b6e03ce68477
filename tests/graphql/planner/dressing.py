"""Makes operations of skeletons: arguments, variables, fragments, aliases and directives, chosen at random."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import (
    ArgumentNode,
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLBoolean,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    InlineFragmentNode,
    ListValueNode,
    NamedTypeNode,
    NameNode,
    NullValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    SelectionNode,
    SelectionSetNode,
    Undefined,
    ValueNode,
    VariableNode,
    get_named_type,
    is_leaf_type,
    parse_value,
    print_ast,
)

from tests.graphql.planner.arguments import Arguments, Stock
from tests.graphql.planner.oracle import is_writable, literal
from tests.graphql.planner.skeletons import Skeleton

Composite = GraphQLObjectType | GraphQLInterfaceType
GARBAGE: tuple[Any, ...] = ({}, [], "x", 1.5, True, 2**40, None, {"nope": 1}, [None], "2026", -1, [[1]])
PARTS = {"totalCount": 0.2, "pageInfo": 0.3, "groups": 0.15}
"""How often a connection is asked for these."""


DEEPEST = 4
"""Levels to which objects get more fields than were drawn for them."""
DEEPER = ("assignedAgent", "tasks", "nodes")
"""A way that leads from a task to tasks."""


@dataclass(frozen=True)
class Operation:
    """What is sent: once with its variables, and then with each other set of them."""

    text: str
    variables: dict[str, Any]
    others: tuple[dict[str, Any], ...] = ()
    name: str | None = None


@dataclass
class Dressing:
    """One document in the making."""

    stock: Stock
    random: Random
    grafts: Mapping[str, Skeleton]
    declared: dict[str, str] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)
    offered: dict[str, list[Any]] = field(default_factory=dict)
    fragments: list[FragmentDefinitionNode] = field(default_factory=list)
    is_greedy: bool = False
    _names: int = 0
    _level: int = 0

    def operation(self, skeleton: Skeleton) -> Operation:
        """The whole."""
        # seldom: deep ones, and great pages, of which the limits let some through
        self.is_greedy = self._is(0.05)
        shape = _deep(self.random.choice((1, 2, 3, 5))) if self.is_greedy else skeleton
        selections = self._selections(self.stock.facts.object("Query"), shape)
        declared = (
            f"({', '.join(f'${name}: {type_}' for name, type_ in self.declared.items())})" if self.declared else ""
        )
        body = print_ast(SelectionSetNode(selections=tuple(selections)))
        name = "Asked" if self._is(0.1) else ""
        parts = [f"query {name}{declared} {body}", *map(print_ast, self.fragments)]
        if name and self._is(0.5):
            parts.append("query Other { viewer { role } }")
        self.random.shuffle(parts)
        others = (self._others(),) if self.declared and self._is(0.5) else ()
        if self.given and self._is(0.03):
            self.given[self.random.choice(list(self.given))] = self.random.choice(GARBAGE)
        return Operation("\n".join(parts), self.given, others, name or None)

    def _others(self) -> dict[str, Any]:
        """Other variables for the same document: some exchanged for others of their type, some left out or null."""
        others = {}
        for name, type_ in self.declared.items():
            kind = self.random.choices(("same", "other", "none", "null", "wrong"), (40, 45, 10, 4, 1))[0]
            if kind == "other":
                others[name] = self.random.choice(self.offered[type_.removesuffix("!").split(" = ")[0]])
            elif kind == "null" and "!" not in type_[-1:]:
                others[name] = None
            elif kind == "wrong":
                others[name] = self.random.choice(GARBAGE)
            elif name in self.given and (kind == "same" or type_.endswith("!")):
                others[name] = self.given[name]
        return others

    def _selections(self, type_: Composite, nodes: Iterable[SelectionNode]) -> list[SelectionNode]:
        if "pageInfo" in type_.fields:
            nodes = self._parts(type_, nodes)
        made = [self._dressed(type_, node) for node in nodes]
        if self._is(0.06):
            made.insert(self.random.randint(0, len(made)), FieldNode(name=NameNode(value="__typename")))
        if self._is(0.04):
            at = self.random.randrange(len(made))
            made[at : at + 1], again = self._split(made[at])
            made.append(again)
        if self._is(0.2):
            made = self._wrapped(type_, made)
        return made

    def _split(self, node: SelectionNode) -> tuple[list[SelectionNode], SelectionNode]:
        """The same twice; of a field in each only a part of what is under it, so that both must be merged."""
        if not isinstance(node, FieldNode) or node.selection_set is None:
            return [node], node
        under = node.selection_set.selections
        at = self.random.randint(0, len(under) - 1)
        halves = under[: at + 1], under[at:]
        one, other = (
            FieldNode(
                name=node.name,
                alias=node.alias,
                arguments=node.arguments,
                directives=node.directives,
                selection_set=_set(half),
            )
            for half in halves
        )
        return [one], other

    def _parts(self, connection: Composite, nodes: Iterable[SelectionNode]) -> list[SelectionNode]:
        """The parts of a connection, of which the skeleton has the nodes alone."""
        made: list[SelectionNode] = []
        for node in nodes:
            assert isinstance(node, FieldNode)
            shown: SelectionNode = node
            if self._is(0.3) and not self.is_greedy:
                item = FieldNode(name=NameNode(value="node"), selection_set=node.selection_set)
                cursor = FieldNode(name=NameNode(value="cursor"))
                inner = self.random.choice(([item], [cursor], [item, cursor], [cursor, item]))
                shown = FieldNode(name=NameNode(value="edges"), selection_set=_set(inner))
            made.append(shown)
        made += [self._some_of(connection, name) for name, p in PARTS.items() if self._is(p)]
        if len(made) > 1 and self._is(0.2) and not self.is_greedy:
            made.pop(0)
        self.random.shuffle(made)
        return made

    def _some_of(self, type_: Composite, name: str) -> FieldNode:
        """A field with some of what can be selected under it."""
        target: Any = get_named_type(type_.fields[name].type)
        if is_leaf_type(target):
            return FieldNode(name=NameNode(value=name))
        names = self.random.sample(list(target.fields), self.random.randint(1, min(3, len(target.fields))))
        return FieldNode(name=NameNode(value=name), selection_set=_set(self._some_of(target, each) for each in names))

    def _dressed(self, type_: Composite, node: SelectionNode) -> SelectionNode:
        if isinstance(node, InlineFragmentNode):
            assert node.type_condition is not None
            on = self.stock.facts.object(node.type_condition.name.value)
            inner = self._selections(on, node.selection_set.selections)
            return InlineFragmentNode(
                type_condition=node.type_condition, selection_set=_set(inner), directives=self._directives()
            )
        assert isinstance(node, FieldNode)
        definition = type_.fields[node.name.value]
        inner = []
        if node.selection_set is not None:
            target: Any = get_named_type(definition.type)
            self._level += 1
            inner = self._selections(target, self._grafted(target, node.selection_set.selections))
            self._level -= 1
        return FieldNode(
            name=node.name,
            alias=NameNode(value=self._name("a")) if self._is(0.12) else node.alias,
            arguments=self._arguments(type_, node.name.value, definition),
            directives=self._directives(),
            selection_set=_set(inner) if inner else None,
        )

    def _grafted(self, type_: Composite, nodes: Sequence[SelectionNode]) -> Sequence[SelectionNode]:
        """More for an object, of what is not selected yet."""
        more = self.grafts.get(type_.name, ())
        if self._level > DEEPEST or self._is(0.5):
            return nodes
        known = {node.name.value for node in nodes if isinstance(node, FieldNode)}
        return [*nodes, *(node for node in more if isinstance(node, FieldNode) and node.name.value not in known)]

    def _wrapped(self, type_: Composite, made: list[SelectionNode]) -> list[SelectionNode]:
        """Some neighbours in a fragment."""
        start = self.random.randrange(len(made))
        end = self.random.randint(start + 1, len(made))
        inner, on = made[start:end], self._condition(type_, made[start:end])
        if self._is(0.5):
            spread: SelectionNode = InlineFragmentNode(
                type_condition=on if on.name.value != type_.name or self._is(0.5) else None,
                selection_set=_set(inner),
                directives=self._directives(),
            )
            return [*made[:start], spread, *made[end:]]
        name = NameNode(value=self._name("F"))
        self.fragments.append(
            FragmentDefinitionNode(name=name, type_condition=on, selection_set=_set(inner), directives=())
        )
        spread = FragmentSpreadNode(name=name, directives=self._directives())
        again = [FragmentSpreadNode(name=name, directives=())] if self._is(0.1) else []
        return [*made[:start], spread, *made[end:], *again]

    def _condition(self, type_: Composite, inner: list[SelectionNode]) -> NamedTypeNode:
        names = {node.name.value if isinstance(node, FieldNode) else "?" for node in inner}
        is_shared = names <= {"id", "__typename"} and any(each.name == "Node" for each in type_.interfaces)
        return NamedTypeNode(name=NameNode(value="Node" if is_shared and self._is(0.7) else type_.name))

    def _directives(self) -> tuple[DirectiveNode, ...]:
        return tuple(self._directive(name) for name in ("include", "skip") if self._is(0.035))

    def _directive(self, name: str) -> DirectiveNode:
        stays = self._is(0.75)
        value = self._written(stays is (name == "include"), GraphQLNonNull(GraphQLBoolean), often=0.6)
        argument = ArgumentNode(name=NameNode(value="if"), value=value)
        return DirectiveNode(name=NameNode(value=name), arguments=(argument,))

    def _arguments(self, type_: Composite, name: str, definition: GraphQLField) -> tuple[ArgumentNode, ...]:
        if not definition.args:
            return ()
        values = Arguments(self.stock, self.random, self.is_greedy).of(type_.name, name, definition)
        return tuple(
            ArgumentNode(name=NameNode(value=each), value=self._written(value, definition.args[each].type, often=0.4))
            for each, value in values.items()
        )

    def _written(
        self, value: Any, type_: GraphQLInputType, *, often: float = 0.1, has_default: bool = False
    ) -> ValueNode:
        """A value in the document, or a variable in its stead, or variables for parts of it."""
        named = get_named_type(type_)
        if self._is(often) or (named.name == "JSON" and not is_writable(value)):
            return self._variable(value, type_, has_default)
        if isinstance(type_, GraphQLNonNull):
            return self._written(value, type_.of_type, often=0)
        if value is None:
            return NullValueNode()
        if isinstance(type_, GraphQLList):
            if not isinstance(value, list):
                return self._written(value, type_.of_type)
            return ListValueNode(values=tuple(self._written(item, type_.of_type) for item in value))
        if isinstance(type_, GraphQLInputObjectType):
            return ObjectValueNode(fields=tuple(self._field(type_, name, each) for name, each in value.items()))
        if named.name == "JSON" and isinstance(value, dict):
            return ObjectValueNode(
                fields=tuple(
                    ObjectFieldNode(name=NameNode(value=key), value=self._written(each, type_))
                    for key, each in value.items()
                )
            )
        return parse_value(literal(value, type_))

    def _field(self, type_: GraphQLInputObjectType, name: str, value: Any) -> ObjectFieldNode:
        asked = type_.fields[name]
        has_default = asked.default is not None or asked.default_value is not Undefined
        return ObjectFieldNode(
            name=NameNode(value=name), value=self._written(value, asked.type, has_default=has_default)
        )

    def _variable(self, value: Any, type_: GraphQLInputType, has_default: bool) -> VariableNode:
        """A variable with this value, nearly always; where it may be left out or null it sometimes is."""
        name = self._name("v")
        inner = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        default = value is not None and is_writable(value) and self._is(0.25)
        self.offered.setdefault(str(inner), []).extend([value, *_others_of(value)])
        may_be_null = not isinstance(type_, GraphQLNonNull) or default or has_default
        if may_be_null and (value is None or default or self._is(0.8)):
            written = f" = {literal(value, inner)}" if default else ""
            self.declared[name] = f"{inner}{written}"
            chance = self.random.random()
            if chance < (0.5 if default else 0.1):
                return _variable(name)
            self.given[name] = None if chance > 0.96 else value
        else:
            self.declared[name] = f"{inner}!"
            self.given[name] = value
        return _variable(name)

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}{self._names}"

    def _is(self, probability: float) -> bool:
        return self.random.random() < probability


def _others_of(value: Any) -> list[Any]:
    """Values of the same type."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, 1]
    return [value[:1]] if isinstance(value, list) else []


def _deep(many: int) -> Skeleton:
    """A selection that goes from tasks to tasks so many times."""
    made = FieldNode(name=NameNode(value="title"))
    for name in reversed(("tasks", "nodes", *DEEPER * many)):
        made = FieldNode(name=NameNode(value=name), selection_set=_set([made]))
    return (made,)


def _set(selections: Iterable[SelectionNode]) -> SelectionSetNode:
    return SelectionSetNode(selections=tuple(selections))


def _variable(name: str) -> VariableNode:
    return VariableNode(name=NameNode(value=name))
