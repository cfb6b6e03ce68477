"""Subscriptions to quality gates."""

import strawberry

from app.domain.events import Aggregate
from db.tables.quality_gates import quality_gates
from graphql_schema.quality_gates.types import QualityGateExecution
from graphql_schema.streams.changes import Change, subject
from graphql_schema.streams.declaring import Narrowing, StreamPlan, of_execution, stream, uuid_text


@strawberry.type(
    description="One event of a quality gate: created, opened, review_requested, reviewed, checks_recorded, escalated, "
    "escalation_resolved, approved, waived, rejected, revision_requested, voided (the approved work has changed), "
    "evidence_changed (the work under review has), closed (with its execution) or reopened."
)
class QualityGateChange(Change):
    quality_gate: QualityGateExecution | None = subject(
        "QualityGateExecution",
        description="The gate as it is when this payload is sent, which may be later than the event.",
    )


@strawberry.type
class QualityGateSubscriptions:
    quality_gate_changed: QualityGateChange = stream(
        StreamPlan(
            Aggregate.QUALITY_GATE,
            (
                Narrowing("gateId", uuid_text, "Only this gate."),
                of_execution("Only gates of this workflow execution.", quality_gates.c.workflow_execution_id),
            ),
        ),
        description="Events of quality gates: changes of status and reviews.",
    )
