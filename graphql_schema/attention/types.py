"""What waits for a person or the PM."""

from datetime import datetime
from decimal import Decimal

import orjson
import strawberry
from sqlalchemy import BigInteger, ColumnElement, Numeric, case, cast, func, true

from app.domain.attention import AGENT_WEIGHT, NEXT_STEPS, AttentionKind, WaitsFor
from db.tables.attention import attention, attention_items
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.connections import AgentRef, AttentionItems, ExecutionRef, GateRef, TaskRef
from graphql_schema.node import Node
from graphql_schema.planner.entities import Entity, Order, Row, falling
from graphql_schema.planner.fields import column, computed, many, one
from graphql_schema.planner.sql import json_constant, number, text_constant

ITEM = attention_items.c
MOST_URGENT: Order = falling(ITEM.urgency, ITEM.item_id)


def _age(item: Row) -> ColumnElement[int]:
    return cast(func.floor(func.extract("epoch", func.now() - item[ITEM.since])), BigInteger)


def _score(item: Row) -> ColumnElement[Decimal]:
    hours = func.extract("epoch", func.now()) / number(3600)
    return func.round(cast(item[ITEM.urgency] + hours, Numeric), number(2))


def _next_steps(item: Row) -> ColumnElement[list[str]]:
    steps = {kind.value: json_constant(orjson.dumps(names).decode()) for kind, names in NEXT_STEPS.items()}
    return case(*[(item[ITEM.kind] == text_constant(kind), names) for kind, names in steps.items()])


@strawberry.type(description="One thing that waits for a person or the PM, and what it holds up.")
class AttentionItem(Node):
    __entity__ = Entity(attention_items, (ITEM.item_id,), order=MOST_URGENT)

    item_id: strawberry.ID = column(
        ITEM.item_id, description="The kind and the id of what waits, such as verdict:019a…; the same for as long."
    )
    kind: AttentionKind = column(ITEM.kind, description="What it is that waits.")
    waits_for: WaitsFor = column(ITEM.waits_for, description="Who can end the wait.")
    title: str = column(ITEM.title, description="The name of the gate, task, workflow or agent.")
    reason: str = column(ITEM.reason, description="Why it waits, in a sentence.")
    since: datetime = column(ITEM.since, description="Since when it waits.")
    age_seconds: int = computed(_age, description="For how many seconds it has waited.")
    blocked_agents: int = column(
        ITEM.blocked_agents,
        description="How many agents it holds up: those that have had a task of the execution concerned, are not "
        "OFFLINE, and have no task at hand now.",
    )
    blocked_spend: Decimal = column(
        ITEM.blocked_spend,
        description="US dollars that model calls have cost the execution concerned so far: what lies idle.",
    )
    score: Decimal = computed(
        _score,
        description=f"The queue is ordered by this: {AGENT_WEIGHT} × `blockedAgents` + `blockedSpend` + the hours of "
        "its age. All scores grow alike, so the order changes only when something happens.",
    )
    next_steps: list[str] = computed(_next_steps, description="The mutations that can end the wait.")
    execution_id: strawberry.ID | None = column(
        ITEM.execution_id, description="The UUID of the workflow execution concerned; null when there is none."
    )
    gate_id: strawberry.ID | None = column(ITEM.gate_id, description="The UUID of the gate that waits, if it is one.")
    task_id: strawberry.ID | None = column(ITEM.task_id, description="The UUID of the task that waits, if it is one.")
    agent_id: strawberry.ID | None = column(
        ITEM.agent_id, description="The id of the agent concerned: that waits, or has the task; null when none."
    )
    execution: ExecutionRef | None = one(
        ITEM.execution_id, description="The workflow execution concerned; null when there is none."
    )
    gate: GateRef | None = one(ITEM.gate_id, description="The gate that waits; null for all else.")
    task: TaskRef | None = one(ITEM.task_id, description="The task that waits; null for all else.")
    agent: AgentRef | None = one(ITEM.agent_id, description="The agent concerned; null when there is none.")


@strawberry.type(description="The queue of what waits for a person or the PM, as a whole.")
class Attention:
    __entity__ = Entity(attention, (attention.c.name,))

    items: AttentionItems = many(
        lambda _queue, _item: true(), order=MOST_URGENT, description="What waits, the most urgent first."
    )
