"""`hub template validate|register|show`: workflow templates, as files and as the hub has them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from app.client.arguments import Template
from app.client.command import Answer, Change, Work, changes, shows, told
from app.client.connection import HubClient
from app.client.errors import HubRefused
from app.client.operations import workflows
from app.client.output import out

app = typer.Typer(no_args_is_help=True, help="Workflow templates: validate, register, show.")

File = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, help="A template in YAML or JSON; docs/templates.md tells how.")
]


@app.command()
@shows
def validate(ctx: typer.Context, file: File) -> Work:
    """Say what is wrong with a template, with line, path and hint of each fault; exit code 1 if anything is."""
    text = _text(file)

    async def work(client: HubClient) -> Answer:
        found = await client.mutate(workflows.VALIDATE, {"yaml": text})
        data = {name: found[name] for name in ("valid", "faults", "mermaid")}
        lines = [_line(file, fault) for fault in found["faults"]] or [f"{file} can be registered."]
        return Answer(data, lambda: _print(lines), exit_code=0 if found["valid"] else HubRefused.exit_code)

    return work


@app.command()
@changes
def register(ctx: typer.Context, file: File) -> Change:
    """Store a template, as a new version if it differs from the latest one."""
    text = _text(file)

    async def input_of(_client: HubClient) -> Mapping[str, Any]:
        return {"yaml": text}

    return Change(workflows.REGISTER, input_of, told("template", _version_line))


@app.command()
@shows
def show(
    ctx: typer.Context,
    name: Template,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print its graph in the language of Mermaid.")] = False,
) -> Work:
    """Show the latest version of a template."""

    async def work(client: HubClient) -> Answer:
        nodes = (await client.execute(workflows.TEMPLATE, {"name": name}))["workflowTemplates"]["nodes"]
        if not nodes:
            raise HubRefused("NOT_FOUND", f"There is no workflow template {name!r}.")
        return Answer(nodes[0], lambda: _print([nodes[0]["mermaid"]] if mermaid else _lines(nodes[0])))

    return work


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}") from None


def _print(lines: list[str]) -> None:
    for line in lines:
        out().print(escape(line), soft_wrap=True, highlight=False)


def _line(file: Path, fault: Mapping[str, Any]) -> str:
    """As compilers tell it: file:line: path: message (hint)."""
    place = ":".join(str(part) for part in (file, fault["line"]) if part is not None)
    where = f"{fault['path']}: " if fault["path"] else ""
    return f"{place}: {where}{fault['message']}" + (f" ({fault['hint']})" if fault["hint"] else "")


def _version_line(template: Mapping[str, Any]) -> str:
    return f"{escape(template['templateName'])} is at version {template['templateVersion']}."


def _lines(template: Mapping[str, Any]) -> list[str]:
    head = (
        f"{template['templateName']}, version {template['templateVersion']}, by {template['registeredBy'] or 'the hub'}"
    )
    phases = [
        f"  {number}. {phase['name']} ({phase['kind']})" for number, phase in enumerate(template["spec"]["phases"], 1)
    ]
    return [head, template["description"], *phases]
