"""What a command refers to must exist: an id that names nothing is told with its field, before anything is written."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import NotFound
from db.queries.changes import read
from db.queries.entities import Entity
from db.queries.references import exist


class Reference(NamedTuple):
    """An id in a field of the input, in the API's spelling, and what it names; None names nothing."""

    field: str
    entity: Entity
    entity_id: Any


async def require_known(session: AsyncConnection, references: Iterable[Reference]) -> None:
    """Raise `NotFound` for the first reference whose entity does not exist. One statement, none for no ids."""
    given = [reference for reference in references if reference.entity_id is not None]
    found = await exist(session, [(reference.entity.key, reference.entity_id) for reference in given])
    for reference, known in zip(given, found, strict=True):
        if not known:
            raise NotFound(reference.entity.kind, reference.entity_id, f"input.{reference.field}")


async def find(session: AsyncConnection, entity: Entity, entity_id: Any, field: str, *, lock: bool = False) -> Row[Any]:
    """The entity's row, locked or not, as `read` has it. Raises `NotFound` with the field."""
    try:
        return await read(session, entity, entity_id, lock=lock)
    except NotFound:
        raise NotFound(entity.kind, entity_id, f"input.{field}") from None
