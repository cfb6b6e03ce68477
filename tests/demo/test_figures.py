"""The demo's figures are taken from one reply, nothing added."""

import io
from typing import Any

from rich.console import Console

from app.demo.figures import figures_of
from app.demo.session import approve_command
from app.demo.show import Progress, print_figures

CHECK = {"name": "linter findings", "measured": 3, "at_most": 10, "at_least": None, "passed": True}
RUFF = {"tool": "ruff", "findings": 3, "files": 2, "by_rule": {"F401": 3}}


def task(number: int, agent: str, result: Any, *, seconds: int = 2) -> dict[str, Any]:
    return {
        "taskId": f"0{number}",
        "taskKind": "WORK",
        "taskName": f"t{number}",
        "title": f"Task {number}",
        "phase": "audits",
        "status": "COMPLETED",
        "attempts": 1,
        "result": result,
        "startedAt": "2026-11-22T19:00:00.250000Z",
        "completedAt": f"2026-11-22T19:00:0{seconds}.750000+00:00",
        "assignedAgent": {"agentId": agent, "agentRole": "QA"},
    }


def metric(agent: str | None, cpu: str | None, memory: str | None) -> dict[str, Any]:
    return {
        "metricId": "m",
        "measurementTime": "2026-11-22T19:00:00Z",
        "cpuUsage": cpu,
        "memoryUsage": memory,
        "agent": {"agentId": agent} if agent else None,
    }


def gate(number: int, kind: str, status: str) -> dict[str, Any]:
    return {
        "gateId": f"0{number}",
        "gateName": f"Gate {number}",
        "gateType": kind,
        "approvalStatus": status,
        "qualityScore": "8.5" if number == 1 else None,
        "automatedChecks": [CHECK] if number == 1 else [],
        "pmDecision": "Fine.",
        "createdAt": "2026-11-22T19:00:00Z",
        "approvedAt": "2026-11-22T19:00:09Z",
        "decision": {"decisionId": "d", "decidedBy": "john-pm", "confidenceScore": 9},
    }


REPLY = {
    "executionId": "e",
    "workflowName": "code-audit",
    "executionStatus": "COMPLETED",
    "triggeredBy": "admin",
    "inputContext": {"path": "/tree"},
    "createdAt": "2026-11-22T19:00:00Z",
    "startedAt": "2026-11-22T19:00:00Z",
    "completedAt": "2026-11-22T19:00:09.5Z",
    "decisions": {
        "nodes": [
            {
                "decisionId": "02",
                "decisionType": "QUALITY_GATE",
                "outcome": "approve: Fine.",
                "confidenceScore": 9,
                "decidedBy": "john-pm",
                "reasoningProcess": "1.",
                "createdAt": "2026-11-22T19:00:08Z",
            }
        ]
    },
    "tasks": {"nodes": [task(2, "sam-size", {"text": "x"}, seconds=3), task(1, "lena-lint", RUFF)]},
    "qualityGates": {"nodes": [gate(2, "FINAL_APPROVAL", "APPROVED"), gate(1, "TECHNICAL_REVIEW", "APPROVED")]},
    "metrics": {
        "nodes": [
            metric("lena-lint", "10.00", "80.5"),
            metric("lena-lint", "20.01", "99.125"),
            metric("lena-lint", None, None),
            metric(None, "99", "9999"),
        ],
        "pageInfo": {"hasNextPage": False},
    },
    "modelAssignments": {"nodes": []},
    "errorLog": {"nodes": []},
}


def test_the_figures_are_those_of_the_reply() -> None:
    figures = figures_of(REPLY)
    assert figures["execution"] == {"id": "e", "workflow": "code-audit", "status": "COMPLETED", "seconds": 9.5}
    assert figures["findings"] == {"ruff": RUFF}
    assert [(one["title"], one["agent"], one["seconds"]) for one in figures["tasks"]] == [
        ("Task 1", "lena-lint", 2.5),
        ("Task 2", "sam-size", 3.5),
    ]
    assert figures["agents"] == [
        {
            "agent": "lena-lint",
            "tasks": 1,
            "measurements": 3,
            "cpu_percent_mean": 15.01,
            "cpu_percent_max": 20.01,
            "memory_mb_max": 99.125,
        },
        {
            "agent": "sam-size",
            "tasks": 1,
            "measurements": 0,
            "cpu_percent_mean": None,
            "cpu_percent_max": None,
            "memory_mb_max": None,
        },
    ]
    assert [(one["name"], one["checks"], one["quality_score"], one["confidence"]) for one in figures["gates"]] == [
        ("Gate 1", [CHECK], 8.5, 9),
        ("Gate 2", [], None, 9),
    ]
    assert (figures["verdict"], figures["model_assignments"], figures["all_measurements"]) == ("APPROVED", 0, True)


def test_people_get_every_figure() -> None:
    written = io.StringIO()
    print_figures(Console(file=written, width=200), figures_of(REPLY))
    text = written.getvalue()
    for part in (
        "Execution e COMPLETED after 9.5 s",
        "ruff: 3 findings in 2 files (F401 3)",
        "Gate Gate 1 APPROVED, quality 8.5 of 10",
        "linter findings 3 (at most 10) passed",
        "john-pm, confidence 9 of 10: approve: Fine.",
        "Model assignments: 0",
        "Verdict: APPROVED",
        "15.0 %",
        "99.1 MB",
        "2.5 s",
    ):
        assert part in text


def test_the_approval_command_names_the_hub_only_where_it_must() -> None:
    assert approve_command("http://127.0.0.1:8000", "g") == 'hub gate approve g --reason "I have read the report"'
    assert approve_command("http://127.0.0.1:9001", "g") == (
        'HUB_URL=http://127.0.0.1:9001 hub gate approve g --reason "I have read the report"'
    )


STATE = {
    "workflowName": "code-audit",
    "executionStatus": "RUNNING",
    "executionPath": {"nodes": []},
    "tasks": {
        "nodes": [
            {
                "taskId": "t",
                "title": "Lint",
                "phase": "audits",
                "status": "RUNNING",
                "assignedAgent": {"agentId": "lena-lint"},
            }
        ]
    },
    "qualityGates": {"nodes": []},
    "errorLog": {"nodes": []},
}
CHANGE = {"eventType": "progressed", "task": {"taskId": "t", "title": "Lint"}, "detail": {"message": "[40 %]"}}


def test_progress_is_lines_where_there_is_no_terminal_and_a_table_where_there_is() -> None:
    plain, drawn = io.StringIO(), io.StringIO()
    for written, terminal in ((plain, False), (drawn, True)):
        with Progress(Console(file=written, width=120, force_terminal=terminal)) as progress:
            progress.show(STATE)
            progress.hear(CHANGE)
            progress.show(STATE)
    assert plain.getvalue() == "code-audit RUNNING\n  task Lint RUNNING by lena-lint\n  Lint: [40 %]\n"
    assert "lena-lint" in drawn.getvalue()
    assert "[40 %]" in drawn.getvalue()
