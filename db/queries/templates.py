"""Workflow templates by name."""

from collections.abc import Sequence

from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.workflows import workflow_templates

LATEST_VERSION = select(func.max(workflow_templates.c.template_version)).where(
    workflow_templates.c.template_name == bindparam("wanted")
)


async def latest_version(connection: AsyncConnection, name: str) -> int | None:
    """The newest version of the template, or None when there is no such template."""
    version: int | None = (await connection.execute(LATEST_VERSION, {"wanted": name})).scalar()
    return version


async def template_names(connection: AsyncConnection) -> Sequence[str]:
    """The names of all templates, in alphabetical order, at most 50."""
    statement = select(workflow_templates.c.template_name).distinct().order_by(workflow_templates.c.template_name)
    return (await connection.execute(statement.limit(50))).scalars().all()
