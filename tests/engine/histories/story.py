"""The shipped templates as they are played for histories: who works, what is answered, and how rows are kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.quality_gates import ApprovalStatus
from db.session import Database
from tests.engine.team import (
    AUDITORS,
    BUILDERS,
    HEALTHY,
    Answer,
    Member,
    Team,
    constant,
    gates_of,
    human_verdict,
    rows_of,
)

FOLDER = Path(__file__).parent
TABLES = (
    *("agents", "agent_reports", "workflow_templates", "decisions", "workflow_executions", "workflow_steps"),
    *("workflow_errors", "tasks", "quality_gates", "gate_reviewers"),
    *("langgraph.checkpoints", "langgraph.checkpoint_blobs", "langgraph.checkpoint_writes"),
)
"""What an execution is made of. The event log is not: nothing goes on from it."""
SHARED = ("agents", "agent_reports", "workflow_templates")
"""Tables of which every history has the same rows."""
BREAKDOWN = {"tasks": [{"name": "api", "title": "Build the API"}, {"name": "page", "title": "Build the page"}]}


@dataclass(frozen=True)
class Story:
    """A template, its phases, the tasks that each of them makes, and who answers what."""

    template: str
    phases: Mapping[str, Sequence[str]]
    members: Sequence[Member]
    answers: Mapping[str, Answer]

    @property
    def file(self) -> Path:
        """Where its histories are kept: a line of what they share, then a line for each."""
        return FOLDER / f"{self.template}.jsonl"

    def team(self, database: Database) -> Team:
        """The agents of the story."""
        return Team(database, self.members, self.answers)


STORIES = (
    Story(
        "code-audit",
        {
            "decide": ["decide"],
            "audits": ["lint", "size", "types"],
            "review": ["verdict"],
            "report": ["report"],
            "final-approval": [],
        },
        AUDITORS,
        {"decide": constant({}), "verdict": constant({}), **{name: constant(it) for name, it in HEALTHY.items()}},
    ),
    Story(
        "feature-delivery",
        {
            "decide": ["decide"],
            "breakdown": ["breakdown"],
            "design": ["design"],
            "build": ["api", "page"],
            "technical-review": ["review-architect", "verdict"],
            "test": ["test"],
            "final-approval": [],
        },
        BUILDERS,
        {
            "decide": constant({}),
            "breakdown": constant(BREAKDOWN),
            "review-architect": constant({}),
            "verdict": constant({}),
            "test": constant({"passed": 3, "failed": 0}),
        },
    ),
)


async def approve(database: Database, execution_id: UUID) -> None:
    """A person approves the end, when it is asked for."""
    gates = await gates_of(database, execution_id, "final-approval")
    if gates and gates[-1].approval_status == "in_review":
        await human_verdict(database, execution_id, "final-approval", ApprovalStatus.APPROVED)


async def dump(database: Database) -> dict[str, list[dict[str, Any]]]:
    """All rows of the tables, as JSON."""
    found = {}
    for table in TABLES:
        rows = await rows_of(database, text(f"SELECT to_jsonb(t) AS row FROM {table} t ORDER BY t::text"))  # noqa: S608
        found[table] = [row.row for row in rows]
    return found


def restoring(rows: Mapping[str, list[dict[str, Any]]]) -> Callable[[AsyncConnection], Any]:
    """What puts rows that were dumped into a database of the same revision."""

    async def restore(session: AsyncConnection) -> None:
        # the rows agree with each other, in whatever order they come
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        for table, found in rows.items():
            if not found:
                continue
            columns = ", ".join(found[0])
            statement = (
                f"INSERT INTO {table} ({columns}) SELECT {columns} "  # noqa: S608
                f"FROM jsonb_populate_recordset(NULL::{table}, CAST(:rows AS jsonb))"
            )
            if table in SHARED:
                statement += " ON CONFLICT DO NOTHING"
            await session.execute(text(statement), {"rows": orjson.dumps(found).decode()})

    return restore
