"""Workflow templates by name."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.workflows import workflow_templates

NEWEST: Select[Any] = (
    select(
        workflow_templates.c.template_version,
        workflow_templates.c.spec["input_schema"].label("input_schema"),
    )
    .where(workflow_templates.c.template_name == bindparam("wanted"))
    .order_by(workflow_templates.c.template_version.desc())
    .limit(1)
)


async def newest_template(connection: AsyncConnection, name: str) -> Row[Any] | None:
    """`template_version` and `input_schema` of the newest version, or None when there is no such template."""
    row: Row[Any] | None = (await connection.execute(NEWEST, {"wanted": name})).first()
    return row


async def template_names(connection: AsyncConnection) -> Sequence[str]:
    """The names of all templates, in alphabetical order, at most 50."""
    statement = select(workflow_templates.c.template_name).distinct().order_by(workflow_templates.c.template_name)
    return (await connection.execute(statement.limit(50))).scalars().all()
