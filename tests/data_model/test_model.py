"""The table of the data model is whole, in both directions, and all that it names exists.

Nothing of the source is left out; every coordinate, column, constraint, mutation and test exists; and everything that
the API has is in a row, or listed with the reason why the data model does not name it.
"""

import re
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest
from graphql import GraphQLEnumType, GraphQLObjectType, GraphQLSchema, get_named_type, specified_scalar_types
from sqlalchemy import CheckConstraint, UniqueConstraint

from db.queries.entities import AGENT, ASSIGNMENT, EXECUTION, GATE, TASK
from db.tables.registry import metadata
from graphql_schema.schema import build_schema
from tests.data_model.model import FOLDER, LEVELS, ROOT, load
from tests.data_model.node_ids import fault_of
from tests.data_model.page import PAGE, render

MODEL = load()
MACHINES = {entity.machine.name: entity for entity in (AGENT, TASK, EXECUTION, ASSIGNMENT, GATE) if entity.machine}
IN_MIGRATIONS = ROOT / "db" / "migrations" / "versions"
LINKING = ("decision_id", "agent_id", "execution_id", "gate_id")


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema()._schema


def test_the_page_is_made_of_the_model() -> None:
    assert PAGE.read_text() == render(MODEL), "run `python -m tests.data_model`"


def test_every_id_is_used_once() -> None:
    assert [row_id for row_id, times in Counter(row.id for row in MODEL.rows).items() if times > 1] == []


def source_lines() -> Iterator[tuple[str, str]]:
    """Each thing that the source says, with the heading under which it says it."""
    heading, flow = "", ""
    for line in (FOLDER / "source.md").read_text().splitlines():
        if line.startswith("### "):
            heading = line.removeprefix("### ")
        elif title := re.match(r"\d+\. \*\*(.+?)\*\*(?: ↔ \*\*(.+?)\*\*)?:?$", line):
            flow = " ↔ ".join(name for name in title.groups() if name)
        elif line.startswith("- "):
            yield heading, line.removeprefix("- ")
        elif line.startswith("   - "):
            yield heading, f"{flow}: {line.strip().removeprefix('- ')}"
        elif "→" in line:
            yield heading, f"{flow}: {line.strip()}"


def test_nothing_of_the_source_is_left_out() -> None:
    said = {(section.entity or "", row.says) for section in MODEL.sections for row in section.rows}
    entities = {section.entity for section in MODEL.sections}
    lines = list(source_lines())
    missing = [line for heading, line in lines if (heading if heading in entities else "", line) not in said]
    assert missing == []
    # so that a source which is not understood does not count as told
    assert len(lines) == 162


def test_every_value_of_the_source_is_there() -> None:
    source = (FOLDER / "source.md").read_text()
    told = [tuple(re.findall(r"'(\w+)'", values)) for values in re.findall(r"  - Values: (.+)", source)]
    ours = [row.values for row in MODEL.of_kind("attribute") if row.values and not row.says.startswith("DESIGN")]
    assert sorted(told) == sorted(ours)


def test_every_attribute_has_field_column_mutation_and_test() -> None:
    rows = MODEL.of_kind("attribute")
    assert [row.id for row in rows if not (row.fields and row.columns and row.mutations and row.tests)] == []


def test_every_relation_has_both_directions() -> None:
    assert [row.id for row in MODEL.of_kind("relation") if not (row.there and row.back and row.tests)] == []


def test_every_rule_has_its_three_tests_and_its_place_in_the_database() -> None:
    rules = MODEL.of_kind("rule")
    lacking = [row.id for row in rules for level in LEVELS if not (row.levels or {}).get(level)]
    assert lacking == []
    # what is computed when it is read can break no constraint
    assert [row.id for row in rules if not row.constraints] == ["workflow.rule.performance_metrics"]


def test_every_flow_and_promise_has_its_test_and_what_comes_later_its_theme() -> None:
    assert [row.id for row in (*MODEL.of_kind("flow"), *MODEL.of_kind("promise")) if not row.tests] == []
    assert [row.id for row in MODEL.of_kind("flow") if not (row.fields and row.mutations)] == []
    assert [row.id for row in MODEL.of_kind("later") if not row.theme] == []


def exists(schema: GraphQLSchema, coordinate: str) -> bool:
    type_name, field = coordinate.split(".")
    type_ = schema.type_map.get(type_name)
    return isinstance(type_, GraphQLObjectType) and (field == "*" or field in type_.fields)


def test_every_coordinate_exists(schema: GraphQLSchema) -> None:
    named = {coordinate for row in MODEL.rows for coordinate in row.coordinates}
    named |= {name for name in MODEL.unnamed if "." in name}
    named |= {section.machine.field for section in MODEL.sections if section.machine}
    assert [coordinate for coordinate in sorted(named) if not exists(schema, coordinate)] == []


def test_every_way_of_a_relation_leads_from_type_to_type(schema: GraphQLSchema) -> None:
    broken = []
    for row in MODEL.of_kind("relation"):
        for way in (row.there, row.back):
            ends = [reached(schema, coordinate) for coordinate in way[:-1]]
            starts = [coordinate.split(".")[0] for coordinate in way[1:]]
            broken += [row.id] if ends != starts else []
        if reached(schema, row.there[-1]) != row.back[0].split(".")[0]:
            broken.append(row.id)
    assert broken == []


def reached(schema: GraphQLSchema, coordinate: str) -> str:
    """The type of the entities at the other end of a field."""
    type_name, field = coordinate.split(".")
    owner: Any = schema.type_map[type_name]
    target: Any = get_named_type(owner.fields[field].type)
    return str(get_named_type(target.fields["nodes"].type).name if "nodes" in target.fields else target.name)


def test_every_column_exists() -> None:
    columns = {f"{table.name}.{column.name}" for table in metadata.sorted_tables for column in table.c}
    assert [name for row in MODEL.rows for name in row.columns if name not in columns] == []


def constraints() -> set[str]:
    """Every constraint by its name, `table.column NOT NULL` for those that have none, and the triggers."""
    found = {f"{t.name}.{c.name} NOT NULL" for t in metadata.sorted_tables for c in t.c if not c.nullable}
    for table in metadata.sorted_tables:
        found |= {str(constraint.name) for constraint in table.constraints if constraint.name}
        found |= {str(key.name or f"fk_{table.name}_{key.parent.name}") for key in table.foreign_keys}
        found |= {
            f"uq_{table.name}_{'_'.join(column.name for column in constraint.columns)}"
            for constraint in table.constraints
            if isinstance(constraint, UniqueConstraint)
        }
        found |= {f"pk_{table.name}"}
    migrations = "".join(path.read_text() for path in IN_MIGRATIONS.glob("*.py"))
    return found | set(re.findall(r"CREATE TRIGGER (\w+)", migrations))


def test_every_constraint_exists() -> None:
    known = constraints()
    assert [name for row in MODEL.of_kind("rule") for name in row.constraints if name not in known] == []


def test_every_check_of_an_entity_belongs_to_a_rule_or_an_enum() -> None:
    told = {name for row in MODEL.of_kind("rule") for name in row.constraints}
    of_enums = {f"ck_{t.name}_{c.name}" for t in metadata.sorted_tables for c in t.c if "enum" in c.info}
    checks = {
        str(constraint.name)
        for table in metadata.sorted_tables
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    assert sorted(checks - told - of_enums - set(OTHER_CHECKS)) == []
    assert sorted(set(OTHER_CHECKS) - checks) == []


OTHER_CHECKS = {
    "ck_agents_agent_name": "a name that is there is not blank",
    "ck_agent_messages_body": "a message says something",
    "ck_agent_messages_body_length": "a message is bounded",
    "ck_agent_messages_sent_by": "a message has a sender",
    "ck_api_tokens_agent_token_names_its_agent": "tokens are no part of the data model",
    "ck_api_tokens_token_name": "tokens are no part of the data model",
    "ck_decisions_outcome": "a decision has an outcome",
    "ck_installation_is_only": "which server the database lives on is no part of the data model",
    "ck_gate_reviewers_reviewed_at": "a review has its verdict and its time, or neither",
    "ck_gate_reviewers_reviewer": "a review has its reviewer",
    "ck_model_assignments_model_name": "a model has a name",
    "ck_quality_gates_automated_checks": "checks are a list",
    "ck_quality_gates_gate_name": "a gate has a name",
    "ck_resource_metrics_optimization_suggestions": "suggestions are a list",
    "ck_tasks_attempts": "counters count up",
    "ck_tasks_failures": "counters count up",
    "ck_tasks_escalated_with_a_reason": "who waits for a person says why",
    "ck_tasks_max_releases": "counters count up",
    "ck_tasks_priority": "one to nine",
    "ck_tasks_releases": "counters count up",
    "ck_tasks_timeout_seconds": "an attempt is bounded",
    "ck_tasks_title": "a task has a title",
    "ck_workflow_executions_child": "an execution is a part of another, or it is not",
    "ck_workflow_executions_depth": "workflows start workflows, not too deep",
    "ck_workflow_executions_concurrency": "the group of which so many run at once",
    "ck_workflow_executions_forked_from": "a fork knows the step that it began with",
    "ck_workflow_executions_queued_at": "only what has not begun waits for its turn",
    "ck_workflow_executions_scheduled_for": "a moment is a schedule's",
    "ck_workflow_schedules_interval_seconds": "schedules are no part of the data model",
    "ck_workflow_schedules_next_run_at": "schedules are no part of the data model",
    "ck_workflow_schedules_schedule_name": "schedules are no part of the data model",
    "ck_workflow_schedules_timing": "schedules are no part of the data model",
    "ck_workflow_executions_handled_seq": "the engine's queue",
    "ck_workflow_executions_lease": "the engine's lease",
    "ck_workflow_executions_triggered_by": "somebody started it",
    "ck_workflow_signals_sent_by": "somebody sent it",
    "ck_workflow_signals_taken": "a signal is taken by a step, at a time",
    "ck_workflow_steps_attempt": "counters count up",
    "ck_workflow_steps_completed_at": "a step ends after it starts",
    "ck_workflow_steps_ended": "a step that has ended has its time",
}
"""CHECKs that no rule of the data model asks for, and what they are for; tests/db/test_checks.py proves them too."""


def test_every_mutation_exists_and_is_in_a_row(schema: GraphQLSchema) -> None:
    assert schema.mutation_type is not None
    told = {name for row in MODEL.rows for name in row.mutations} | set(MODEL.unnamed_mutations)
    told |= {name for section in MODEL.sections for way in ways(section.machine) for name in way.mutations}
    assert told == set(schema.mutation_type.fields)


def ways(machine: Any) -> Any:
    return machine.transitions if machine else ()


def test_every_test_exists() -> None:
    computed = frozenset(row.id for row in MODEL.rows) | frozenset(table.name for table in metadata.sorted_tables)
    computed |= frozenset(MACHINES)
    faults = [
        f"{row.id}: {fault_of(node, computed)}"
        for row in MODEL.rows
        for node in row.all_tests
        if fault_of(node, computed)
    ]
    assert faults == []


def test_each_transition_has_its_cause() -> None:
    told = {section.machine.name: section.machine for section in MODEL.sections if section.machine}
    assert set(told) == set(MACHINES)
    for name, entity in MACHINES.items():
        machine: Any = entity.machine
        real = {(source.value, target.value) for source, targets in machine.transitions.items() for target in targets}
        assert {(way.source, way.target) for way in told[name].transitions} == real
        causeless = [way for way in told[name].transitions if not (way.mutations or way.engine or way.hub)]
        assert causeless == []


def test_every_field_of_every_type_is_in_a_row_or_has_its_reason(schema: GraphQLSchema) -> None:
    told = {name for row in MODEL.rows for name in row.coordinates} | set(MODEL.unnamed)
    missing = [
        f"{type_.name}.{field}"
        for type_ in object_types(schema)
        if f"{type_.name}.*" not in told and not is_machinery(type_.name)
        for field in type_.fields
        if f"{type_.name}.{field}" not in told and field not in MODEL.common
    ]
    assert missing == []


def object_types(schema: GraphQLSchema) -> Iterator[GraphQLObjectType]:
    for name, type_ in schema.type_map.items():
        if isinstance(type_, GraphQLObjectType) and not name.startswith("__") and name not in specified_scalar_types:
            yield type_


def is_machinery(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in MODEL.machinery)


def test_every_enum_is_in_a_row_or_has_its_reason_with_the_very_values(schema: GraphQLSchema) -> None:
    enums = {
        name: type_
        for name, type_ in schema.type_map.items()
        if isinstance(type_, GraphQLEnumType) and not name.startswith("__")
    }
    told = {row.enum: row for row in MODEL.of_kind("attribute") if row.enum}
    assert [name for name in enums if name not in told and name not in MODEL.unnamed and not is_machinery(name)] == []
    for name, row in told.items():
        assert [value.lower() for value in enums[str(name)].values] == list(row.values), name
        (column,) = row.columns
        table, _, field = column.partition(".")
        assert [value.value for value in metadata.tables[table].c[field].info["enum"]] == list(row.values), name


def test_no_reason_is_for_what_is_gone_or_told_anyway(schema: GraphQLSchema) -> None:
    told = {name for row in MODEL.rows for name in row.coordinates}
    assert [name for name in MODEL.unnamed if name in told] == []
    assert [name for name in MODEL.unnamed if "." not in name and name not in schema.type_map] == []
    patterns = [p for p in MODEL.machinery if not any(fnmatchcase(name, p) for name in schema.type_map)]
    assert patterns == []


def test_the_named_columns_are_indexed_wherever_they_link() -> None:
    """As the data model asks; the first column of an index or key serves a look-up."""
    unindexed = []
    for table in metadata.sorted_tables:
        keys = [next(iter(index.columns)).name for index in table.indexes]
        keys += [c.columns[0].name for c in table.constraints if isinstance(c, UniqueConstraint)]
        keys += [column.name for column in list(table.primary_key.columns)[:1]]
        unindexed += [f"{table.name}.{c.name}" for c in table.c if c.name in LINKING and c.name not in keys]
    # nobody looks for the tokens of an agent
    assert unindexed == ["api_tokens.agent_id"]
