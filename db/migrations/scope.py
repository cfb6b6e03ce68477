"""What the migrations answer for: the tables of the metadata, and not their partitions or other people's schemas."""

from alembic.runtime.environment import IncludeNameFn, NameFilterParentNames, NameFilterType
from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql.base import ischema_names

from db.tables.base import Xid8

# reflection does not know the type
ischema_names["xid8"] = Xid8

PARTITIONS = text("SELECT relname FROM pg_class WHERE relispartition AND relnamespace = 'public'::regnamespace")


def include_name(connection: Connection) -> IncludeNameFn:
    """Alembic's filter of names that it compares; db/partitions.py makes partitions as time passes."""
    partitions = frozenset(connection.scalars(PARTITIONS))

    def included(name: str | None, kind: NameFilterType, _parents: NameFilterParentNames) -> bool:
        return kind != "table" or name not in partitions

    return included
