"""Inputs of the metrics' mutations."""

from datetime import datetime
from decimal import Decimal

import strawberry

from app.domain.metrics import AlertLevel
from app.services.metrics import Measurement
from graphql_schema import enums  # noqa: F401  (registers the enums)
from graphql_schema.mutating import optional_id
from graphql_schema.payloads import MutationInput, given, optional


@strawberry.input(description="One measurement of an agent, or of the whole system.")
class MeasurementInput:
    measurement_time: datetime = given("When it was taken: within the last 90 days, at most 5 minutes ahead.")
    agent_id: strawberry.ID | None = optional("The agent that was measured; null: the whole system.")
    execution_id: strawberry.ID | None = optional("The execution that the agent was working for.")
    cpu_usage: Decimal | None = optional("CPU utilisation of the whole machine, per cent, from 0 to 100.")
    memory_usage: Decimal | None = optional("Memory in MB, 0 or more.")
    disk_usage: Decimal | None = optional("Disk in MB, 0 or more.")
    network_io: Decimal | None = optional("Network traffic in MB/s, 0 or more.")
    active_sessions: int | None = optional("Active Claude Code sessions or other running commands, 0 or more.")
    database_connections: int | None = optional("Active database connections, 0 or more.")
    response_time: int | None = optional("Average response time in milliseconds, 0 or more.")
    error_rate: Decimal | None = optional("Errors, per cent, from 0 to 100.")
    optimization_score: Decimal | None = optional("How well resources are used, from 0 to 10.")
    optimization_suggestions: list[str] | None = optional(
        "What could be used better, at most 50 texts of at most 2,000 characters."
    )
    alert_level: AlertLevel = given("How alarming the measurement is.", default=AlertLevel.NORMAL)

    def measurement(self, index: int) -> Measurement:
        return Measurement(
            measurement_time=self.measurement_time,
            agent_id=self.agent_id,
            execution_id=optional_id(f"measurements.{index}.executionId", self.execution_id),
            cpu_usage=self.cpu_usage,
            memory_usage=self.memory_usage,
            disk_usage=self.disk_usage,
            network_io=self.network_io,
            active_sessions=self.active_sessions,
            database_connections=self.database_connections,
            response_time=self.response_time,
            error_rate=self.error_rate,
            optimization_score=self.optimization_score,
            optimization_suggestions=self.optimization_suggestions or (),
            alert_level=self.alert_level,
        )


@strawberry.input(description="Many measurements at once: all are stored, or none.")
class ResourceMetricsRecordInput(MutationInput):
    measurements: list[MeasurementInput] = given("From 1 to 1,000 measurements.")
