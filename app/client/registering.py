"""Files of registered documents: made of a client's operations, and judged, without a hub."""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    Node,
    concat_ast,
    parse,
    print_ast,
    separate_operations,
    validate,
)

from app.client import operations as own_operations
from app.domain.documents import WrongDocument, sha256_of, texts_by_sha256

_OPERATION = re.compile(r"\s*(query|mutation|subscription)\b")


def documents_of(texts: Sequence[str]) -> dict[str, str]:
    """The operations of the texts, which together are valid, by name: each with the fragments that it uses.

    They are written as graphql-core and graphql-js print documents, which is how their clients send them.
    """
    together = concat_ast([parse(text) for text in texts])
    return {name: _printed(document) for name, document in separate_operations(together).items()}


def _printed(document: DocumentNode) -> str:
    """The operation, then its fragments, whichever came first in the files."""
    return print_ast(DocumentNode(definitions=tuple(sorted(document.definitions, key=_is_fragment))))


def _is_fragment(definition: Node) -> bool:
    return isinstance(definition, FragmentDefinitionNode)


def own_documents() -> list[str]:
    """What this version's command line and agents send."""
    return [document for text in _own_texts() for document in documents_of([text]).values()]


def _own_texts() -> Iterator[str]:
    for found in pkgutil.iter_modules(own_operations.__path__):
        module = importlib.import_module(f"{own_operations.__name__}.{found.name}")
        yield from (text for text in vars(module).values() if isinstance(text, str) and _OPERATION.match(text))


def write(documents: Iterable[str], file: Path) -> None:
    """Write the file: the texts by their hashes. Raises `OSError`."""
    texts = {sha256_of(text): text for text in documents}
    file.write_text(json.dumps(texts, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def read(file: Path) -> dict[str, str]:
    """The texts of a file by their hashes. Raises `WrongDocument`."""
    try:
        return texts_by_sha256(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise WrongDocument(f"{file} cannot be read: {error}") from None


def faults_of(schema: GraphQLSchema, texts: Mapping[str, str]) -> list[str]:
    """What is wrong with each document, by its hash."""
    return [fault for sha256, text in texts.items() for fault in _faults(schema, sha256, text)]


def _faults(schema: GraphQLSchema, sha256: str, text: str) -> Iterator[str]:
    for error in _errors(schema, text):
        place = f"{error.locations[0].line}:{error.locations[0].column}" if error.locations else "1:1"
        yield f"{sha256}:{place}: error: {error.message}"


def _errors(schema: GraphQLSchema, text: str) -> Sequence[GraphQLError]:
    try:
        return validate(schema, parse(text))
    except GraphQLError as error:
        return [error]
