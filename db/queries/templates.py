"""Workflow templates by name."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, Text, bindparam, cast, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.workflows import workflow_templates

_TOLD = (
    workflow_templates.c.template_version,
    workflow_templates.c.spec["input_schema"].label("input_schema"),
    workflow_templates.c.spec["concurrency"].label("concurrency"),
)
NEWEST: Select[Any] = (
    select(*_TOLD)
    .where(workflow_templates.c.template_name == bindparam("wanted"))
    .order_by(workflow_templates.c.template_version.desc())
    .limit(1)
)


async def newest_template(connection: AsyncConnection, name: str) -> Row[Any] | None:
    """`template_version`, `input_schema` and `concurrency` of the newest version; None where there is no template."""
    row: Row[Any] | None = (await connection.execute(NEWEST, {"wanted": name})).first()
    return row


async def template_of(connection: AsyncConnection, name: str, version: int) -> Row[Any]:
    """The same of one version, which is there."""
    statement: Select[Any] = select(*_TOLD).where(
        workflow_templates.c.template_name == name, workflow_templates.c.template_version == version
    )
    row: Row[Any] = (await connection.execute(statement)).one()
    return row


async def kind_of_phase(connection: AsyncConnection, name: str, version: int, phase: str) -> str | None:
    """What kind of phase this is in a version of a template; None where it has no such phase."""
    spec = workflow_templates.c.spec
    path = literal("$.phases[*] ? (@.name == $phase).kind")
    found = func.jsonb_path_query_first(
        spec, cast(path, JSONPATH), func.jsonb_build_object("phase", literal(phase, Text)), type_=JSONB()
    )
    statement = select(found).where(
        workflow_templates.c.template_name == name, workflow_templates.c.template_version == version
    )
    kind: Any = (await connection.execute(statement)).scalar()
    return kind if isinstance(kind, str) else None


async def template_names(connection: AsyncConnection) -> Sequence[str]:
    """The names of all templates, in alphabetical order, at most 50."""
    statement = select(workflow_templates.c.template_name).distinct().order_by(workflow_templates.c.template_name)
    return (await connection.execute(statement.limit(50))).scalars().all()
