"""The checks of the table bite: whatever is taken from the model, or is wrong in it, fails the check that is for it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from graphql_schema.schema import build_schema
from tests.data_model import test_model as checks
from tests.data_model.model import Model, Row, Section, load
from tests.data_model.page import render

MODEL = load()
SCHEMA = build_schema()._schema

Damage = Callable[[Model], Model]


def without(row_id: str) -> Damage:
    """A model from which a row was taken."""
    return changed(lambda rows: tuple(row for row in rows if row.id != row_id))


def with_(row_id: str, **values: Any) -> Damage:
    """A model in which a row says something else."""
    return changed(lambda rows: tuple(replace(row, **values) if row.id == row_id else row for row in rows))


def changed(change: Callable[[tuple[Row, ...]], tuple[Row, ...]]) -> Damage:
    def damage(model: Model) -> Model:
        return replace(model, sections=tuple(replace(part, rows=change(part.rows)) for part in model.sections))

    return damage


def unnamed_without(name: str) -> Damage:
    """A model that gives no reason for something of the API."""

    def damage(model: Model) -> Model:
        return replace(model, sections=tuple(_forget(section, name) for section in model.sections))

    return damage


def _forget(section: Section, name: str) -> Section:
    return replace(section, unnamed={key: why for key, why in section.unnamed.items() if key != name})


def without_a_way(model: Model) -> Model:
    """A model that lacks the last transition of a machine."""
    first, *others = model.sections
    sections = [_shorter(section) for section in others]
    return replace(model, sections=(first, *sections))


def _shorter(section: Section) -> Section:
    machine = section.machine
    return replace(section, machine=replace(machine, transitions=machine.transitions[:-1])) if machine else section


def without_a_cause(model: Model) -> Model:
    """A model in which nothing makes an entity go a way."""
    return replace(model, sections=tuple(_causeless(section) for section in model.sections))


def _causeless(section: Section) -> Section:
    machine = section.machine
    if machine is None:
        return section
    first = replace(machine.transitions[0], mutations=(), engine="", hub="")
    return replace(section, machine=replace(machine, transitions=(first, *machine.transitions[1:])))


NO_TEST = "tests/api/test_flows.py::test_that_nobody_wrote"
LEVELS: Mapping[str, tuple[str, ...]] = {"domain": (NO_TEST,), "service": (NO_TEST,)}

DAMAGES: Mapping[str, tuple[Damage, Callable[..., None]]] = {
    "an attribute": (without("gate.attribute.quality_score"), checks.test_nothing_of_the_source_is_left_out),
    "a relation": (without("metrics.relation.agent"), checks.test_nothing_of_the_source_is_left_out),
    "a rule": (without("metrics.rule.measurement_time"), checks.test_nothing_of_the_source_is_left_out),
    "a flow": (without("flow.quality_validation"), checks.test_nothing_of_the_source_is_left_out),
    "a promise": (without("state.agents.conflicts"), checks.test_nothing_of_the_source_is_left_out),
    "what comes later": (without("retention.errors"), checks.test_nothing_of_the_source_is_left_out),
    "a value": (with_("agent.attribute.status", values=("active",)), checks.test_every_value_of_the_source_is_there),
    "a value of the API": (
        with_("agent.attribute.status", values=("active",)),
        checks.test_every_enum_is_in_a_row_or_has_its_reason_with_the_very_values,
    ),
    "a field": (
        with_("gate.attribute.quality_score", fields=()),
        checks.test_every_attribute_has_field_column_mutation_and_test,
    ),
    "a direction": (with_("metrics.relation.agent", back=()), checks.test_every_relation_has_both_directions),
    "a level": (
        with_("metrics.rule.percentages", levels=LEVELS),
        checks.test_every_rule_has_its_three_tests_and_its_place_in_the_database,
    ),
    "a theme": (
        with_("retention.errors", theme=""),
        checks.test_every_flow_and_promise_has_its_test_and_what_comes_later_its_theme,
    ),
    "a coordinate that is none": (
        with_("gate.attribute.quality_score", fields=("QualityGateExecution.quality",)),
        checks.test_every_coordinate_exists,
    ),
    "a way that leads elsewhere": (
        with_("metrics.relation.agent", back=("WorkflowExecution.metrics",)),
        checks.test_every_way_of_a_relation_leads_from_type_to_type,
    ),
    "a column that is none": (
        with_("gate.attribute.quality_score", columns=("quality_gates.quality",)),
        checks.test_every_column_exists,
    ),
    "a constraint that is none": (
        with_("gate.rule.quality_score", constraints=("ck_quality_gates_quality",)),
        checks.test_every_constraint_exists,
    ),
    "a constraint of no rule": (
        without("gate.rule.quality_score"),
        checks.test_every_check_of_an_entity_belongs_to_a_rule_or_an_enum,
    ),
    "a test that is none": (with_("flow.quality_validation", tests=(NO_TEST,)), checks.test_every_test_exists),
    "a parameter that is none": (
        with_("flow.quality_validation", tests=("tests/unit/test_rules.py::test_range_refuses_beyond[no such]",)),
        checks.test_every_test_exists,
    ),
    "a mutation": (
        lambda model: replace(model, unnamed_mutations={}),
        checks.test_every_mutation_exists_and_is_in_a_row,
    ),
    "a mutation that is none": (
        with_("flow.quality_validation", mutations=("qualityGateForget",)),
        checks.test_every_mutation_exists_and_is_in_a_row,
    ),
    "a transition": (without_a_way, checks.test_each_transition_has_its_cause),
    "a cause": (without_a_cause, checks.test_each_transition_has_its_cause),
    "a field of the API": (
        unnamed_without("Task.requiredRole"),
        checks.test_every_field_of_every_type_is_in_a_row_or_has_its_reason,
    ),
    "an enum of the API": (
        unnamed_without("TaskKind"),
        checks.test_every_enum_is_in_a_row_or_has_its_reason_with_the_very_values,
    ),
    "a row twice": (
        changed(lambda rows: (*rows, *rows[:1])),
        checks.test_every_id_is_used_once,
    ),
    "the page": (with_("flow.quality_validation", says="Something else"), checks.test_the_page_is_made_of_the_model),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_missing_or_wrong_fails(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    damage, check = DAMAGES[name]
    damaged = damage(MODEL)
    assert render(damaged) != render(MODEL)
    arguments = {"schema": SCHEMA} if "schema" in check.__code__.co_varnames[: check.__code__.co_argcount] else {}
    check(**arguments)
    monkeypatch.setattr(checks, "MODEL", damaged)
    with pytest.raises(AssertionError):
        check(**arguments)


def test_every_check_is_damaged_once() -> None:
    every = {name for name in vars(checks) if name.startswith("test_")}
    damaged = {check.__name__ for _, check in DAMAGES.values()}
    assert every - damaged == {
        # these two are about reasons that are given in vain, and about the tables
        "test_no_reason_is_for_what_is_gone_or_told_anyway",
        "test_the_named_columns_are_indexed_wherever_they_link",
    }
