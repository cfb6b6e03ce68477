"""What an execution gives in the end: computed from its results, checked against its template's output schema."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.expressions import Unevaluable
from app.domain.json_schemas import misfit
from app.engine.leases import Execution
from app.engine.phases.base import Failed
from app.engine.phases.values import variables


async def output_of(session: AsyncConnection, execution: Execution) -> dict[str, Any] | Failed:
    """The output by name, or why there is none."""
    template = execution.template
    expressions = template.values()
    values = await variables(session, execution, expressions.values())
    output = {}
    for name, expression in expressions.items():
        try:
            output[name] = expression.evaluate(values)
        except Unevaluable as error:
            return Failed(f"The output {name!r} cannot be computed: {error.message}")
    wrong = None if template.output_schema is None else misfit(output, template.output_schema, "output")
    if wrong is not None:
        place, message = wrong
        return Failed(f"{place} does not fit the output schema of the workflow: {message}")
    return output
