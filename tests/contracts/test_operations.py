"""The operations that clients keep fit the committed schema, and use nothing that is on its way out."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    GraphQLSchema,
    NoDeprecatedCustomRule,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    concat_ast,
    parse,
    validate,
    visit,
)

from app.client import operations as app_operations
from app.client.validating import faults_in, operation_files
from tests.contracts.generating import OPERATIONS, SDL

FILES = operation_files(OPERATIONS)


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema(SDL.read_text())


def test_the_committed_operations_fit_the_schema_and_use_nothing_deprecated(schema: GraphQLSchema) -> None:
    assert {path.name for path in FILES} == {
        "admin.graphql", "dashboard.graphql", "fragments.graphql", "metrics.graphql", "pm.graphql", "worker.graphql",
    }  # fmt: skip
    assert [str(fault) for fault in faults_in(schema, FILES)] == []


def own_operations() -> Iterator[tuple[str, str]]:
    """The operations that the command line, the agents and the demo use, by name."""
    for found in pkgutil.iter_modules(app_operations.__path__):
        module = importlib.import_module(f"{app_operations.__name__}.{found.name}")
        for name, value in vars(module).items():
            if isinstance(value, str) and re.match(r"\s*(query|mutation|subscription)\b", value):
                yield f"{found.name}.{name}", value


OWN = dict(own_operations())


def test_the_apps_own_operations_are_found() -> None:
    assert len(OWN) >= 30
    assert {"agents.REGISTER", "tasks.CHANGES", "workflows.PROGRESS"} <= OWN.keys()


@pytest.mark.parametrize("name", OWN)
def test_the_apps_own_operations_fit_the_schema_and_use_nothing_deprecated(schema: GraphQLSchema, name: str) -> None:
    document = parse(OWN[name])
    assert [error.message for error in validate(schema, document)] == []
    assert [error.message for error in validate(schema, document, [NoDeprecatedCustomRule])] == []


class RootFields(Visitor):
    """Collects the fields that are asked of the roots."""

    def __init__(self, info: TypeInfo, schema: GraphQLSchema) -> None:
        super().__init__()
        self.info = info
        self.roots = {schema.query_type, schema.mutation_type, schema.subscription_type}
        self.found: set[str] = set()

    def enter_field(self, node: object, *_: object) -> None:
        if self.info.get_parent_type() in self.roots:
            self.found.add(node.name.value)  # type: ignore[attr-defined]


def group(mutation: str) -> str:
    """What a mutation is about: the words in front of the verb, in the singular."""
    objects = ("agentMessage", "agent", "task", "workflow", "schedule", "decision", "qualityGate", "modelAssignment",
               "resourceMetrics", "apiToken")  # fmt: skip
    for name in objects:
        if re.match(rf"{name}s?[A-Z]", mutation):
            return name
    raise AssertionError(f"{mutation} is of no known group: name it here, and use it in clients/operations")


def test_they_cover_the_api(schema: GraphQLSchema) -> None:
    document = concat_ast([parse(path.read_text()) for path in FILES])
    info = TypeInfo(schema)
    seen = RootFields(info, schema)
    visit(document, TypeInfoVisitor(info, seen))
    assert schema.query_type and schema.mutation_type and schema.subscription_type  # noqa: PT018
    mutations = set(schema.mutation_type.fields)
    assert {group(name) for name in mutations} == {group(name) for name in seen.found & mutations}
    assert set(schema.subscription_type.fields) <= seen.found
    assert set(schema.query_type.fields) <= seen.found


def test_every_operation_is_of_a_name_that_generators_can_use() -> None:
    document = concat_ast([parse(path.read_text()) for path in FILES])
    names = [node.name for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    assert all(name is not None and re.fullmatch(r"([A-Z][a-z]+)+", name.value) for name in names)


def test_a_file_that_does_not_fit_is_told_of_by_place(schema: GraphQLSchema, tmp_path: Path) -> None:
    (tmp_path / "a.graphql").write_text("query A {\n  viewer { name ...B }\n}\n")
    (tmp_path / "b.gql").write_text("fragment B on Viewer { role }\n\nquery C {\n  viewer { nothing }\n}\n")
    (fault,) = faults_in(schema, operation_files(tmp_path))
    assert (Path(fault.file).name, fault.line, fault.column) == ("b.gql", 4, 12)
    assert fault.message.startswith("Cannot query field 'nothing' on type 'Viewer'.")


def test_what_is_deprecated_is_a_warning(tmp_path: Path) -> None:
    schema = build_schema('type Query { old: Int @deprecated(reason: "Use `new`.") new: Int }')
    (tmp_path / "a.graphql").write_text("query A {\n  new\n  old\n}\n")
    (fault,) = faults_in(schema, operation_files(tmp_path))
    assert (fault.severity, fault.line, fault.column) == ("warning", 3, 3)
    assert fault.message == "The field Query.old is deprecated. Use `new`."
