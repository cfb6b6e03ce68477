"""Inputs of the schedules' mutations."""

from datetime import datetime

import strawberry

from app.domain.ids import parse_id
from app.domain.schedules import MissedRuns, Timing
from app.services.schedules import (
    CreateSchedule,
    DeleteSchedule,
    PauseSchedule,
    ResumeSchedule,
    TriggerSchedule,
    UpdateSchedule,
)
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.mutating import json_object
from graphql_schema.payloads import VERSION_DESCRIPTION, MutationInput, given, optional
from graphql_schema.scalars import JSON

SCHEDULE_DESCRIPTION = "The schedule's UUID."
REASON_DESCRIPTION = "Why, for the audit record; at most 2,000 characters."
CRON_DESCRIPTION = "Minute, hour, day of month, month and day of week, as in `0 7 * * MON-FRI`; at most 200 characters."
INTERVAL_DESCRIPTION = "Seconds from one run to the next, from 1 to a year."
START_DESCRIPTION = (
    "With an interval: its first run, one interval from now when left out. Alone: the moment of a single run."
)


@strawberry.input(
    description="Start a workflow at certain times: give either `cronExpression`, or `intervalSeconds` with or without "
    "`startAt`, or `startAt` alone."
)
class ScheduleCreateInput(MutationInput):
    schedule_name: str = given("What to call it, at most 200 characters.")
    workflow_name: str = given(
        "Name of the template, e.g. `code-audit`, at most 200 characters; `workflowTemplates` lists them."
    )
    cron_expression: str | None = optional(CRON_DESCRIPTION)
    time_zone: str = given("The IANA time zone of the cron expression, such as `Europe/Berlin`.", default="UTC")
    interval_seconds: int | None = optional(INTERVAL_DESCRIPTION)
    start_at: datetime | None = optional(START_DESCRIPTION)
    input_context: JSON | None = optional("What its executions are given, a JSON object.")
    missed_runs: MissedRuns = given(
        "What becomes of runs whose time passes while no hub is there.", default=MissedRuns.RUN_ONCE
    )

    def command(self) -> CreateSchedule:
        return CreateSchedule(
            self.schedule_name,
            self.workflow_name,
            Timing(self.cron_expression, self.time_zone, self.interval_seconds, self.start_at),
            json_object("inputContext", self.input_context),
            self.missed_runs,
        )


@strawberry.input(
    description="Change a schedule; what is left out or null stays as it is. A cron expression, an interval or a start "
    "takes the place of all that said when it comes due."
)
class ScheduleUpdateInput(MutationInput):
    schedule_id: strawberry.ID = given(SCHEDULE_DESCRIPTION)
    expected_version: int = given(VERSION_DESCRIPTION)
    schedule_name: str | None = optional("What to call it, at most 200 characters.")
    workflow_name: str | None = optional("Name of the template that it starts from now on, at most 200 characters.")
    cron_expression: str | None = optional(CRON_DESCRIPTION)
    time_zone: str | None = optional("The IANA time zone of the cron expression.")
    interval_seconds: int | None = optional(INTERVAL_DESCRIPTION)
    start_at: datetime | None = optional(START_DESCRIPTION)
    input_context: JSON | None = optional("What its executions are given from now on, a JSON object.")
    missed_runs: MissedRuns | None = optional("What becomes of runs whose time passes while no hub is there.")

    def command(self) -> UpdateSchedule:
        return UpdateSchedule(
            parse_id("scheduleId", self.schedule_id),
            self.expected_version,
            self.schedule_name,
            self.workflow_name,
            None if self.input_context is None else json_object("inputContext", self.input_context),
            self.missed_runs,
            self.cron_expression,
            self.time_zone,
            self.interval_seconds,
            self.start_at,
        )


@strawberry.input(description="Let a schedule start no executions until it is resumed.")
class SchedulePauseInput(MutationInput):
    schedule_id: strawberry.ID = given(SCHEDULE_DESCRIPTION)
    expected_version: int = given(VERSION_DESCRIPTION)
    reason: str = given(REASON_DESCRIPTION, default="")

    def command(self) -> PauseSchedule:
        return PauseSchedule(parse_id("scheduleId", self.schedule_id), self.expected_version, self.reason)


@strawberry.input(description="Let a paused schedule start executions again.")
class ScheduleResumeInput(MutationInput):
    schedule_id: strawberry.ID = given(SCHEDULE_DESCRIPTION)
    expected_version: int = given(VERSION_DESCRIPTION)

    def command(self) -> ResumeSchedule:
        return ResumeSchedule(parse_id("scheduleId", self.schedule_id), self.expected_version)


@strawberry.input(description="Use a schedule no more.")
class ScheduleDeleteInput(MutationInput):
    schedule_id: strawberry.ID = given(SCHEDULE_DESCRIPTION)
    expected_version: int = given(VERSION_DESCRIPTION)
    reason: str = given(REASON_DESCRIPTION, default="")

    def command(self) -> DeleteSchedule:
        return DeleteSchedule(parse_id("scheduleId", self.schedule_id), self.expected_version, self.reason)


@strawberry.input(description="Start a schedule's execution now, whether it is paused or not.")
class ScheduleTriggerInput(MutationInput):
    schedule_id: strawberry.ID = given(SCHEDULE_DESCRIPTION)

    def command(self) -> TriggerSchedule:
        return TriggerSchedule(parse_id("scheduleId", self.schedule_id))
