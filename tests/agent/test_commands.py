"""The client commands: their arguments, their exit codes without a hub, and how they print."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from app.client.commands import gates, tokens, workflows
from app.client.options import ClientOptions
from app.client.output import check_text, number
from app.client.progress import ProgressLines

NOWHERE = "http://127.0.0.1:9"


def invoke(app: typer.Typer, *arguments: str, token: str | None = "t") -> Any:  # noqa: S107
    return CliRunner().invoke(app, arguments, obj=ClientOptions(NOWHERE, token))


@pytest.mark.parametrize(
    ("app", "arguments"),
    [
        (tokens.app, ("create", "ci", "--role", "viewer")),
        (tokens.app, ("list",)),
        (tokens.app, ("revoke", "0190c0de-0000-7000-8000-000000000001")),
        (workflows.app, ("start", "code-audit")),
        (workflows.app, ("watch", "0190c0de-0000-7000-8000-000000000001")),
        (workflows.app, ("list", "--json")),
        (gates.app, ("list",)),
        (gates.app, ("approve", "0190", "--reason", "good")),
        (gates.app, ("reject", "0190", "--reason", "bad", "--confidence", "3")),
        (gates.app, ("revise", "0190", "--reason", "again", "--score", "4.5")),
    ],
)
def test_without_a_hub_every_command_says_so_with_exit_code_3(app: typer.Typer, arguments: tuple[str, ...]) -> None:
    result = invoke(app, *arguments)
    assert result.exit_code == 3
    assert f"No hub answers at {NOWHERE}. Start one with `make up` or `hub up`." in result.stderr.replace("\n", " ")
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("app", "arguments"),
    [
        (tokens.app, ("create", "ci")),
        (tokens.app, ("create", "ci", "--role", "king")),
        (tokens.app, ("create", "ci", "--role", "viewer", "--expires", "soon")),
        (workflows.app, ("start",)),
        (workflows.app, ("start", "x", "--input", "novalue")),
        (workflows.app, ("start", "x", "--input-json", "[1]")),
        (workflows.app, ("start", "x", "--input-json", "{")),
        (gates.app, ("approve", "0190")),
        (gates.app, ("approve", "0190", "--reason", "r", "--confidence", "11")),
        (gates.app, ("approve", "0190", "--reason", "r", "--score", "11")),
    ],
)
def test_a_wrong_use_is_exit_code_2(app: typer.Typer, arguments: tuple[str, ...]) -> None:
    assert invoke(app, *arguments).exit_code == 2


def test_without_a_token_the_user_is_told_where_one_comes_from() -> None:
    result = invoke(tokens.app, "list", token=None)
    assert result.exit_code == 2
    assert "HUB_TOKEN" in result.stderr


def test_input_pairs_are_json_where_they_can_be() -> None:
    given = workflows.given_input(["a=1", "b=text", "c=[1, 2]", "d=x=y", 'e="1"'], '{"a": 0, "z": true}')
    assert given == {"a": 1, "z": True, "b": "text", "c": [1, 2], "d": "x=y", "e": "1"}


@pytest.mark.parametrize(
    ("text", "span"), [("30m", timedelta(minutes=30)), ("12h", timedelta(hours=12)), ("90d", timedelta(days=90))]
)
def test_a_lifetime_is_read(text: str, span: timedelta) -> None:
    assert tokens._lifetime(text) == span


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (
            {"name": "n", "measured": 3, "at_most": 10, "at_least": None, "passed": True},
            "n 3 (at most 10) passed",
        ),
        (
            {"name": "n", "measured": 1234.5, "at_most": 9, "at_least": 1, "passed": False},
            "n 1,234.5 (at most 9 and at least 1) failed",
        ),
        (
            {"name": "n", "measured": None, "at_most": None, "at_least": 1, "passed": False},
            "n not measured (at least 1) failed",
        ),
    ],
)
def test_a_check_is_told_with_its_thresholds(check: Mapping[str, Any], text: str) -> None:
    assert check_text(check) == text


def test_numbers_have_no_needless_decimals() -> None:
    assert [number(value) for value in (0, 10.0, 7.25, 1_000_000)] == ["0", "10", "7.25", "1,000,000"]


def state(**changes: Any) -> dict[str, Any]:
    task = {"taskId": "t", "title": "Lint", "status": "PENDING", "assignedAgent": None}
    return {
        "workflowName": "code-audit",
        "executionStatus": "RUNNING",
        "executionPath": {"nodes": [{"stepNumber": 1, "phase": "decide", "stepStatus": "RUNNING"}]},
        "tasks": {"nodes": [task | changes]},
        "qualityGates": {"nodes": []},
        "errorLog": {"nodes": []},
    }


def test_progress_tells_each_change_once() -> None:
    lines = ProgressLines()
    assert lines.since_last(state()) == ["code-audit RUNNING", "phase decide RUNNING", "  task Lint PENDING"]
    assert lines.since_last(state()) == []
    assert lines.since_last(state(status="RUNNING", assignedAgent={"agentId": "lena-lint"})) == [
        "  task Lint RUNNING by lena-lint"
    ]


def test_a_tasks_own_words_are_told_and_nothing_else() -> None:
    lines = ProgressLines()
    change = {"eventType": "progressed", "task": {"title": "Lint"}, "detail": {"message": "40 %"}}
    assert lines.of_change(change) == "  Lint: 40 %"
    assert lines.of_change({**change, "eventType": "started"}) is None
    assert lines.of_change({"eventType": "step_started", "execution": {}, "detail": {}}) is None
    assert json.dumps(change)
