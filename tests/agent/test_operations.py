"""Every operation that the clients send is valid against the hub's SDL."""

import importlib
import pkgutil
from pathlib import Path

import pytest
from graphql import GraphQLSchema, build_schema, parse, validate

from app.client import operations

SDL = Path(__file__).resolve().parents[2] / "graphql_schema" / "schema.graphql"


def texts() -> dict[str, str]:
    """All operations, by module and name."""
    found: dict[str, str] = {}
    for module in pkgutil.iter_modules(operations.__path__):
        names = vars(importlib.import_module(f"{operations.__name__}.{module.name}"))
        found |= {
            f"{module.name}.{name}": value for name, value in names.items() if isinstance(value, str) and name.isupper()
        }
    return found


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema(SDL.read_text())


def test_there_is_a_module_of_operations_for_each_aggregate() -> None:
    assert {name.split(".")[0] for name in texts()} == {
        "access",
        "agents",
        "attention",
        "decisions",
        "metrics",
        "model_assignments",
        "quality_gates",
        "schedules",
        "tasks",
        "workflows",
    }


@pytest.mark.parametrize("name", sorted(texts()))
def test_the_operation_is_valid(name: str, schema: GraphQLSchema) -> None:
    assert validate(schema, parse(texts()[name])) == []
