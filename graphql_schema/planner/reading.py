"""Which aggregates a statement reads, by the tables that it names."""

import re
from collections.abc import Mapping

from app.domain.events import Aggregate

AGGREGATES: Mapping[str, Aggregate] = {
    "agents": Aggregate.AGENT,
    "agent_reports": Aggregate.AGENT,
    "agent_messages": Aggregate.AGENT,
    "tasks": Aggregate.TASK,
    "task_progress": Aggregate.TASK,
    "workflow_templates": Aggregate.WORKFLOW,
    "workflow_executions": Aggregate.WORKFLOW,
    "workflow_steps": Aggregate.WORKFLOW,
    "workflow_errors": Aggregate.WORKFLOW,
    "workflow_schedules": Aggregate.SCHEDULE,
    "decisions": Aggregate.DECISION,
    "decision_evidence": Aggregate.DECISION,
    "quality_gates": Aggregate.QUALITY_GATE,
    "gate_reviewers": Aggregate.QUALITY_GATE,
    "model_assignments": Aggregate.MODEL_ASSIGNMENT,
    "resource_metrics": Aggregate.METRICS,
    "api_tokens": Aggregate.API_TOKEN,
}
"""By table: the aggregate whose events tell of changes of its rows."""

VIEWS: Mapping[str, frozenset[Aggregate]] = {
    "attention_items": frozenset(
        {Aggregate.AGENT, Aggregate.TASK, Aggregate.WORKFLOW, Aggregate.QUALITY_GATE, Aggregate.MODEL_ASSIGNMENT}
    ),
}
"""By view: the aggregates that it is computed of."""

_READS = {**{name: frozenset({aggregate}) for name, aggregate in AGGREGATES.items()}, **VIEWS}
_NAMES = re.compile(rf"\b({'|'.join(_READS)})\b")


def aggregates_of(sql: str) -> frozenset[Aggregate]:
    """The aggregates of all tables that occur in the statement; a name that occurs otherwise counts too."""
    return frozenset[Aggregate]().union(*(_READS[name] for name in _NAMES.findall(sql)))
