"""What a workflow is started with, checked against its template's input schema."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import InvalidInput, UnknownTemplate
from app.domain.json_schemas import CONTEXT, check_json, misfit
from db.queries.templates import newest_template, template_names


async def latest_template(session: AsyncConnection, name: str) -> Row[Any]:
    """`template_version` and `input_schema` of the newest version. Raises `UnknownTemplate`."""
    found = await newest_template(session, name)
    if found is None:
        names = ", ".join(await template_names(session)) or "none yet"
        raise UnknownTemplate(
            f"There is no workflow template {name!r}; there are: {names}. Nothing was written.",
            "input.workflowName",
        )
    return found


def checked_input(given: Mapping[str, Any], template: Row[Any]) -> Any:
    """The input itself. Raises `InvalidInput` with the path of what does not fit."""
    checked = check_json("inputContext", dict(given), CONTEXT)
    wrong = None if template.input_schema is None else misfit(checked, template.input_schema, "inputContext")
    if wrong is not None:
        place, message = wrong
        raise InvalidInput(
            f"{place} does not fit the input schema of this workflow: {message}. Nothing was written.", f"input.{place}"
        )
    return checked
