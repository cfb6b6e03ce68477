"""Workflow templates as the engine reads and stores them: whole specs, by name and version."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, insert, select, update
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


async def all_specs(connection: AsyncConnection, name: str) -> Sequence[Any]:
    """The specs of all versions, the newest first."""
    statement = (
        select(workflow_templates.c.spec)
        .where(workflow_templates.c.template_name == name)
        .order_by(workflow_templates.c.template_version.desc())
    )
    return (await connection.execute(statement)).scalars().all()


async def store_spec(
    connection: AsyncConnection,
    name: str,
    version: int,
    description: str,
    spec: Any,
    mermaid: str | None = None,
    registered_by: str | None = None,
) -> None:
    """Add a version of a template."""
    values = {"template_name": name, "template_version": version, "description": description, "spec": spec}
    drawn = insert(workflow_templates).values(**values, mermaid=mermaid, registered_by=registered_by)
    await connection.execute(drawn)


async def read_version(connection: AsyncConnection, name: str, version: int) -> Row[Any]:
    """One version, which exists."""
    statement: Select[Any] = select(workflow_templates).where(_is(name, version))
    row: Row[Any] = (await connection.execute(statement)).one()
    return row


async def undrawn(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """The versions that have no drawing yet."""
    statement: Select[Any] = select(workflow_templates).where(workflow_templates.c.mermaid.is_(None))
    rows: Sequence[Row[Any]] = (await connection.execute(statement)).all()
    return rows


async def set_drawing(connection: AsyncConnection, name: str, version: int, mermaid: str) -> None:
    """Keep the drawing of a version."""
    await connection.execute(update(workflow_templates).where(_is(name, version)).values(mermaid=mermaid))


def _is(name: str, version: int) -> ColumnElement[bool]:
    return and_(workflow_templates.c.template_name == name, workflow_templates.c.template_version == version)
