"""Why sealed fields are null, in SQL: out of whether the key is still there, and what the viewer may do."""

from typing import Any

from sqlalchemy import ColumnElement, case

from app.domain.decisions import WHY_SEALED, SealedAccess
from app.security.policy import Permission
from db.tables.decisions import decisions
from graphql_schema.planner.builder import Rights
from graphql_schema.planner.entities import Row
from graphql_schema.planner.sql import text_constant

KEY = decisions.c.sealed_key


def sealed_access(decision: Row, rights: Rights) -> ColumnElement[Any]:
    """Erased for everybody once the key is gone; else as the viewer's rights have it."""
    return case(
        (decision[KEY].is_(None), text_constant(SealedAccess.ERASED)),
        else_=text_constant(SealedAccess.OPEN if Permission.READ_SEALED in rights else SealedAccess.FORBIDDEN),
    )


def sealed_reason(decision: Row, rights: Rights) -> ColumnElement[Any]:
    """The words for it; null where the fields are open."""
    erased = (decision[KEY].is_(None), text_constant(WHY_SEALED[SealedAccess.ERASED]))
    if Permission.READ_SEALED in rights:
        return case(erased)
    return case(erased, else_=text_constant(WHY_SEALED[SealedAccess.FORBIDDEN]))
