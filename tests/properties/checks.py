"""What must hold of the database, whatever was done to it: of a sequence's rows and events, and of the whole.

The checks of a sequence compare rows with the model. Those of the log and of the whole know no model: rows and events
must agree with each other, and with the state machines.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson

from app.domain.events import Aggregate
from app.domain.machines import Machine
from app.domain.quality_gates import ApprovalStatus
from app.domain.schedules import ScheduleStatus
from db.session import Database
from tests.properties.hub import Event
from tests.properties.judging import ID
from tests.properties.model import (
    FINAL_GATES,
    ONLINE,
    Agent,
    Assignment,
    Decision,
    Execution,
    Gate,
    Schedule,
    State,
    Task,
    Thing,
)

Facts = Mapping[str, Any]

KINDS: Mapping[Aggregate, type[Thing]] = {
    kind.aggregate: kind for kind in (Agent, Task, Execution, Schedule, Decision, Gate, Assignment)
}
ROWS = """
    SELECT json_build_object(
        'keys', (SELECT count(*) FROM idempotency_keys WHERE key LIKE $3),
        'rows', (SELECT json_agg(row) FROM (
            SELECT agent_id, status, version, json_build_object('role', agent_role, 'concurrency', concurrency)
            FROM agents WHERE agent_id = ANY ($1)
            UNION ALL
            SELECT task_id::text, status, version, json_build_object('kind', task_kind, 'holder', assigned_agent_id,
                'execution', execution_id, 'role', required_role, 'needs', depends_on,
                'ended', completed_at IS NOT NULL)
            FROM tasks WHERE task_id = ANY ($2)
            UNION ALL
            SELECT execution_id::text, execution_status, version, json_build_object('triggered', trigger_type,
                'steps', (SELECT coalesce(json_agg(step_status ORDER BY step_number), '[]') FROM workflow_steps
                    WHERE workflow_steps.execution_id = execution.execution_id))
            FROM workflow_executions AS execution WHERE execution_id = ANY ($2)
            UNION ALL
            SELECT schedule_id::text, schedule_status, version, json_build_object('comes', next_run_at IS NOT NULL)
            FROM workflow_schedules WHERE schedule_id = ANY ($2)
            UNION ALL
            SELECT decision_id::text, NULL, version, json_build_object('erased', sealed_key IS NULL)
            FROM decisions WHERE decision_id = ANY ($2)
            UNION ALL
            SELECT gate_id::text, approval_status, version, json_build_object('execution', workflow_execution_id,
                'revision', revision, 'escalated', escalation_required, 'verdict', decision_id,
                'closed', closed_at IS NOT NULL, 'waived', waived_by IS NOT NULL,
                'approved', approved_at IS NOT NULL, 'reasoned', pm_decision IS NOT NULL,
                'checks', jsonb_array_length(automated_checks),
                'asked', (SELECT count(*) FROM gate_reviewers AS asked
                    WHERE asked.gate_id = gate.gate_id AND asked.revision = gate.revision AND reviewed_at IS NULL),
                'reviewed', (SELECT count(*) FROM gate_reviewers AS asked
                    WHERE asked.gate_id = gate.gate_id AND asked.revision = gate.revision AND verdict IS NOT NULL))
            FROM quality_gates AS gate WHERE gate_id = ANY ($2)
            UNION ALL
            SELECT assignment_id::text, assignment_status, version, json_build_object('agent', agent_id,
                'task', task_id, 'chain', jsonb_array_length(fallback_chain), 'fallback_of', fallback_of)
            FROM model_assignments WHERE assignment_id = ANY ($2)
        ) AS row (id, status, version, facts))
    )::text
"""


@dataclass(frozen=True)
class Rows:
    """The rows of a sequence by id: status, version and what else the model knows; and how many keys were taken."""

    by_id: Mapping[str, tuple[str | None, int, Facts]]
    keys: int


async def read_rows(database: Database, name: str, ids: Collection[str]) -> Rows:
    """The rows with these ids, of which agents' begin with the sequence's name."""
    agents = [entity_id for entity_id in ids if entity_id.startswith(f"{name}-")]
    others = [entity_id for entity_id in ids if ID.fullmatch(entity_id)]
    found = orjson.loads(await database.fetch_value(ROWS, (agents, others, f"{name}-%")))
    return Rows(
        {row["id"]: (row["status"], row["version"], row["facts"]) for row in found["rows"] or ()}, found["keys"]
    )


def rows_differ(state: State, rows: Rows) -> str | None:
    """What of the rows is not as the model has it, if anything; there must be no more and no fewer of them."""
    nameless = [thing.key for thing in state.things.values() if thing.id is None]
    if nameless:
        return f"the hub never told the id of {nameless}"
    if rows.keys != len(state.used):
        return f"{rows.keys} idempotency keys were taken, {len(state.used)} should have been"
    wanted = {thing.id: (thing.status, thing.version, _facts(state, thing)) for thing in state.things.values()}
    return "\n".join(
        f"{entity_id} should be {wanted.get(entity_id)}\n    and is {rows.by_id.get(entity_id or '')}"
        for entity_id in wanted.keys() | rows.by_id.keys()
        if wanted.get(entity_id) != rows.by_id.get(entity_id or "")
    ) or None  # fmt: skip


def _facts(state: State, thing: Thing) -> Facts:
    """What else the row has, as the model has it."""
    match thing:
        case Agent():
            return {"role": thing.role, "concurrency": thing.concurrency}
        case Task():
            return _facts_of_task(state, thing)
        case Execution():
            return {"triggered": "manual", "steps": list(thing.steps)}
        case Schedule():
            return {"comes": thing.status is ScheduleStatus.ACTIVE}
        case Decision():
            return {"erased": thing.erased}
        case Gate():
            return _facts_of_gate(state, thing)
        case Assignment():
            task, first = _id(state, thing.task), _id(state, thing.fallback_of)
            return {"agent": thing.agent, "task": task, "chain": thing.chain, "fallback_of": first}
    raise AssertionError(thing)


def _facts_of_task(state: State, task: Task) -> Facts:
    return {
        "kind": task.kind,
        "holder": task.holder,
        "execution": _id(state, task.execution),
        "role": task.role,
        "needs": [_id(state, needed) for needed in task.needs],
        "ended": task.status in ("completed", "failed", "cancelled"),
    }


def _facts_of_gate(state: State, gate: Gate) -> Facts:
    return {
        "execution": _id(state, gate.execution),
        "revision": gate.revision,
        "escalated": gate.escalated,
        "closed": gate.closed,
        "waived": gate.waived,
        "verdict": _id(state, gate.verdict),
        "approved": gate.status is ApprovalStatus.APPROVED,
        "reasoned": gate.verdict is not None,
        "checks": len(gate.checks),
        "asked": len(gate.asked - gate.reviewed),
        "reviewed": len(gate.reviewed),
    }


def _id(state: State, key: str | None) -> str | None:
    return None if key is None else state.things[key].id


def check_model(state: State) -> None:
    """What must hold in any state that commands lead to; the rows have been found to be the model's."""
    for agent in state.all(Agent):
        held = len(state.held_by(agent))
        assert held <= agent.most
        if agent.status in ONLINE:
            due = "idle" if not held else "busy" if held >= agent.concurrency else "active"
            assert agent.status == due
        else:
            assert held == 0, f"{agent.key} is {agent.status} and holds tasks"
    for execution in state.all(Execution):
        assert not (execution.has_ended and state.open_tasks(execution)), "an execution has ended and left tasks behind"
    for gate in state.all(Gate):
        assert gate.status not in FINAL_GATES or gate.verdict is not None
        assert gate.status is not ApprovalStatus.APPROVED or gate.waived or gate.asked <= gate.reviewed
    for assignment in state.all(Assignment):
        if assignment.fallback_of is not None:
            first = state.get(Assignment, assignment.fallback_of)
            assert (first.status, first.chain) == ("failed", assignment.chain + 1)


def check_log(events: Sequence[Event], state: State) -> None:
    """Of each thing: versions 1, 2, 3 …, each event going on where the last one ended, by the machine."""
    of_things: dict[str, list[Event]] = defaultdict(list)
    versioned = [event for event in events if event.version is not None]
    for event in sorted(versioned, key=lambda event: event.version or 0):
        of_things[event.entity_id].append(event)
    assert of_things.keys() == state.keys_of.keys(), "an entity without events, or events without their entity"
    for entity_id, chain in of_things.items():
        thing = state.things[state.keys_of[entity_id]]
        assert [event.version for event in chain] == list(range(1, thing.version + 1)), thing
        assert chain[-1].to_status == thing.status
        _check_chain(chain, KINDS[Aggregate(chain[0].aggregate)].machine)


def _check_chain(chain: Sequence[Event], machine: Machine[Any] | None) -> None:
    assert chain[0].from_status is None
    for before, after in pairwise(chain):
        assert after.from_status == before.to_status
        if machine is not None and after.to_status != after.from_status:
            assert after.to_status in machine.allowed_from(after.from_status)


AUDIT = """
    WITH changed AS (
        SELECT aggregate, entity_id, version, from_status, to_status,
            lag(to_status) OVER one AS before, row_number() OVER one AS number, count(*) OVER entity AS total
        FROM event_log WHERE version IS NOT NULL
        WINDOW entity AS (PARTITION BY aggregate, entity_id), one AS (entity ORDER BY version)
    ), rows (aggregate, entity_id, status, version) AS (
        SELECT 'agent', agent_id, status, version FROM agents
        UNION ALL SELECT 'task', task_id::text, status, version FROM tasks
        UNION ALL SELECT 'workflow', execution_id::text, execution_status, version FROM workflow_executions
        UNION ALL SELECT 'schedule', schedule_id::text, schedule_status, version FROM workflow_schedules
        UNION ALL SELECT 'decision', decision_id::text, NULL, version FROM decisions
        UNION ALL SELECT 'quality_gate', gate_id::text, approval_status, version FROM quality_gates
        UNION ALL SELECT 'model_assignment', assignment_id::text, assignment_status, version FROM model_assignments
    )
    SELECT json_build_object(
        'entities', (SELECT count(*) FROM rows),
        'events', (SELECT count(*) FROM event_log),
        'gaps', (SELECT count(*) FROM changed WHERE version <> number OR from_status IS DISTINCT FROM before),
        'apart', (SELECT count(*) FROM rows FULL JOIN (SELECT * FROM changed WHERE number = total) AS last
            USING (aggregate, entity_id)
            WHERE rows.version IS DISTINCT FROM last.version OR rows.status IS DISTINCT FROM last.to_status),
        'overloaded', (SELECT count(*) FROM agents WHERE status IN ('error', 'offline') AND EXISTS (
            SELECT FROM tasks WHERE assigned_agent_id = agent_id AND tasks.status IN ('assigned', 'running'))),
        'left_behind', (SELECT count(*) FROM tasks JOIN workflow_executions USING (execution_id)
            WHERE execution_status IN ('completed', 'failed', 'cancelled')
            AND tasks.status IN ('pending', 'assigned', 'running', 'failed')),
        'unreasoned', (SELECT count(*) FROM quality_gates LEFT JOIN decisions USING (decision_id)
            WHERE approval_status IN ('approved', 'rejected')
            AND (decision_type IS DISTINCT FROM 'quality_gate' OR pm_decision IS NULL)),
        'unreviewed', (SELECT count(*) FROM quality_gates JOIN gate_reviewers USING (gate_id, revision)
            WHERE approval_status = 'approved' AND waived_by IS NULL AND gate_reviewers.reviewed_at IS NULL),
        'untold', (SELECT count(*) FROM (
            SELECT metric_id::text FROM resource_metrics UNION ALL SELECT message_id::text FROM agent_messages
        ) AS kept (id) FULL JOIN (
            SELECT coalesce(detail->>'message_id', entity_id) AS id FROM event_log
            WHERE aggregate = 'metrics' OR event_type = 'message_sent'
        ) AS told USING (id) WHERE kept.id IS NULL OR told.id IS NULL),
        'forked', (SELECT count(*) FROM model_assignments AS second JOIN model_assignments AS first
            ON second.fallback_of = first.assignment_id WHERE first.assignment_status <> 'failed')
    )::text
"""


async def check_all(database: Database, entities: int, events: int) -> None:
    """What must hold of the whole database, in which there are so many entities and events and no others."""
    found = orjson.loads(await database.fetch_value(AUDIT))
    wrong = ("gaps", "apart", "overloaded", "left_behind", "unreasoned", "unreviewed", "untold", "forked")
    assert found == {"entities": entities, "events": events, **dict.fromkeys(wrong, 0)}
