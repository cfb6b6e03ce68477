"""That all of it is driven, and often enough."""

from graphql_schema.schema import build_schema
from tests.properties import (
    test_agents,
    test_assignments,
    test_concurrency,
    test_decisions,
    test_flows,
    test_gates,
    test_schedules,
    test_tasks,
    test_workflows,
)

PLANS = [
    test_agents.PLAN,
    test_tasks.PLAN,
    test_decisions.PLAN,
    test_gates.PLAN,
    test_assignments.PLAN,
    test_workflows.PLAN,
    test_schedules.PLAN,
    test_flows.PLAN,
    test_concurrency.TASK_PLAN,
    test_concurrency.GATE_PLAN,
]
SEQUENCES = 2_000
NOT_DRIVEN = {
    # tokens are no aggregate: they have no status, and are tested with the API
    "apiTokenCreate",
    "apiTokenRevoke",
    # templates and signals have none either, and the model's workflows await no signals
    "workflowSignal",
    "workflowTemplateRegister",
    "workflowTemplateValidate",
}


def test_there_are_at_least_two_thousand_sequences() -> None:
    """Each test fails when it has run fewer than its plan says; so all of them together are no fewer than this."""
    assert sum(plan.tests * plan.sequences for plan in PLANS) >= SEQUENCES


def test_every_mutation_is_driven() -> None:
    mutations = build_schema()._schema.mutation_type
    assert mutations is not None
    driven = {command.mutation for plan in PLANS for command in plan.machine.commands if command.is_mutation}
    assert driven | NOT_DRIVEN == set(mutations.fields)
