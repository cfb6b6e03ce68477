"""What an operation selects: the fields of an object in response order, and the arguments they were given.

The rules are those of the specification, "Field Collection": fragments and inline fragments are followed where their
type condition holds, `@skip` and `@include` are heeded, fields of one response key are merged.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLDirective,
    GraphQLError,
    GraphQLField,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    ListValueNode,
    ObjectValueNode,
    SelectionNode,
    SelectionSetNode,
    Undefined,
    ValueNode,
    VariableNode,
    coerce_input_literal,
    is_abstract_type,
)
from graphql.execution.values import VariableValues, get_argument_values

from graphql_schema.planner.decisions import Answer, Classify, Decisions, Question, Variables

Fragments = Mapping[str, FragmentDefinitionNode]
Collected = dict[str, list[FieldNode]]


@dataclass(frozen=True)
class Given:
    """A value written in the document, or None where the argument was left out."""

    value: Any

    def read(self, _variables: Variables) -> Any:
        return self.value


@dataclass(frozen=True)
class FromVariable:
    """A value that a variable brings; None where it was left out."""

    name: str

    def read(self, variables: Variables) -> Any:
        return variables.get(self.name)


@dataclass(frozen=True)
class Unfit:
    """What a literal is when a variable in it is null, or left out, where there must be a value."""

    message: str
    error: GraphQLError = field(compare=False)


@dataclass(frozen=True, eq=False)
class Composed:
    """A list or an input object written in the document with variables in it. Equal only to itself."""

    argument: str
    value: ValueNode
    node: FieldNode
    field: GraphQLField

    def read(self, variables: Variables) -> Any:
        """The value, or `Unfit`."""
        values = VariableValues({}, dict(variables))
        read = coerce_input_literal(self.value, self.field.args[self.argument].type, values)
        return self._refusal(values) if read is Undefined else read

    def _refusal(self, values: VariableValues) -> Unfit:
        try:
            get_argument_values(self.field, self.node, values)
        except GraphQLError as error:
            return Unfit(error.message, error.with_traceback(None))
        raise AssertionError(f"graphql-core takes what it could not read: {self.argument}")


Source = Given | FromVariable | Composed
"""Where the value of an argument comes from."""


@dataclass(frozen=True)
class Selected:
    """One response key of an object: the field behind it and the nodes that were merged into it."""

    key: str
    nodes: tuple[FieldNode, ...]
    parent: GraphQLObjectType
    field: GraphQLField

    @property
    def name(self) -> str:
        """The field's name in the schema."""
        return self.nodes[0].name.value

    def argument(self, name: str) -> Source:
        """Where the value of an argument comes from. Merged fields have equal arguments, so the first one tells."""
        for node in self.nodes[0].arguments or ():
            if node.name.value == name:
                if isinstance(node.value, VariableNode):
                    return FromVariable(node.value.name.value)
                if _has_variables(node.value):
                    return Composed(name, node.value, self.nodes[0], self.field)
                return Given(coerce_input_literal(node.value, self.field.args[name].type))
        return Given(None)


class Selection:
    """The walk over one document's selections, for the variables that `decisions` holds."""

    def __init__(self, schema: GraphQLSchema, fragments: Fragments, decisions: Decisions) -> None:
        self.schema = schema
        self.fragments = fragments
        self.decisions = decisions

    def fields(self, type_: GraphQLObjectType, nodes: Iterable[FieldNode]) -> Iterator[Selected]:
        """The fields selected of an object of this type under the given nodes; `__typename` is among them."""
        sets = (node.selection_set for node in nodes if node.selection_set is not None)
        yield from self.of_sets(type_, sets)

    def of_sets(self, type_: GraphQLObjectType, sets: Iterable[SelectionSetNode]) -> Iterator[Selected]:
        """As `fields`, under the given selection sets."""
        collected: Collected = {}
        visited: set[str] = set()
        for selection_set in sets:
            self._collect(type_, selection_set, collected, visited)
        for key, found in collected.items():
            definition = self.schema.get_field(type_, found[0].name.value)
            if definition is None:
                raise LookupError(f"{type_.name} has no field {found[0].name.value}: the document was not validated")
            yield Selected(key, tuple(found), type_, definition)

    def decide(self, source: Source, classify: Classify) -> Answer:
        """What kind of value an argument has; the plan then holds for this answer only.

        Raises `GraphQLError` for a literal that a variable makes unfit, as graphql-core does.
        """
        if isinstance(source, Given):
            return classify(source.value)
        answer = self.decisions.ask(Question(source, _IfFit(classify) if isinstance(source, Composed) else classify))
        if isinstance(answer, Unfit):
            raise answer.error
        return answer

    def refuse_null(self, selected: Selected) -> None:
        """Raise what graphql-core raises when a required argument's variable is null."""
        get_argument_values(selected.field, selected.nodes[0], self._values())

    def _collect(
        self, type_: GraphQLObjectType, selection_set: SelectionSetNode, collected: Collected, visited: set[str]
    ) -> None:
        for node in selection_set.selections:
            if not self._included(node):
                continue
            if isinstance(node, FieldNode):
                key = node.alias.value if node.alias else node.name.value
                collected.setdefault(key, []).append(node)
            elif isinstance(node, InlineFragmentNode):
                if self._applies(node, type_):
                    self._collect(type_, node.selection_set, collected, visited)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in visited:
                fragment = self.fragments[node.name.value]
                if self._applies(fragment, type_):
                    visited.add(node.name.value)
                    self._collect(type_, fragment.selection_set, collected, visited)

    def _included(self, node: SelectionNode) -> bool:
        return not self._holds(GraphQLSkipDirective, node, False) and self._holds(GraphQLIncludeDirective, node, True)

    def _holds(self, definition: GraphQLDirective, node: SelectionNode, default: bool) -> bool:
        for directive in node.directives or ():
            if directive.name.value == definition.name:
                return self._condition(definition, directive)
        return default

    def _condition(self, definition: GraphQLDirective, directive: DirectiveNode) -> bool:
        (argument,) = directive.arguments or ()
        value = argument.value
        if isinstance(value, BooleanValueNode):
            return value.value
        if isinstance(value, VariableNode):
            answer = self.decisions.ask(Question(FromVariable(value.name.value), _as_it_is))
            if isinstance(answer, bool):
                return answer
        # null: graphql-core has the words for it
        return bool(get_argument_values(definition, directive, self._values())["if"])

    def _values(self) -> VariableValues:
        return VariableValues({}, dict(self.decisions.variables))

    def _applies(self, fragment: FragmentDefinitionNode | InlineFragmentNode, type_: GraphQLObjectType) -> bool:
        if fragment.type_condition is None or fragment.type_condition.name.value == type_.name:
            return True
        condition = self.schema.get_type(fragment.type_condition.name.value)
        return is_abstract_type(condition) and self.schema.is_sub_type(condition, type_)


@dataclass(frozen=True)
class _IfFit:
    classify: Classify

    def __call__(self, value: Any) -> Answer:
        return value if isinstance(value, Unfit) else self.classify(value)


def _has_variables(node: ValueNode) -> bool:
    if isinstance(node, ListValueNode):
        return any(_has_variables(item) for item in node.values)
    if isinstance(node, ObjectValueNode):
        return any(_has_variables(field.value) for field in node.fields)
    return isinstance(node, VariableNode)


def _as_it_is(value: Any) -> Answer:
    return value if isinstance(value, bool) else None
