"""The complete history of one execution as one JSON document, made piece by piece out of one state of the database.

The document's shape is docs/workflow-history.md. What is sealed of decisions is opened for those who may read it, and
null for others, as everywhere.
"""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.decisions import SealedAccess
from app.domain.errors import NotFound
from app.domain.principals import Principal
from app.security.policy import Permission, authorise, may
from app.security.sealing import Sealer
from db.queries.events import kept_since
from db.queries.history import SECTIONS, Head, decision_rows, event_records, read_head, records
from db.session import Database, raw_connection

FORMAT = "orchestration-hub/workflow-history"
FORMAT_VERSION = 1
"""Rises when a reader of the present shape would misread the next one; new members and columns do not raise it."""

SEALED_COLUMNS = ("context_data", "reasoning_process")


async def export_history(
    database: Database, sealer: Sealer, principal: Principal, execution_id: UUID
) -> AsyncGenerator[bytes, None]:
    """The document in pieces of some hundred records at most; the first comes once it is known that there is one.

    Raises `Forbidden`, `NotFound` and `Unavailable`. Whoever stops early closes the iterator, which ends the
    transaction.
    """
    authorise(principal, Permission.READ)
    async with database.snapshot() as connection:
        head = await read_head(connection, execution_id)
        if head is None:
            raise NotFound("workflow execution", execution_id)
        opens = may(principal, Permission.READ_SEALED)
        yield await _beginning(connection, execution_id, head, opens=opens)
        counts: dict[str, int] = {}
        for name, pages in _sections(connection, sealer if opens else None, execution_id, head):
            yield f',\n"{name}":['.encode()
            counts[name] = 0
            async with aclosing(pages):
                async for page in pages:
                    yield _lines(page, is_first=not counts[name])
                    counts[name] += len(page)
            yield b"\n]"
        # last, so that a document that was cut off has none, and is no JSON either
        yield b',\n"counts":' + orjson.dumps(counts) + b"}\n"


async def _beginning(connection: AsyncConnection, execution_id: UUID, head: Head, *, opens: bool) -> bytes:
    facts = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "execution_id": execution_id,
        "read_at": head.read_at,
        "sealed": SealedAccess.OPEN if opens else SealedAccess.FORBIDDEN,
        "events_kept_since": await kept_since(await raw_connection(connection)),
    }
    own = f',\n"execution":{head.execution},\n"template":{head.template}'
    return orjson.dumps(facts)[:-1] + own.encode()


def _sections(
    connection: AsyncConnection, opener: Sealer | None, execution_id: UUID, head: Head
) -> Iterable[tuple[str, AsyncGenerator[Sequence[str], None]]]:
    for section in SECTIONS:
        yield section.name, records(connection, section, execution_id)
    yield "decisions", _decisions(connection, opener, execution_id)
    yield "events", event_records(connection, execution_id, head.events_since)


async def _decisions(
    connection: AsyncConnection, opener: Sealer | None, execution_id: UUID
) -> AsyncGenerator[Sequence[str], None]:
    async with aclosing(decision_rows(connection, execution_id)) as pages:
        async for page in pages:
            yield [_with_sealed(row, opener) for row in page]


def _with_sealed(row: Row[Any], opener: Sealer | None) -> str:
    """A decision's record, and behind it what is sealed of it, or nulls and why."""
    access = SealedAccess.FORBIDDEN if opener is None else SealedAccess.OPEN
    access = SealedAccess.ERASED if row.sealed_key is None else access
    opened: dict[str, Any] = dict.fromkeys(SEALED_COLUMNS)
    if opener is not None and access is SealedAccess.OPEN:
        text = {name: _opened(row, name, opener) for name in SEALED_COLUMNS}
        opened = {"context_data": orjson.loads(text["context_data"]), "reasoning_process": text["reasoning_process"]}
        opened["reasoning_process"] = opened["reasoning_process"].decode()
    sealed = orjson.dumps({**opened, "sealed": access}).decode()
    return f"{row.record[:-1]},{sealed[1:]}"


def _opened(row: Row[Any], name: str, opener: Sealer) -> bytes:
    return opener.open(row.sealed_key, row._mapping[f"{name}_sealed"], "decisions", name, str(row.decision_id))


def _lines(page: Sequence[str], *, is_first: bool) -> bytes:
    """One record a line, so that tools for lines can read it too."""
    return (("\n" if is_first else ",\n") + ",\n".join(page)).encode()
