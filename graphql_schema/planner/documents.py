"""Documents: parsed, held against the limits and validated once, then kept with the plans of their operations."""

from dataclasses import dataclass

from graphql import DocumentNode, GraphQLError, GraphQLSchema, OperationType, parse
from strawberry.schema.schema import validate_document

from graphql_schema.limits import MAX_TOKENS, VALIDATION_RULES, over_the_limits
from graphql_schema.planner.lru import Lru
from graphql_schema.planner.planner import Operation, operations_of

DOCUMENTS_KEPT = 512
LONGEST_KEPT = 32_768
"""Characters: longer documents are parsed anew each time, so that they cannot fill the memory."""
WHICH_OPERATION = "Must provide operation name if query contains multiple operations."


@dataclass(frozen=True)
class Document:
    """A parsed document, what validation said of it, and its operations with their plans."""

    node: DocumentNode
    operations: dict[str | None, Operation]
    errors: tuple[GraphQLError, ...]

    def operation(self, name: str | None) -> Operation | None:
        """The operation of this name, or the only one where none is named; None where there is no such."""
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        return self.operations.get(name)


class Documents:
    """The documents of a schema, those that were asked for lately."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._kept: Lru[str, Document] = Lru(DOCUMENTS_KEPT)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, text: str) -> Document | None:
        """The document, if it is kept."""
        return self._kept.get(text)

    def prepare(self, text: str) -> Document:
        """The document; its `errors` say whether it may run. Raises `GraphQLError` for what cannot be parsed."""
        document = self._kept.get(text)
        if document is None:
            node = parse(text, max_tokens=MAX_TOKENS)
            # the limits come first, so that what breaks them costs no validation
            errors = over_the_limits(node) or validate_document(self._schema, node, VALIDATION_RULES)
            document = Document(node, operations_of(node), tuple(errors))
            if len(text) <= LONGEST_KEPT:
                self._kept.put(text, document)
        return document

    def pin(self, text: str, document: Document) -> None:
        """Keep a document for good."""
        self._kept.pin(text, document)

    def known_query(self, text: str, operation_name: str | None) -> Operation | None:
        """The query of a document that was found valid before; None where there is more to do."""
        document = self._kept.get(text)
        if document is None or document.errors:
            return None
        operation = document.operation(operation_name)
        return operation if operation is not None and operation.node.operation is OperationType.QUERY else None
