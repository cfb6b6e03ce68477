"""What must hold when a round is over, read from the database: nothing lost, nothing twice, nothing illegal.

Every function returns the violations that it found, as sentences with the ids that they are about.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.engine import Row

from db.queries.entities import AGENT, EXECUTION, GATE, TASK, Entity
from db.session import Database
from db.tables.events import event_log
from tests.engine.chaos.agents import Told
from tests.engine.team import rows_of

MARKS = text(
    """
    SELECT detail ->> 'reason' AS mark FROM event_log WHERE aggregate = 'task' AND event_type = 'failed'
    UNION ALL SELECT result ->> 'mark' FROM tasks WHERE result ? 'mark'
    UNION ALL SELECT result ->> 'feedback' FROM tasks WHERE result ? 'feedback'
    UNION ALL SELECT substring(outcome FROM '[0-9a-f]{32}$') FROM decisions
    """
)
OPEN_LEASES = text(
    """
    SELECT execution_id, execution_status, lease_owner, wake_seq, handled_seq FROM workflow_executions
    WHERE lease_owner IS NOT NULL OR execution_status IN ('pending', 'running', 'paused')
    """
)
BUSY_AGENTS = text(
    """
    SELECT agent_id, status, (SELECT count(*) FROM tasks WHERE assigned_agent_id = agent_id
        AND tasks.status IN ('assigned', 'running')) AS held
    FROM agents WHERE status IN ('active', 'busy')
    """
)
OPEN_TASKS = text(
    """
    SELECT task_id, tasks.status, execution_status FROM tasks JOIN workflow_executions USING (execution_id)
    WHERE tasks.status IN ('pending', 'assigned', 'running')
    """
)
DOUBLED_STEPS = text(
    """
    SELECT entity_id, event_type, detail ->> 'step_number' AS number, count(*) AS times FROM event_log
    WHERE aggregate = 'workflow' AND event_type LIKE 'step\\_%' GROUP BY 1, 2, 3 HAVING count(*) > 1
    """
)
UNORDERED_STEPS = text(
    """
    SELECT execution_id, step_number FROM (
        SELECT *, row_number() OVER path AS place, lag(started_at) OVER path AS earlier,
            lag(completed_at) OVER path AS ended
        FROM workflow_steps WINDOW path AS (PARTITION BY execution_id ORDER BY step_number)) AS steps
    WHERE step_number <> place OR earlier > started_at OR (place > 1 AND ended IS NULL) OR ended > started_at
    """
)
UNCOUNTED_TASKS = text(
    """
    SELECT task_id, attempts, failures, started, failed, completed, status FROM tasks JOIN (
        SELECT entity_id, count(*) FILTER (WHERE event_type = 'started') AS started,
            count(*) FILTER (WHERE event_type = 'failed') AS failed,
            count(*) FILTER (WHERE event_type = 'completed') AS completed
        FROM event_log WHERE aggregate = 'task' GROUP BY 1) AS events ON entity_id = task_id::text
    WHERE attempts <> started OR failures <> failed OR completed <> (status = 'completed')::int
    """
)
VERDICTS_WITHOUT_DECISION = text(
    """
    SELECT gate_id, verdicts, decided FROM (
        SELECT gate_id, (SELECT count(*) FROM event_log WHERE aggregate = 'quality_gate' AND entity_id = gate_id::text
                AND event_type IN ('approved', 'rejected', 'revision_requested')) AS verdicts,
            (SELECT count(DISTINCT detail ->> 'decision_id') FROM event_log JOIN decisions
                ON decision_id::text = detail ->> 'decision_id'
                WHERE aggregate = 'quality_gate' AND entity_id = gate_id::text) AS decided
        FROM quality_gates) AS gates
    WHERE verdicts <> decided
    """
)
NOTED = text("SELECT execution_id, what, told FROM chaos.violations")

SENTENCES = {
    "an execution is not at rest": OPEN_LEASES,
    "a task is open though its execution has ended": OPEN_TASKS,
    "an agent is at work on nothing": BUSY_AGENTS,
    "a step was told of twice": DOUBLED_STEPS,
    "the path is not chronological": UNORDERED_STEPS,
    "a task counts other attempts than it had": UNCOUNTED_TASKS,
    "a verdict has no decision of its own": VERDICTS_WITHOUT_DECISION,
    "the database saw what may never happen": NOTED,
}


async def general_violations(database: Database, told: Mapping[UUID, Told]) -> list[str]:
    """What is wrong whatever was planned."""
    found = []
    for sentence, statement in SENTENCES.items():
        found += [f"{sentence}: {dict(row._mapping)}" for row in await rows_of(database, statement)]
    for entity in (EXECUTION, TASK, GATE, AGENT):
        found += await replay(database, entity)
    return found + await misheard(database, told)


async def replay(database: Database, entity: Entity) -> list[str]:
    """Let the events of every entity run through its state machine; they must end where the row stands."""
    machine = entity.machine
    assert machine is not None
    assert entity.status_name is not None
    columns = event_log.c
    statement = (
        select(columns.entity_id, columns.event_type, columns.from_status, columns.to_status, columns.version)
        .where(columns.aggregate == entity.aggregate.value, columns.version.is_not(None))
        .order_by(columns.entity_id, columns.xid, columns.id)
    )
    lives: dict[str, list[Row[Any]]] = defaultdict(list)
    for event in await rows_of(database, statement):
        lives[event.entity_id].append(event)
    found = []
    for row in await rows_of(database, select(entity.table)):
        entity_id = str(row._mapping[entity.key_name])
        life = lives.pop(entity_id, [])
        last = (row._mapping[entity.status_name], row.version)
        found += [f"{entity.kind} {entity_id}: {what}" for what in _faults_of(entity, life, last)]
    return found + [f"{entity.kind} {entity_id}: has events and no row" for entity_id in lives]


def _faults_of(entity: Entity, life: list[Row[Any]], last: tuple[str, int]) -> Iterator[str]:
    machine = entity.machine
    assert machine is not None
    versions = [event.version for event in life]
    if versions != list(range(1, len(life) + 1)):
        yield f"the versions are {versions}"
    for before, event in pairwise(life):
        if event.from_status != before.to_status:
            yield f"{event.event_type} left {event.from_status}, but it was {before.to_status}"
        if event.to_status != event.from_status:
            source, target = type(machine.initial)(event.from_status), type(machine.initial)(event.to_status)
            if target not in machine.allowed_from(source):
                yield f"{event.event_type} went from {source} to {target}"
    if not life or (life[-1].to_status, life[-1].version) != last:
        yield f"it is {last}, but its events end with {life[-1] if life else 'nothing'}"


async def misheard(database: Database, told: Mapping[UUID, Told]) -> list[str]:
    """What an agent was told of its reports against what is stored: accepted ones once, refused ones not at all."""
    stored = Counter(row.mark for row in await rows_of(database, MARKS))
    found = []
    for task_id, heard in told.items():
        found += [f"task {task_id}: {mark} was accepted and is there {stored[mark]} times" for mark in heard.accepted
                  if stored[mark] != 1]  # fmt: skip
        found += [f"task {task_id}: {mark} was refused and is stored" for mark in heard.refused if stored[mark]]
    return found
