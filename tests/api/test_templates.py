"""Templates and signals over GraphQL: registered as versions, validated with the place of each fault, drawn."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, insert

from app.domain.ids import new_id
from app.domain.principals import Role
from app.services.workflows import StartWorkflow, start_workflow
from db.session import Database
from db.tables.workflows import workflow_steps
from tests.api.conftest import Client, MakeClient
from tests.services.makers import ADMIN, run

SPEC: dict[str, Any] = {
    "name": "release",
    "description": "Releases it.",
    "input_schema": {"type": "object", "required": ["tag"], "properties": {"tag": {"type": "string"}}},
    "phases": [
        {"name": "hold", "kind": "wait", "signal": "go", "schema": {"type": "boolean"}},
        {
            "name": "which-way",
            "kind": "branch",
            "cases": [{"when": 'context.tag == "<b>"', "next": "end"}],
            "on_failure": "ship-it",
        },
        {"name": "ship-it", "kind": "task", "task": {"name": "ship", "title": "Ship it"}},
    ],
    "output": {"went": "results.hold"},
}
YAML = """name: release
description: Releases it.
phases:
  - name: hold
    kind: wait
    signal: go
  - name: which-way
    kind: branch
    cases:
      - when: results.hold.ok >
        next: end
      - when: results.later.ok
        next: nowhere
  - {name: last, kind: loop, back_to: hold, max_rounds: 0, until: "1"}
"""
TEMPLATE = "template { templateName templateVersion registeredBy inputSchema outputSchema spec mermaid }"
FAULTS = "valid faults { path line message hint } mermaid"


async def register(client: Client, spec: Any = None, **given: Any) -> dict[str, Any]:
    source = {"spec": spec} if spec is not None else {}
    return await client.do("workflowTemplateRegister", TEMPLATE, **source, **given)


async def test_a_template_becomes_a_version_only_when_it_differs(admin: Client) -> None:
    first = (await register(admin, SPEC))["template"]
    assert (first["templateName"], first["templateVersion"], first["registeredBy"]) == ("release", 1, "admin")
    assert (first["inputSchema"], first["outputSchema"]) == (SPEC["input_schema"], None)
    assert [phase["name"] for phase in first["spec"]["phases"]] == ["hold", "which-way", "ship-it"]
    assert (await register(admin, SPEC))["template"]["templateVersion"] == 1
    # what was stored reads back as the same template
    assert (await register(admin, first["spec"]))["template"]["templateVersion"] == 1
    changed = await register(admin, {**SPEC, "description": "Releases it at once."})
    assert changed["template"]["templateVersion"] == 2
    data = await admin.ask(
        '{ workflowTemplates(filter: {templateName: {eq: "release"}}) { nodes { templateVersion '
        "versions { totalCount nodes { templateVersion description } } } } }"
    )
    (newest,) = data["workflowTemplates"]["nodes"]
    assert newest == {
        "templateVersion": 2,
        "versions": {
            "totalCount": 2,
            "nodes": [
                {"templateVersion": 2, "description": "Releases it at once."},
                {"templateVersion": 1, "description": "Releases it."},
            ],
        },
    }


async def test_many_at_once_make_one_version(admin: Client) -> None:
    answers = await asyncio.gather(*[register(admin, SPEC) for _ in range(5)])
    assert [answer["template"]["templateVersion"] for answer in answers] == [1] * 5


async def test_a_dry_run_and_a_faulty_one_store_nothing(admin: Client) -> None:
    tried = await register(admin, SPEC, dryRun=True)
    assert (tried["template"], tried["userErrors"]) == (None, [])
    refused = await register(admin, {**SPEC, "phases": []})
    assert [(error["code"], error["field"]) for error in refused["userErrors"]] == [("INVALID_INPUT", "input.spec")]
    assert refused["userErrors"][0]["message"] == (
        "This is not a workflow template. Nothing was written: phases: Tuple should have at least 1 item after "
        "validation, not 0"
    )
    both = await register(admin, SPEC, yaml=YAML)
    assert both["userErrors"][0]["message"] == "Give spec or yaml, one of them. Nothing was written."
    assert (await admin.ask("{ workflowTemplates { totalCount } }"))["workflowTemplates"]["totalCount"] == 0


async def test_every_fault_is_told_with_its_line_and_a_hint(admin: Client) -> None:
    found = await admin.do("workflowTemplateValidate", FAULTS, yaml=YAML)
    assert (found["valid"], found["mermaid"], found["userErrors"]) == (False, None, [])
    assert [(fault["path"], fault["line"]) for fault in found["faults"]] == [
        ("phases.1.cases.0.when", 10),
        ("phases.2.until", 14),
        ("phases.2.max_rounds", 14),
    ]
    first, last, _ = found["faults"]
    assert first["message"].startswith("is no CEL expression: Syntax error: mismatched input '<EOF>'")
    assert first["hint"] == 'such as: results.test.failed > 0 && context.kind == "release"'
    assert (last["message"], last["hint"]) == ("gives int, and not true or false", "compare or convert it")


@pytest.mark.parametrize(
    ("yaml", "fault"),
    [
        ("a: [", (None, 2, "did not find expected node content", "")),
        ("a: 1\na: 2", ("", 2, "'a' is given twice", "keep one")),
        (
            "name: x\npassword: hunter2hunter2",
            ("", 2, "held what looks like a secret, which was removed", "write where it is kept instead, such as "
             "env:NAME"),
        ),
    ],
)  # fmt: skip
async def test_what_is_no_template_at_all_is_a_fault_too(admin: Client, yaml: str, fault: tuple[Any, ...]) -> None:
    found = await admin.do("workflowTemplateValidate", FAULTS, yaml=yaml)
    (only,) = found["faults"]
    assert (only["path"] if fault[0] is not None else None, only["line"], only["message"], only["hint"]) == fault
    tried = await admin.do("workflowTemplateValidate", FAULTS, yaml=yaml, dryRun=True)
    assert tried["faults"] == found["faults"]


MERMAID = """flowchart TD
  start_(("start"))
  end_(("end"))
  p_hold(["hold"])
  p_which_way{"which-way"}
  p_ship_it["ship-it"]
  start_ --> p_hold
  p_hold --> p_which_way
  p_which_way -->|"context.tag == #quot;#lt;b#gt;#quot;"| end_
  p_which_way -->|"otherwise"| p_ship_it
  p_which_way -.->|"failure"| p_ship_it
  p_ship_it --> end_
  classDef running fill:#fff3cd,stroke:#b58105
  classDef completed fill:#d1e7dd,stroke:#0f5132
  classDef failed fill:#f8d7da,stroke:#842029
"""


async def test_a_template_and_an_execution_are_drawn(admin: Client, database: Database) -> None:
    assert (await register(admin, SPEC))["template"]["mermaid"] == MERMAID
    found = await admin.do("workflowTemplateValidate", FAULTS, spec=SPEC)
    assert found == {"valid": True, "faults": [], "mermaid": MERMAID, "userErrors": []}
    row = await run(database, start_workflow, ADMIN, StartWorkflow("release", {"tag": "v1"}))
    asked = f'{{ workflow(executionId: "{row.execution_id}") {{ mermaid output parent {{ executionId }} }} }}'
    assert (await admin.ask(asked))["workflow"] == {"mermaid": MERMAID, "output": None, "parent": None}
    for number, phase, attempt, status in (
        (1, "hold", 1, "failed"),
        (2, "hold", 2, "completed"),
        (3, "which-way", 1, "running"),
    ):
        step = insert(workflow_steps).values(
            step_id=new_id(),
            execution_id=row.execution_id,
            step_number=number,
            phase=phase,
            attempt=attempt,
            step_status=status,
            started_at=func.clock_timestamp(),
            completed_at=None if status == "running" else func.clock_timestamp(),
        )
        await database.transact(lambda session: session.execute(step))  # noqa: B023
    drawn = (await replace(admin, cached=False).ask(asked))["workflow"]["mermaid"]
    assert drawn == f"{MERMAID}  class p_hold completed\n  class p_which_way running\n"


async def test_an_input_that_does_not_fit_is_refused_with_its_place(admin: Client) -> None:
    await register(admin, SPEC)
    given: dict[str, Any]
    for given, field, said in (
        ({}, "input.inputContext", 'inputContext does not fit the input schema of this workflow: "tag" is a required'),
        ({"tag": 1}, "input.inputContext.tag", "inputContext.tag does not fit the input schema of this workflow: 1 is"),
    ):
        answer = await admin.do("workflowStart", workflowName="release", inputContext=given)
        (error,) = answer["userErrors"]
        assert (error["code"], error["field"]) == ("INVALID_INPUT", field)
        assert error["message"].startswith(said)
    assert (await admin.ask("{ workflows { totalCount } }"))["workflows"]["totalCount"] == 0


async def test_a_signal_is_kept_once_and_checked(admin: Client) -> None:
    await register(admin, SPEC)
    started = await admin.do(
        "workflowStart", "workflow { executionId }", workflowName="release", inputContext={"tag": "a"}
    )
    given = {"executionId": started["workflow"]["executionId"], "name": "go"}
    for _ in range(2):
        sent = await admin.do("workflowSignal", "workflow { version }", **given, payload=True, key="k")
        assert (sent["userErrors"], sent["workflow"]["version"]) == ([], 1)
    other = await admin.do("workflowSignal", **given, payload=False, key="k")
    assert [error["code"] for error in other["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]
    wrong = await admin.do("workflowSignal", **given, payload="yes")
    assert [error["field"] for error in wrong["userErrors"]] == ["input.payload"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.REVIEWER])
async def test_who_may_not(client_for: MakeClient, role: Role) -> None:
    client = await client_for(role)
    for answer in (await register(client, SPEC), await client.do("workflowTemplateValidate", FAULTS, spec=SPEC)):
        assert [error["code"] for error in answer["userErrors"]] == ["FORBIDDEN"]
