"""What the JSON attributes may hold: one JSON Schema each, checked before anything is stored.

Every value is bounded in size and depth first (`bounded_json`); the schema then says which shape it has.
"""

from collections.abc import Mapping
from typing import Any, Final

import jsonschema_rs

from app.domain.errors import InvalidInput
from app.domain.model_assignments import Provider
from app.domain.rules import bounded_json

KEYS_MAX = 200
"""Keys of one section of an agent's report, also after merging."""
SHOWN = 200
"""Characters of a schema's complaint that are told."""

Schema = Mapping[str, Any]

_FIGURE: Schema = {
    "anyOf": [
        {"type": ["number", "boolean", "null"]},
        {"type": "string", "maxLength": 1_000},
        {"type": "array", "maxItems": 100, "items": {"type": ["number", "string", "boolean", "null"]}},
        {"type": "object", "maxProperties": 100},
    ]
}

FIGURES: Final[Schema] = {
    "title": "Figures that an agent reports of itself",
    "type": "object",
    "maxProperties": KEYS_MAX,
    "propertyNames": {"minLength": 1, "maxLength": 100},
    "additionalProperties": _FIGURE,
}
"""resource_utilization and performance_metrics: names to numbers, short texts or small groups of them."""

CONFIGURATION: Final[Schema] = {"title": "Configuration of an agent's extensions", "type": "object"}
CONTEXT: Final[Schema] = {"title": "What a workflow or a task is given", "type": "object"}
ANYTHING: Final[Schema] = {"title": "Any JSON value"}

AGENT_ASSIGNMENTS: Final[Schema] = {
    "title": "Which agent is given what",
    "type": "object",
    "maxProperties": 1_000,
    "propertyNames": {"minLength": 1, "maxLength": 200},
    "additionalProperties": {"type": ["string", "array", "object", "null"]},
}
"""An agent's id or a task's name, to what is assigned: a name, a list of names, or an object that says more."""

RESOURCE_OPTIMIZATION: Final[Schema] = {"title": "What was decided about resources", "type": "object"}

VALIDATION_CRITERIA: Final[Schema] = {
    "title": "What must hold for a gate to pass",
    "type": "object",
    "properties": {
        "verdict_by": {"enum": ["pm", "human", "quorum"]},
        "quorum": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 50}, {"const": "all"}, {"type": "null"}]},
        "allow_self_review": {"type": "boolean"},
        "allow_same_model_family": {"type": "boolean"},
        "phases": {
            "anyOf": [
                {"type": "array", "maxItems": 200, "items": {"type": "string", "minLength": 1, "maxLength": 60}},
                {"type": "null"},
            ]
        },
        "criteria": {
            "type": "array",
            "maxItems": 50,
            "items": {"type": "string", "minLength": 1, "maxLength": 1_000},
        },
        "timeout_seconds": {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 31_536_000},
        "escalate_to": {"type": ["string", "null"], "minLength": 1, "maxLength": 200},
        "reviewers": {"type": "array", "maxItems": 50, "items": {"type": "string", "minLength": 1, "maxLength": 200}},
        "min_score": {"type": ["number", "null"], "minimum": 0, "maximum": 10},
    },
}

AUTOMATED_CHECKS: Final[Schema] = {
    "title": "Checks on measured values",
    "type": "array",
    "maxItems": 200,
    "items": {
        "type": "object",
        "required": ["name", "measured", "passed"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 200},
            "measure": {"type": ["string", "null"], "maxLength": 200},
            "measured": {"type": ["number", "null"]},
            "at_most": {"type": ["number", "null"]},
            "at_least": {"type": ["number", "null"]},
            "passed": {"type": "boolean"},
            "criteria": {"type": ["string", "null"], "maxLength": 1_000},
            "command": {"type": ["string", "null"], "maxLength": 2_000},
            "task_id": {"type": ["string", "null"], "maxLength": 40},
            "skipped": {"type": "boolean"},
            "error": {"type": ["string", "null"], "maxLength": 1_000},
        },
    },
}

FALLBACK_CHAIN: Final[Schema] = {
    "title": "Models to be tried one after the other",
    "type": "array",
    "maxItems": 10,
    "items": {
        "type": "object",
        "required": ["provider_name", "model_name"],
        "properties": {
            "provider_name": {"enum": [provider.value for provider in Provider]},
            "model_name": {"type": "string", "minLength": 1, "maxLength": 200},
            "estimated_cost": {"type": ["string", "null"], "pattern": r"^\d{1,8}(\.\d{1,6})?$"},
        },
        "additionalProperties": False,
    },
}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "agents.resource_utilization": FIGURES,
    "agents.performance_metrics": FIGURES,
    "agents.extension_config": CONFIGURATION,
    "decisions.context_data": ANYTHING,
    "decisions.agent_assignments": AGENT_ASSIGNMENTS,
    "decisions.resource_optimization": RESOURCE_OPTIMIZATION,
    "decision_evidence.snapshot": ANYTHING,
    "tasks.input": CONTEXT,
    "tasks.result": ANYTHING,
    "workflow_executions.input_context": CONTEXT,
    "quality_gates.validation_criteria": VALIDATION_CRITERIA,
    "quality_gates.automated_checks": AUTOMATED_CHECKS,
    "model_assignments.fallback_chain": FALLBACK_CHAIN,
}
"""The schema of each JSON attribute, by table and column."""

_VALIDATORS = {id(schema): jsonschema_rs.validator_for(dict(schema)) for schema in SCHEMAS.values()}


def check_json(field: str, value: Any, schema: Schema) -> Any:
    """The value itself; `InvalidInput` when it is too large, too deep, or not what the schema says."""
    bounded_json(field, value)
    complaint = next(iter(_VALIDATORS[id(schema)].iter_errors(value)), None)
    if complaint is not None:
        place = ".".join([field, *map(str, complaint.instance_path)])
        raise InvalidInput(
            f"{place} does not fit its JSON Schema ({schema['title']}): {complaint.message[:SHOWN]}. "
            "Nothing was written.",
            f"input.{field}",
        )
    return value


def compile_schema(schema: Any) -> Any:
    """The validator of a schema that a user wrote: it fetches nothing, and its patterns match in linear time.

    Raises `jsonschema_rs.ValidationError` for what is no schema.
    """
    return jsonschema_rs.validator_for(schema, offline=True, pattern_options=jsonschema_rs.RegexOptions())


def misfit(value: Any, schema: Any, whole: str) -> tuple[str, str] | None:
    """Where a value does not fit a user's schema, as a path that begins with `whole`, and how; None when it fits."""
    complaint = next(iter(compile_schema(schema).iter_errors(value)), None)
    if complaint is None:
        return None
    return ".".join([whole, *map(str, complaint.instance_path)]), complaint.message[:SHOWN]
