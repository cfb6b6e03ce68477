"""The templates that ship with the hub, stored in the database at its start."""

from functools import cache
from importlib import resources

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.templates import WorkflowTemplate
from app.services.template_sources import load_template
from app.services.templates import draw_missing, store_shipped
from db.queries.catalogue import lock_catalogue

FOLDER = resources.files("app.engine") / "templates"


async def sync_templates(session: AsyncConnection) -> list[str]:
    """Store the shipped templates that were not stored before, as they are; what was stored, as `name@version`.

    Templates that did not change keep their version. Any number of processes may call this at once.
    """
    await lock_catalogue(session)
    await draw_missing(session)
    stored = [(template.name, await store_shipped(session, template)) for template in shipped_templates()]
    return [f"{name}@{version}" for name, version in stored if version is not None]


@cache
def shipped_templates() -> tuple[WorkflowTemplate, ...]:
    """The templates in the package, by name. Raises `InvalidInput`."""
    files = sorted((file for file in FOLDER.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return tuple(load_template(file.read_text(encoding="utf-8"), file.name) for file in files)
