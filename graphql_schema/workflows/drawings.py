"""The drawing of an execution: its template's, and the status of each phase as the class of its node."""

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by, distinct_on

from db.tables.workflows import workflow_executions, workflow_steps, workflow_templates
from graphql_schema.planner.entities import Row, column_at
from graphql_schema.planner.sql import text_constant

EXECUTION = workflow_executions.c
STEP = workflow_steps.c
TEMPLATE = workflow_templates.c


def drawing(execution: Row) -> ColumnElement[str]:
    """The text of the flow chart."""
    template = workflow_templates.alias()
    drawn = (
        select(column_at(template, TEMPLATE.mermaid))
        .where(
            and_(
                column_at(template, TEMPLATE.template_name) == execution[EXECUTION.workflow_name],
                column_at(template, TEMPLATE.template_version) == execution[EXECUTION.template_version],
            )
        )
        .correlate_except(template)
        .scalar_subquery()
    )
    empty = text_constant("")
    return func.coalesce(drawn, empty).concat(func.coalesce(_classes(execution), empty))


def _classes(execution: Row) -> ColumnElement[str]:
    """A line for each phase that was begun."""
    steps = workflow_steps.alias()
    phase, status = column_at(steps, STEP.phase), column_at(steps, STEP.step_status)
    latest = (
        select(phase.label("phase"), status.label("status"))
        .ext(distinct_on(phase))
        .where(column_at(steps, STEP.execution_id) == execution[EXECUTION.execution_id])
        .order_by(phase, column_at(steps, STEP.attempt).desc())
        .correlate_except(steps)
        .subquery()
    )
    node = text_constant("  class p_").concat(func.replace(latest.c.phase, text_constant("-"), text_constant("_")))
    line = node.concat(text_constant(" ")).concat(latest.c.status).concat(text_constant("\n"))
    told = func.string_agg(line, aggregate_order_by(text_constant(""), latest.c.phase))
    return select(told).select_from(latest).scalar_subquery()
