"""`hub documents`: the file of documents that a hub is to trust, made of operations, and checked, without a hub."""

from pathlib import Path
from typing import Annotated

import typer

from app.client.output import note, print_json
from app.client.registering import documents_of, faults_of, own_documents, read, write
from app.client.validating import faults_in, operation_files, own_schema
from app.domain.documents import PREFIX, WrongDocument, sha256_of

FAULTY = 1

app = typer.Typer(help="Documents that a hub is to trust (HUB_TRUSTED_DOCUMENTS).", no_args_is_help=True)


@app.command()
def build(
    paths: Annotated[
        list[Path],
        typer.Argument(
            exists=True, help=".graphql files, or folders of them, which together are one client's operations."
        ),
    ],
    output: Annotated[Path, typer.Option(help="The file to write.")] = Path("trusted-documents.json"),
    with_own: Annotated[
        bool, typer.Option(help="Register what this version's command line and agents send, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the hashes by the operations' names as JSON.")] = False,
) -> None:
    """Write the file for the operations, each with the fragments that it uses, and print the hashes to ask by."""
    files = [file for path in paths for file in operation_files(path)]
    faults = [fault for fault in faults_in(own_schema(), files) if fault.severity == "error"]
    for fault in faults:
        typer.echo(str(fault))
    if faults:
        note(f"{output} was not written.")
        raise typer.Exit(FAULTY)
    documents = documents_of([file.read_text(encoding="utf-8") for file in files])
    own = own_documents() if with_own else []
    try:
        write([*documents.values(), *own], output)
    except OSError as error:
        raise typer.BadParameter(f"the file cannot be written: {error}", param_hint="--output") from None
    _tell(documents, as_json)
    note(
        f"{len(documents)} operations were written to {output}" + f", and {len(own)} of the hub's own" * with_own + "."
    )


def _tell(documents: dict[str, str], as_json: bool) -> None:
    names = {name: PREFIX + sha256_of(text) for name, text in documents.items()}
    if as_json:
        print_json(names)
        return
    for name, document_id in names.items():
        typer.echo(f"{document_id}  {name}")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The file, as any generator wrote it.")],
) -> None:
    """Tell whether each hash is that of its text, and each text fits this version's schema; exit code 1 if not."""
    try:
        texts = read(file)
    except WrongDocument as error:
        typer.echo(error.message)
        raise typer.Exit(FAULTY) from None
    faults = faults_of(own_schema(), texts)
    for fault in faults:
        typer.echo(fault)
    if faults:
        raise typer.Exit(FAULTY)
    note(f"{len(texts)} documents fit the schema of this version.")
