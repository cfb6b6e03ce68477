"""`hub schema`: what this version of the API is, and whether a client's operations fit it. Needs no running hub."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer
from graphql import GraphQLSchema, introspection_from_schema

from app.client.output import note, print_json
from app.client.validating import Fault, faults_in, operation_files, own_schema, sdl

FAULTY = 1


def schema(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result of an introspection query; with --check, the faults.")
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            help="Validate .graphql files, one or a folder of them, which together are one client's operations. "
            "Exit code 1 with file, line and message of each fault.",
        ),
    ] = None,
) -> None:
    """Print the schema of this version of the hub, as SDL or as introspection JSON, or check operations against it."""
    if check is not None:
        _check(own_schema(), check, as_json)
    elif as_json:
        print_json(introspection_from_schema(own_schema()))
    else:
        typer.echo(sdl(), nl=False)


def _check(schema: GraphQLSchema, path: Path, as_json: bool) -> None:
    operations = operation_files(path)
    if not operations:
        raise typer.BadParameter(f"no .graphql or .gql file is in {path}", param_hint="--check")
    faults = faults_in(schema, operations)
    if as_json:
        print_json([_shown(fault) for fault in faults])
    else:
        for fault in faults:
            typer.echo(str(fault))
        if not faults:
            note(f"{len(operations)} files fit the schema of this version.")
    if any(fault.severity == "error" for fault in faults):
        raise typer.Exit(FAULTY)


def _shown(fault: Fault) -> dict[str, Any]:
    return dataclasses.asdict(fault)
