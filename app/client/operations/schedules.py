"""Operations on schedules."""

from app.client.documents import listing, mutation

_state = "schedule { scheduleId scheduleName scheduleStatus workflowName nextRunAt version }"

CREATE = mutation("scheduleCreate", _state)

PAUSE = mutation("schedulePause", _state)

RESUME = mutation("scheduleResume", _state)

DELETE = mutation("scheduleDelete", _state)

TRIGGER = mutation("scheduleTrigger", "workflow { executionId workflowName executionStatus version }")

IDS = listing("ScheduleIds", "schedules", "scheduleId scheduleName workflowName scheduleStatus")

SCHEDULE = """
query Schedule($scheduleId: ID!) {
  schedule(scheduleId: $scheduleId) { scheduleId scheduleName scheduleStatus version }
}
"""

SCHEDULES = listing(
    "Schedules",
    "schedules",
    "scheduleId scheduleName scheduleStatus workflowName cronExpression timeZone intervalSeconds startAt nextRunAt "
    "lastRunAt lastError lastExecution { executionId executionStatus }",
)
