"""The boundary between two steps as one statement: what the last one brought, its checkpoint, and the next one's begin.

Each part is optional. The statement first locks the execution by its fence and by whatever else must hold; if that
fails, it changes nothing and says so. Outside of a transaction it is one of its own, in one round trip, which
boundaries of other executions may share.

A row is changed at most once by a statement, so parts that change the execution's row are one UPDATE that counts the
events of all of them as versions, as if they had come one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import TextClause

from app.domain.events import Aggregate, Retention
from app.domain.ids import new_id
from app.domain.quality_gates import ApprovalStatus
from app.domain.workflows import ExecutionStatus, StepStatus
from db.queries.checkpoints import PRUNE_TO, SAVE, SAVE_BLOBS, SAVE_WRITES, Checkpoints
from db.session import Database


@dataclass(frozen=True)
class EndedStep:
    """A step that was completed; `told` is the detail of its event."""

    step_number: int
    outcome: Mapping[str, Any]
    told: Mapping[str, Any]


@dataclass(frozen=True)
class NextStep:
    """The step that begins, right after the one with the number before."""

    step_number: int
    phase: str


@dataclass(frozen=True)
class Boundary:
    """What is written for an execution. `starts`: it was pending. `completes` it, if it was not woken since `wake_seq`
    and no gate may hold its end; then only the last checkpoint is kept.
    """

    execution_id: UUID
    fence: int
    actor: str
    starts: bool = False
    ended: EndedStep | None = None
    checkpoints: Checkpoints | None = None
    begins: NextStep | None = None
    completes: bool = False
    wake_seq: int = 0


CHANGES = frozenset({Aggregate.WORKFLOW})
RUNNING, PENDING, COMPLETED = (
    status.value for status in (ExecutionStatus.RUNNING, ExecutionStatus.PENDING, ExecutionStatus.COMPLETED)
)

HELD = """held AS (
    SELECT execution_id, clock_timestamp() AS moment, greatest(pg_current_xact_id(), event_xid) AS event_xid
    FROM workflow_executions
    WHERE execution_id = CAST(:execution_id AS uuid) AND fence = CAST(:fence AS bigint){conditions}
    FOR NO KEY UPDATE{waiting})"""
IS_PENDING = f" AND execution_status = '{PENDING}'"
IS_RUNNING = f" AND execution_status = '{RUNNING}'"
IS_NEXT = """ AND CAST(:begun_number AS integer) - 1 = (
    SELECT coalesce(max(step_number), 0) FROM workflow_steps WHERE execution_id = CAST(:execution_id AS uuid))"""
# lost where a server took over that had not received it: the rows tell then how far the execution came
IS_KNOWN = """ AND CAST(:ended_number AS integer) = (
    SELECT max(step_number) FROM workflow_steps WHERE execution_id = CAST(:execution_id AS uuid))"""
# gates of no phase, and those that are to be closed, are looked at one by one (app/engine/run.py)
# a gate that comes into being meanwhile wakes the execution, seen even where the snapshot is older than the gate
# ends of a group wait for each other (ADR 31), which those that share a transaction must not: each has one of its own
IS_OVER = f""" AND wake_seq = CAST(:wake_seq AS bigint) AND concurrency_key IS NULL AND NOT EXISTS (
    SELECT FROM quality_gates WHERE workflow_execution_id = CAST(:execution_id AS uuid) AND (phase IS NULL
    OR approval_status NOT IN ('{ApprovalStatus.APPROVED.value}', '{ApprovalStatus.REJECTED.value}')))"""

ENDED = f"""ended AS (
    UPDATE workflow_steps AS step
    SET step_status = '{StepStatus.COMPLETED.value}', outcome = CAST(:outcome AS jsonb),
        completed_at = greatest(held.moment, step.started_at)
    FROM held WHERE step.execution_id = held.execution_id AND step.step_number = CAST(:ended_number AS integer)
        AND step.step_status = '{StepStatus.RUNNING.value}'
    RETURNING step.execution_id)"""  # noqa: S608
# by the indexes on number and on phase: what a step costs does not grow with how many came before it. The last step
# started latest, since steps are in the order of time
BEGUN = f"""begun AS (
    INSERT INTO workflow_steps (step_id, execution_id, step_number, phase, attempt, step_status, started_at)
    SELECT CAST(:step_id AS uuid), held.execution_id, CAST(:begun_number AS integer), CAST(:phase AS text),
        1 + coalesce((SELECT max(earlier.attempt) FROM workflow_steps AS earlier
            WHERE earlier.execution_id = held.execution_id AND earlier.phase = CAST(:phase AS text)), 0),
        '{StepStatus.RUNNING.value}', greatest(held.moment, (SELECT last.started_at FROM workflow_steps AS last
            WHERE last.execution_id = held.execution_id ORDER BY last.step_number DESC LIMIT 1))
    FROM held
    RETURNING step_number, phase, attempt)"""  # noqa: S608
CHANGED = """changed AS (
    UPDATE workflow_executions AS execution
    SET version = execution.version + {events}, updated_at = held.moment,
        last_activity = held.moment, event_xid = held.event_xid{values}
    FROM held WHERE execution.execution_id = held.execution_id
    RETURNING execution.execution_id, execution.version)"""
STARTS = f", execution_status = '{RUNNING}', started_at = held.moment"
BEGINS = ", current_phase = CAST(:phase AS text)"
COMPLETES = (
    f", execution_status = '{COMPLETED}', completed_at = held.moment, handled_seq = execution.wake_seq, "
    "lease_owner = NULL, lease_until = NULL"
)

LOGGED = f"""logged AS (
    INSERT INTO event_log
        (xid, retention, aggregate, entity_id, event_type, from_status, to_status, version, actor, detail)
    SELECT held.event_xid, '{Retention.AUDIT.value}', '{Aggregate.WORKFLOW.value}',
        CAST(CAST(:execution_id AS uuid) AS text), event_type, from_status, to_status, version, CAST(:actor AS text),
        detail
    FROM held, ({{events}}) AS event (place, event_type, from_status, to_status, version, detail)
    ORDER BY place)"""  # noqa: S608
TOLD_START = f"SELECT 1, 'running', '{PENDING}', '{RUNNING}', version{{less}}, '{{{{}}}}'::jsonb FROM changed"  # noqa: S608
TOLD_END = "SELECT 2, 'step_completed', NULL, NULL, NULL::integer, CAST(:told AS jsonb) FROM ended"
TOLD_BEGIN = f"""SELECT 3, 'step_started', '{RUNNING}', '{RUNNING}', version,
    jsonb_build_object('phase', phase, 'attempt', attempt, 'step_number', step_number) FROM changed, begun"""  # noqa: S608
TOLD_COMPLETION = f"SELECT 4, 'completed', '{RUNNING}', '{COMPLETED}', version, '{{}}'::jsonb FROM changed"  # noqa: S608


async def cross(database: Database, boundary: Boundary) -> int | None:
    """Write it outside of a transaction: the attempt of the step that begins, 0 where none does, None if it may not be
    written so.
    """
    sql, names = _compiled(_shape(boundary))
    values = _values(boundary)
    row = await database.change(sql, [values[name] for name in names], CHANGES)
    return None if row is None else row[0]


async def write(connection: AsyncConnection, boundary: Boundary) -> bool:
    """Write it within a transaction; False when the fence does not hold."""
    return (await connection.execute(_statement(_shape(boundary)), _values(boundary))).scalar() is not None


@dataclass(frozen=True)
class Shape:
    """Which parts a boundary has: each shape is one prepared statement."""

    starts: bool
    ends: bool
    begins: bool
    completes: bool
    saves: bool
    saves_blobs: bool
    saves_writes: bool


def _shape(boundary: Boundary) -> Shape:
    saved = boundary.checkpoints
    return Shape(
        boundary.starts,
        boundary.ended is not None,
        boundary.begins is not None,
        boundary.completes,
        saved is not None and bool(saved.checkpoints),
        saved is not None and bool(saved.blobs),
        saved is not None and bool(saved.writes),
    )


@lru_cache(maxsize=64)
def _statement(shape: Shape, waiting: str = "") -> TextClause:
    parts = [HELD.format(conditions="".join(_conditions(shape)), waiting=waiting)]
    parts += [ENDED] if shape.ends else []
    parts += [BEGUN] if shape.begins else []
    if changes := _changes(shape):
        parts.append(CHANGED.format(events=len(changes), values="".join(changes)))
    if told := _told(shape):
        parts.append(LOGGED.format(events=" UNION ALL ".join(told)))
    parts += [SAVE] if shape.saves else []
    parts += [SAVE_BLOBS] if shape.saves_blobs else []
    parts += [SAVE_WRITES] if shape.saves_writes else []
    parts += PRUNE_TO if shape.completes and shape.saves else []
    answer = "SELECT attempt FROM begun" if shape.begins else "SELECT 0 FROM held"
    # one row in any case, so that it is known whose each is where several boundaries are written at once
    return text(f"WITH {', '.join(parts)} SELECT ({answer})")


@lru_cache(maxsize=64)
def _compiled(shape: Shape) -> tuple[str, Sequence[str]]:
    # one that somebody is changing right now is left to the transaction that waits for it: others may go along with us
    compiled = _statement(shape, " SKIP LOCKED").compile(dialect=asyncpg.dialect())  # type: ignore[no-untyped-call]
    return str(compiled), list(compiled.positiontup or ())


def _conditions(shape: Shape) -> list[str]:
    return [
        *([IS_PENDING] if shape.starts else []),
        *([IS_RUNNING] if shape.completes or (shape.begins and not shape.starts) else []),
        *([IS_NEXT] if shape.begins else []),
        *([IS_KNOWN] if shape.ends and not shape.begins else []),
        *([IS_OVER] if shape.completes else []),
    ]


def _changes(shape: Shape) -> list[str]:
    wanted = ((shape.starts, STARTS), (shape.begins, BEGINS), (shape.completes, COMPLETES))
    return [values for is_there, values in wanted if is_there]


def _told(shape: Shape) -> list[str]:
    wanted = (
        (shape.starts, TOLD_START.format(less=" - 1" if shape.begins else "")),
        (shape.ends, TOLD_END),
        (shape.begins, TOLD_BEGIN),
        (shape.completes, TOLD_COMPLETION),
    )
    return [event for is_there, event in wanted if is_there]


def _values(boundary: Boundary) -> dict[str, Any]:
    values: dict[str, Any] = {
        "execution_id": boundary.execution_id,
        "fence": boundary.fence,
        "actor": boundary.actor,
        "wake_seq": boundary.wake_seq,
    }
    if boundary.ended is not None:
        values["ended_number"] = boundary.ended.step_number
        values["outcome"] = orjson.dumps(boundary.ended.outcome).decode()
        values["told"] = orjson.dumps(boundary.ended.told).decode()
    if boundary.begins is not None:
        values["step_id"] = new_id()
        values["begun_number"] = boundary.begins.step_number
        values["phase"] = boundary.begins.phase
    if boundary.checkpoints is not None:
        values |= boundary.checkpoints.as_values()
    return values
