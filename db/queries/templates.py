"""Workflow templates by name."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, Text, bindparam, cast, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from db.tables.workflows import workflow_templates

_COLUMNS = (
    workflow_templates.c.template_version,
    workflow_templates.c.spec["concurrency"].label("concurrency"),
)
LATEST_VERSION: Select[Any] = (
    select(*_COLUMNS)
    .where(workflow_templates.c.template_name == bindparam("wanted"))
    .order_by(workflow_templates.c.template_version.desc())
    .limit(1)
)


async def latest_version(connection: AsyncConnection, name: str) -> Row[Any] | None:
    """`template_version` and `concurrency` of the newest version, or None when there is no such template."""
    row: Row[Any] | None = (await connection.execute(LATEST_VERSION, {"wanted": name})).first()
    return row


async def concurrency_of(connection: AsyncConnection, name: str, version: int) -> Any:
    """What a version of a template says of concurrent executions, or None."""
    statement = select(_COLUMNS[1]).where(
        workflow_templates.c.template_name == name, workflow_templates.c.template_version == version
    )
    return (await connection.execute(statement)).scalar()


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
