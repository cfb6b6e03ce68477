"""How much one document may ask for. The limits hold through fragments, over HTTP and WebSocket alike.

Everything is counted as if each fragment were written out where it is spread, but each fragment is walked once, so that
counting takes no longer than reading the document.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    specified_rules,
)

MAX_TOKENS = 4_000
MAX_DEPTH = 12
"""Levels of fields that have fields; introspection is not counted, graphql-core limits it by a rule of its own."""
MAX_ALIASES = 100
MAX_DIRECTIVES = 100
MAX_FIELDS = 2_000
MAX_FRAGMENTS = 100

VALIDATION_RULES = tuple(specified_rules)
"""Built once: a new tuple or rule class for each request would defeat every cache of validation."""


@dataclass(frozen=True)
class Size:
    """What a selection comes to when its fragments are written out."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0

    def beside(self, other: "Size") -> "Size":
        """The size of both together."""
        return Size(
            max(self.depth, other.depth),
            self.fields + other.fields,
            self.aliases + other.aliases,
            self.directives + other.directives,
        )


@dataclass
class _Counter:
    fragments: Mapping[str, FragmentDefinitionNode]
    known: dict[str, Size] = field(default_factory=dict)

    def selection(self, selection_set: SelectionSetNode | None) -> Size:
        total = Size()
        for node in selection_set.selections if selection_set else ():
            total = total.beside(self._node(node)).beside(Size(directives=len(node.directives or ())))
        return total

    def _node(self, node: SelectionNode) -> Size:
        if isinstance(node, FieldNode):
            inner = self.selection(node.selection_set)
            is_counted = node.selection_set is not None and not node.name.value.startswith("__")
            return Size(
                inner.depth + 1 if is_counted else 0,
                inner.fields + 1,
                inner.aliases + bool(node.alias),
                inner.directives,
            )
        if isinstance(node, InlineFragmentNode):
            return self.selection(node.selection_set)
        return self._fragment(node.name.value) if isinstance(node, FragmentSpreadNode) else Size()

    def _fragment(self, name: str) -> Size:
        if name not in self.known:
            # a fragment that spreads itself counts as nothing there; validation refuses it
            self.known[name] = Size()
            fragment = self.fragments.get(name)
            if fragment is not None:
                own = Size(directives=len(fragment.directives or ()))
                self.known[name] = self.selection(fragment.selection_set).beside(own)
        return self.known[name]


def over_the_limits(document: DocumentNode) -> list[GraphQLError]:
    """An error for each limit that an operation of the document exceeds."""
    fragments = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    if len(fragments) > MAX_FRAGMENTS:
        return [GraphQLError(f"The document has {len(fragments)} fragments; at most {MAX_FRAGMENTS} are allowed.")]
    counter = _Counter({node.name.value: node for node in fragments})
    # fragments that no operation spreads are counted too: validation would walk them
    unused: Iterable[Size] = [counter.selection(node.selection_set) for node in fragments]
    operations: Sequence[OperationDefinitionNode] = [
        node for node in document.definitions if isinstance(node, OperationDefinitionNode)
    ]
    sizes = [
        counter.selection(node.selection_set).beside(Size(directives=len(node.directives or ()))) for node in operations
    ]
    return [error for size in (*sizes, *unused) for error in _excess(size)][:10]


def _excess(size: Size) -> list[GraphQLError]:
    measured = (
        ("levels of fields", size.depth, MAX_DEPTH),
        ("fields, fragments written out", size.fields, MAX_FIELDS),
        ("aliases, fragments written out", size.aliases, MAX_ALIASES),
        ("directives, fragments written out", size.directives, MAX_DIRECTIVES),
    )
    return [
        GraphQLError(f"The operation has {amount} {what}; at most {most} are allowed. Ask for less at once.")
        for what, amount, most in measured
        if amount > most
    ]
