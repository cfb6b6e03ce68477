"""Workflow templates: stored as versions, each with its drawing; validated without being stored."""

import asyncio
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.drawing import draw
from app.domain.errors import InvalidInput
from app.domain.principals import Principal
from app.domain.templates import Fault, WorkflowTemplate, parse_template, refusal
from app.services.template_sources import read_spec, read_yaml, spec_of
from db.queries.catalogue import all_specs, latest_spec, lock_catalogue, read_version, set_drawing, store_spec, undrawn


@dataclass(frozen=True)
class TemplateSource:
    """A template as YAML or as JSON, one of them."""

    spec: Any = None
    yaml: str | None = None


async def register_template(session: AsyncConnection, principal: Principal, command: TemplateSource) -> Row[Any]:
    """Store the template as a new version, if it differs from the latest; the latest version, as it is then.

    Executions under way keep the version with which they began. Raises `InvalidInput` that tells the faults.
    """
    found = await examine(command)
    if not isinstance(found, WorkflowTemplate):
        raise refusal("This is not a workflow template. Nothing was written", found)
    await lock_catalogue(session)
    version = await store_template(session, found, principal.name)
    return await read_version(session, found.name, version)


async def examine(command: TemplateSource) -> WorkflowTemplate | list[Fault]:
    """The template, or all that is wrong with it. Raises `InvalidInput` unless there is one source.

    A large one takes some tenths of a second, in a thread.
    """
    if (command.spec is None) == (command.yaml is None):
        raise InvalidInput("Give spec or yaml, one of them. Nothing was written.", "input")
    if command.yaml is not None:
        return await asyncio.to_thread(read_yaml, command.yaml)
    return await asyncio.to_thread(read_spec, command.spec)


async def store_template(session: AsyncConnection, template: WorkflowTemplate, by: str | None = None) -> int:
    """The version that has this template now, the latest or a new one. The catalogue is locked."""
    latest = await latest_spec(session, template.name)
    if latest is not None and _is_same(latest.spec, template):
        return int(latest.template_version)
    version = latest.template_version + 1 if latest is not None else 1
    spec, drawing = spec_of(template), draw(template)
    await store_spec(session, template.name, version, template.description, spec, drawing, by)
    return version


async def store_shipped(session: AsyncConnection, template: WorkflowTemplate) -> int | None:
    """The version that was made for a template that comes with the hub; None where it was stored before.

    A version that somebody registered after it, under the same name, stays the latest. The catalogue is locked.
    """
    specs = await all_specs(session, template.name)
    if any(_is_same(spec, template) for spec in specs):
        return None
    return await store_template(session, template)


async def draw_missing(session: AsyncConnection) -> None:
    """Draw the templates that an older hub stored without a drawing."""
    for row in await undrawn(session):
        try:
            drawing = draw(parse_template(row.spec, "the stored spec"))
        except InvalidInput:
            # no hub could start it either
            drawing = ""
        await set_drawing(session, row.template_name, row.template_version, drawing)


def _is_same(spec: object, template: WorkflowTemplate) -> bool:
    """Whether the stored spec means the same, though a newer hub may write out more defaults."""
    try:
        return parse_template(spec, "the stored spec") == template
    except InvalidInput:
        return False
