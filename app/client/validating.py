"""Validation of a client's operations against the schema, without a hub; all files of a client are judged together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoDeprecatedCustomRule,
    Source,
    build_schema,
    concat_ast,
    parse,
    validate,
)

SUFFIXES = frozenset({".graphql", ".gql"})
FAULTS_MAX = 1000
"""More are not told of."""


@dataclass(frozen=True, order=True)
class Fault:
    """What is wrong at a place of a file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    message: str
    severity: str = "error"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}"


def sdl() -> str:
    """The schema of this version of the hub."""
    return files("graphql_schema").joinpath("schema.graphql").read_text(encoding="utf-8")


def own_schema() -> GraphQLSchema:
    """The same, built."""
    return build_schema(sdl())


def operation_files(path: Path) -> Sequence[Path]:
    """The file itself, or all files of operations in the folder and those in it, by name."""
    if not path.is_dir():
        return [path]
    return sorted(found for found in path.rglob("*") if found.suffix in SUFFIXES and found.is_file())


def faults_in(schema: GraphQLSchema, paths: Sequence[Path]) -> list[Fault]:
    """All faults of the files, by place: errors, and uses of what is deprecated as warnings.

    They are one document, as they are for a code generator: a fragment may stand in another file, names are unique in
    all of them. Files that cannot be parsed are told of alone, since every fragment of them would be missing.
    """
    documents: list[DocumentNode] = []
    unreadable: list[Fault] = []
    for file in paths:
        try:
            documents.append(parse(Source(file.read_text(encoding="utf-8"), str(file))))
        except GraphQLSyntaxError as error:
            unreadable.append(_fault(error))
        except (OSError, UnicodeDecodeError) as error:
            unreadable.append(Fault(str(file), 1, 1, f"cannot be read: {error}"))
    return sorted(unreadable or _judged(schema, concat_ast(documents)))


def _judged(schema: GraphQLSchema, document: DocumentNode) -> Iterable[Fault]:
    errors = validate(schema, document, max_errors=FAULTS_MAX)
    warnings = validate(schema, document, [NoDeprecatedCustomRule], max_errors=FAULTS_MAX) if not errors else []
    return [*map(_fault, errors), *(_fault(warning, "warning") for warning in warnings)]


def _fault(error: GraphQLError, severity: str = "error") -> Fault:
    place = error.locations[0] if error.locations else None
    return Fault(
        error.source.name if error.source else "",
        place.line if place else 1,
        place.column if place else 1,
        error.message,
        severity,
    )
