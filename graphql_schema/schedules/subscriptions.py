"""Subscriptions to schedules."""

import strawberry

from app.domain.events import Aggregate
from graphql_schema.schedules.types import WorkflowSchedule
from graphql_schema.streams.changes import Change, subject
from graphql_schema.streams.declaring import Narrowing, StreamPlan, stream, uuid_text


@strawberry.type(
    description="One event of a schedule: created, updated, paused, resumed, fired, missed, ended or deleted. `detail` "
    "of `fired` has the moment as `run`, and `execution_id`, or `error` when nothing could be started."
)
class ScheduleChange(Change):
    schedule: WorkflowSchedule | None = subject(
        "WorkflowSchedule",
        description="The schedule as it is when this payload is sent, which may be later than the event.",
    )


@strawberry.type
class ScheduleSubscriptions:
    schedule_changed: ScheduleChange = stream(
        StreamPlan(Aggregate.SCHEDULE, (Narrowing("scheduleId", uuid_text, "Only this schedule."),)),
        description="Events of schedules: changes, and each time that one comes due.",
    )
