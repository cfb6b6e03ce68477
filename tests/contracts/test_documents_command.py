"""`hub documents`: the file of trusted documents is made of operations and judged, without a hub."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.client.commands.documents import app
from app.domain.documents import sha256_of
from graphql_schema.schema import HubSchema, build_schema
from graphql_schema.trusted import register
from tests.contracts.generating import OPERATIONS


def run(*arguments: str | Path) -> Result:
    """The command, in this process."""
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "trusted-documents.json"


def test_each_operation_is_written_with_the_fragments_that_it_uses(tmp_path: Path, output: Path) -> None:
    (tmp_path / "a.graphql").write_text("query A { viewer { ...Name } }\n\nmutation B($input: TaskClaimInput!) {\n"
                                        "  taskClaim(input: $input) { userErrors { code } } }")  # fmt: skip
    (tmp_path / "0.gql").write_text("fragment Name on Viewer { name }")
    built = run("build", tmp_path, "--output", output)
    query = "query A {\n  viewer {\n    ...Name\n  }\n}\n\nfragment Name on Viewer {\n  name\n}"
    mutation = (
        "mutation B($input: TaskClaimInput!) {\n  taskClaim(input: $input) {\n    userErrors {\n      code\n"
        "    }\n  }\n}"
    )
    assert (built.exit_code, json.loads(output.read_text())) == (
        0,
        {sha256_of(query): query, sha256_of(mutation): mutation},
    )
    assert built.stdout == f"sha256:{sha256_of(query)}  A\nsha256:{sha256_of(mutation)}  B\n"
    assert built.stderr == f"2 operations were written to {output}.\n"
    named = json.loads(run("build", tmp_path, "--output", output, "--json").stdout)
    assert named == {"A": f"sha256:{sha256_of(query)}", "B": f"sha256:{sha256_of(mutation)}"}


def test_what_a_hub_plans_at_start(output: Path) -> None:
    assert run("build", OPERATIONS, "--with-own", "--output", output).exit_code == 0
    checked = run("check", output)
    assert (checked.exit_code, checked.stdout) == (0, "")
    schema: HubSchema = build_schema()
    texts = register(schema, output)
    assert checked.stderr == f"{len(texts)} documents fit the schema of this version.\n"
    queries = sum(text.startswith("query ") for text in texts.values())
    assert 40 <= queries < len(texts)
    assert schema.planner.plans_made == queries


def test_operations_that_do_not_fit_write_nothing(tmp_path: Path, output: Path) -> None:
    (tmp_path / "a.graphql").write_text("query A {\n  viewer { nothing }\n}")
    built = run("build", tmp_path / "a.graphql", "--output", output)
    assert built.exit_code == 1
    assert built.stdout.startswith(f"{tmp_path / 'a.graphql'}:2:12: error: Cannot query field 'nothing'")
    assert built.stderr == f"{output} was not written.\n"
    assert not output.exists()
    assert run("build", tmp_path / "none.graphql").exit_code == 2
    (tmp_path / "a.graphql").write_text("query A { viewer { name } }")
    assert run("build", tmp_path / "a.graphql", "--output", tmp_path / "none" / "a.json").exit_code == 2


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("{", "cannot be read: "),
        ("[]", "A file of documents is a JSON object of texts by their SHA-256."),
        ('{"x": "{ viewer { name } }"}', "The document x cannot be registered: it must be named by the SHA-256"),
        (json.dumps({"0" * 64: "{ a }"}), f"its text has another hash, {sha256_of('{ a }')}."),
        (json.dumps({sha256_of("{ a }"): "{ a }"}), f"{sha256_of('{ a }')}:1:3: error: Cannot query field 'a'"),
        (json.dumps({sha256_of("{ a"): "{ a"}), f"{sha256_of('{ a')}:1:4: error: Syntax Error: Expected Name"),
    ],
)
def test_a_file_that_does_not_fit_is_told_of(output: Path, content: str, line: str) -> None:
    output.write_text(content)
    checked = run("check", output)
    assert checked.exit_code == 1
    (told,) = checked.stdout.splitlines()
    assert line in told
