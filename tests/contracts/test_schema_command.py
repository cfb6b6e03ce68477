"""`hub schema`: the SDL, the introspection result, and the judgement of operations, without a hub."""

import json
from pathlib import Path
from typing import Any

import pytest
from graphql import build_client_schema, build_schema, lexicographic_sort_schema, print_schema
from typer import Typer
from typer.testing import CliRunner, Result

from app.client.commands.schema import schema
from tests.contracts.generating import OPERATIONS, SDL


def run(*arguments: str | Path) -> Result:
    """The command, in this process."""
    app = Typer()
    app.command()(schema)
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_it_prints_the_sdl() -> None:
    printed = run()
    assert (printed.exit_code, printed.stdout) == (0, SDL.read_text())


def test_it_prints_an_introspection_result_that_rebuilds_the_schema() -> None:
    printed = run("--json")
    assert printed.exit_code == 0
    rebuilt = build_client_schema(json.loads(printed.stdout))
    assert printed_alike(rebuilt) == printed_alike(build_schema(SDL.read_text()))


def printed_alike(schema: Any) -> str:
    """A schema's SDL in an order of its own."""
    return print_schema(lexicographic_sort_schema(schema))


def test_operations_that_fit_are_told_so() -> None:
    checked = run("--check", OPERATIONS)
    assert (checked.exit_code, checked.stdout) == (0, "")
    assert "6 files fit the schema of this version." in checked.stderr
    assert json.loads(run("--check", OPERATIONS, "--json").stdout) == []


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A folder with a file that fits and one that does not."""
    (tmp_path / "good.graphql").write_text("query Good { viewer { name } }\n")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "bad.graphql").write_text(
        "query Bad($id: ID) {\n  agent(agentId: $id) { agentId }\n  viewer { nothing }\n}\n"
    )
    return tmp_path


def test_each_fault_is_told_with_its_place(faulty: Path) -> None:
    checked = run("--check", faulty)
    assert checked.exit_code == 1
    bad = faulty / "inner" / "bad.graphql"
    variable, field = checked.stdout.splitlines()
    assert variable.startswith(f"{bad}:1:11: error: Variable '$id' of type 'ID'")
    assert field.startswith(f"{bad}:3:12: error: Cannot query field 'nothing'")
    as_json = run("--check", bad, "--json")
    assert as_json.exit_code == 1
    assert [(fault["line"], fault["severity"]) for fault in json.loads(as_json.stdout)] == [(1, "error"), (3, "error")]


def test_what_cannot_be_read_is_a_fault_too(faulty: Path) -> None:
    bad = faulty / "worse.graphql"
    bad.write_text("query {\n  viewer {\n")
    (line,) = run("--check", faulty).stdout.splitlines()
    assert line == f"{bad}:3:1: error: Syntax Error: Expected Name, found <EOF>."
    bad.write_bytes(b"\xff")
    (line,) = run("--check", faulty).stdout.splitlines()
    assert line.startswith(f"{bad}:1:1: error: cannot be read: ")


def test_a_folder_without_operations_is_wrong_use(tmp_path: Path) -> None:
    assert run("--check", tmp_path).exit_code == 2
    assert run("--check", tmp_path / "none").exit_code == 2
