"""Workflow templates as the engine reads and stores them: whole specs, by name and version."""

from typing import Any

from sqlalchemy import Select, func, insert, select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.workflows import workflow_templates

SYNC_LOCK = 0x68756274656D
"""Key of the advisory lock ("hubtem") under which templates are stored, so that no two versions get one number."""


async def lock_catalogue(connection: AsyncConnection) -> None:
    """No other transaction that calls this goes on before ours ends."""
    await connection.execute(select(func.pg_advisory_xact_lock(SYNC_LOCK)))


async def read_spec(connection: AsyncConnection, name: str, version: int) -> Any:
    """The spec of one version as stored, or None when there is none."""
    statement = select(workflow_templates.c.spec).where(
        workflow_templates.c.template_name == name, workflow_templates.c.template_version == version
    )
    return (await connection.execute(statement)).scalar()


async def latest_spec(connection: AsyncConnection, name: str) -> Row[Any] | None:
    """`template_version` and `spec` of the newest version, or None."""
    statement: Select[Any] = (
        select(workflow_templates.c.template_version, workflow_templates.c.spec)
        .where(workflow_templates.c.template_name == name)
        .order_by(workflow_templates.c.template_version.desc())
        .limit(1)
    )
    row: Row[Any] | None = (await connection.execute(statement)).first()
    return row


async def store_spec(connection: AsyncConnection, name: str, version: int, description: str, spec: Any) -> None:
    """Add a version of a template."""
    values = {"template_name": name, "template_version": version, "description": description, "spec": spec}
    await connection.execute(insert(workflow_templates).values(**values))
