"""The commands that change something: carried out, refused, or only rehearsed."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.client.connection import HubClient
from app.client.operations import tasks
from tests.agent.hubs import RunningHub, new_agent_id, until
from tests.cli.commands import call, call_json, nodes, refusal, run_hub
from tests.cli.test_cli_reading import decide, register, start_task

pytestmark = pytest.mark.slow


@pytest.fixture
async def client(running_hub: RunningHub) -> AsyncIterator[HubClient]:
    async with running_hub.client() as client:
        yield client


def executions(running: RunningHub) -> list[dict[str, Any]]:
    return nodes(call_json(running, "workflow", "list", "--limit", "1000"))


def test_a_rehearsed_start_starts_nothing_and_tells_what_it_would(running_hub: RunningHub) -> None:
    before = executions(running_hub)
    told = call(running_hub, "workflow", "start", "feature-delivery", "--dry-run")
    assert told.splitlines()[0] == "A dry run: nothing was changed."
    assert told.splitlines()[2].split()[0::2] == ["WORKFLOW", "started", "1"]
    plan = call_json(running_hub, "workflow", "start", "feature-delivery", "--dry-run")
    assert (plan["userErrors"], plan["dryRun"]["wouldSucceed"], plan["dryRun"]["changeCount"]) == ([], True, 1)
    assert plan["dryRun"]["changes"][0]["toStatus"] == "PENDING"
    assert executions(running_hub) == before


def test_a_rehearsal_that_is_blocked_says_why_with_exit_code_1(running_hub: RunningHub) -> None:
    told = call(running_hub, "workflow", "start", "nothing-such", "--dry-run", code=1)
    assert "It would be refused (UNKNOWN_TEMPLATE): There is no workflow template 'nothing-such'" in told
    plan = json.loads(call(running_hub, "workflow", "start", "nothing-such", "--dry-run", "--json", code=1))
    assert [error["code"] for error in plan["userErrors"]] == ["UNKNOWN_TEMPLATE"]
    assert "UNKNOWN_TEMPLATE" not in refusal(running_hub, "workflow", "start", "nothing-such")


def test_a_workflow_is_cancelled_by_a_part_of_its_id(running_hub: RunningHub) -> None:
    execution = call_json(running_hub, "workflow", "start", "feature-delivery")["executionId"]
    others = [found["executionId"] for found in executions(running_hub) if found["executionId"] != execution]
    part = next(execution[:n] for n in range(1, 37) if not any(other.startswith(execution[:n]) for other in others))
    plan = call_json(running_hub, "workflow", "cancel", part, "--reason", "r", "--dry-run")["dryRun"]
    assert {change["toStatus"] for change in plan["changes"] if change["aggregate"] == "WORKFLOW"} == {"CANCELLED"}
    assert call_json(running_hub, "workflow", "cancel", part, "--reason", "r")["executionStatus"] == "CANCELLED"
    assert "cannot become CANCELLED" in refusal(running_hub, "workflow", "cancel", execution, "--reason", "r")


async def test_an_agent_is_taken_out_and_back(running_hub: RunningHub, client: HubClient) -> None:
    agent_id = new_agent_id()
    await register(client, agent_id)
    told = call(running_hub, "agents", "set-status", agent_id, "offline", "--dry-run")
    assert told.splitlines()[2].split() == ["AGENT", agent_id, "status_changed", "IDLE", "OFFLINE", "2"]
    assert call_json(running_hub, "agents", "show", agent_id)["status"] == "IDLE"
    said = call(running_hub, "agents", "set-status", agent_id, "offline", "--reason", "leave")
    assert said == f"{agent_id} is OFFLINE.\n"
    assert call_json(running_hub, "agents", "set-status", agent_id, "idle")["status"] == "IDLE"
    assert "BUSY" in refusal(running_hub, "agents", "set-status", agent_id, "busy")


def test_a_token_is_ended_by_a_part_of_its_id_and_rehearsed_before(running_hub: RunningHub) -> None:
    made = call_json(running_hub, "token", "create", "short-lived", "--role", "viewer")
    part = made["tokenId"][:-2]
    told = call(running_hub, "token", "revoke", part, "--dry-run")
    assert told.splitlines()[2].split()[:3] == ["API_TOKEN", made["tokenId"], "revoked"]
    assert call_json(running_hub, "token", "revoke", part)["revokedAt"] is not None
    assert "--dry-run" in call(running_hub, "token", "create", "x", "--role", "viewer", "--dry-run", code=2)


async def steered(running: RunningHub, *arguments: str, **given: str) -> dict[str, Any]:
    """What a command made of the execution, tried again where the engine was faster."""
    found: dict[str, Any] = {}

    async def done() -> bool:
        result = run_hub(running.folder, "workflow", *arguments, "--json", HUB_URL=running.url, **given)
        if result.returncode == 0:
            found.update(json.loads(result.stdout))
        else:
            assert "you expected" in result.stderr, result
        return bool(found)

    await until(done)
    return found


async def test_a_workflow_is_paused_resumed_failed_and_retried(running_hub: RunningHub) -> None:
    execution = call_json(running_hub, "workflow", "start", "feature-delivery")["executionId"]

    async def asks() -> bool:
        return bool(nodes(call_json(running_hub, "tasks", "--execution", execution)))

    await until(asks)
    plan = call_json(running_hub, "workflow", "pause", execution, "--dry-run")["dryRun"]
    assert [change["eventType"] for change in plan["changes"]] == ["paused"]
    assert (await steered(running_hub, "pause", execution, "--reason", "lunch"))["executionStatus"] == "PAUSED"
    assert "cannot become PAUSED" in refusal(running_hub, "workflow", "pause", execution)
    (task,) = nodes(call_json(running_hub, "tasks", "--execution", execution))
    assert f"its workflow {execution}, which is PAUSED" in call(running_hub, "tasks", "show", task["taskId"])
    blocked = call(running_hub, "workflow", "retry", execution, "--dry-run", code=1)
    assert "It would be refused (ILLEGAL_TRANSITION)" in blocked
    assert (await steered(running_hub, "resume", execution))["executionStatus"] == "RUNNING"
    assert (await steered(running_hub, "fail", execution, "--reason", "no use"))["executionStatus"] == "FAILED"
    assert (await steered(running_hub, "retry", execution))["executionStatus"] == "RUNNING"
    assert call(running_hub, "workflow", "fail", execution, code=2) != ""


async def test_a_workflow_is_forked_and_a_phase_skipped(running_hub: RunningHub) -> None:
    execution = call_json(running_hub, "workflow", "start", "feature-delivery")["executionId"]

    async def asks() -> bool:
        return bool(nodes(call_json(running_hub, "tasks", "--execution", execution)))

    await until(asks)
    fork = call_json(running_hub, "workflow", "fork", execution[:-2], "--step", "1", "--input", "request=other")
    assert fork["executionId"] != execution
    assert "has no step 9" in refusal(running_hub, "workflow", "fork", execution, "--step", "9")
    skipped = await steered(running_hub, "skip", execution, "--reason", "not needed")
    assert skipped["executionStatus"] == "RUNNING"
    for each in (execution, fork["executionId"]):
        await steered(running_hub, "cancel", each, "--reason", "enough")


def test_a_schedule_is_made_steered_and_deleted(running_hub: RunningHub) -> None:
    given = ("nightly", "feature-delivery", "--cron", "0 7 * * MON-FRI", "--zone", "Europe/Berlin")
    assert "timeZone" in refusal(running_hub, "schedule", "create", *given[:4], "--zone", "Atlantis")
    schedule = call_json(running_hub, "schedule", "create", *given)["scheduleId"]
    (listed,) = nodes(call_json(running_hub, "schedule", "list"))
    assert (listed["scheduleId"], listed["scheduleStatus"], listed["lastRunAt"]) == (schedule, "ACTIVE", None)
    assert "0 7 * * MON-FRI" in call(running_hub, "schedule", "list")
    started = call_json(running_hub, "schedule", "trigger", schedule[:-2])["executionId"]
    assert call_json(running_hub, "workflow", "cancel", started, "--reason", "r", "--dry-run")["dryRun"]["wouldSucceed"]
    assert call(running_hub, "schedule", "pause", schedule) == f"nightly {schedule} is PAUSED.\n"
    assert call(running_hub, "schedule", "resume", schedule).startswith(f"nightly {schedule} is ACTIVE, next at ")
    assert call_json(running_hub, "schedule", "delete", schedule)["scheduleStatus"] == "DELETED"
    assert nodes(call_json(running_hub, "schedule", "list")) == []


async def test_a_failed_task_is_retried_and_cancelled(running_hub: RunningHub, client: HubClient) -> None:
    agent_id = new_agent_id()
    await register(client, agent_id)
    task_id = await start_task(client, agent_id, title="Hard")
    version = call_json(running_hub, "tasks", "show", task_id)["version"]
    await client.mutate(tasks.FAIL, {"taskId": task_id, "expectedVersion": version, "reason": "too hard"})
    plan = call_json(running_hub, "tasks", "retry", task_id, "--dry-run")["dryRun"]["changes"]
    assert [(change["fromStatus"], change["toStatus"]) for change in plan if change["entityId"] == task_id] == [
        ("FAILED", "PENDING")
    ]
    assert call(running_hub, "tasks", "retry", task_id) == f"Hard ({task_id}) is PENDING.\n"
    assert "--reason" in call(running_hub, "tasks", "cancel", task_id, code=2)
    assert call_json(running_hub, "tasks", "cancel", task_id, "--reason", "enough")["status"] == "CANCELLED"
    assert "it is final" in refusal(running_hub, "tasks", "retry", task_id)


async def test_a_message_is_sent_by_an_agent_or_by_a_person(running_hub: RunningHub, client: HubClient) -> None:
    sender, receiver = new_agent_id(), new_agent_id()
    await register(client, sender)
    await register(client, receiver)
    assert call(running_hub, "agents", "message", "Hello [you]", "--to", receiver[:-1]) == f"Sent to {receiver}.\n"
    sent = call_json(running_hub, "agents", "message", "Mine", "--from", sender, "--to", receiver)
    assert (sent["fromAgentId"], sent["toAgentId"], sent["body"]) == (sender, receiver, "Mine")
    assert call(running_hub, "agents", "message", "All", "--dry-run").splitlines()[2].split()[0] == "AGENT"
    shown = call(running_hub, "agents", "show", receiver).partition("Messages")[2].splitlines()[2:]
    assert [line.split()[2:] for line in shown] == [[sender, receiver, "Mine"], ["admin", receiver, "Hello", "[you]"]]


async def test_notes_of_a_decision_are_kept_and_secrets_in_them_are_not(
    running_hub: RunningHub, client: HubClient
) -> None:
    decision_id = await decide(client, "Something")
    noted = call_json(running_hub, "decision", "annotate", decision_id, "Ask earlier.")
    assert noted["learningNotes"] == "Ask earlier."
    secret = "ghp_" + "a1B2" * 9
    done = run_hub(running_hub.folder, "decision", "annotate", decision_id, f"Use {secret}", HUB_URL=running_hub.url)
    assert (done.returncode, done.stdout) == (0, f"The notes of {decision_id} are kept.\n")
    assert done.stderr == "Taken for a secret, and replaced before it was stored: input.learningNotes.\n"
    assert secret not in call_json(running_hub, "decision", "show", decision_id)["learningNotes"]


TEMPLATE = """name: from-a-file
description: Waits for a signal.
phases:
  - {name: hold, kind: wait, signal: go}
"""


def test_a_template_is_validated_registered_shown_and_signalled(running_hub: RunningHub, tmp_path: Path) -> None:
    file = tmp_path / "template.yaml"
    file.write_text(TEMPLATE + "  - {name: way, kind: branch, cases: [{when: 'context.x >', next: end}]}\n")
    told = call(running_hub, "template", "validate", str(file), code=1)
    assert told.startswith(f"{file}:5: phases.1.cases.0.when: is no CEL expression: Syntax error:")
    assert "was refused" not in refusal(running_hub, "template", "register", str(file))
    file.write_text(TEMPLATE)
    assert call(running_hub, "template", "validate", str(file)) == f"{file} can be registered.\n"
    assert call(running_hub, "template", "register", str(file)) == "from-a-file is at version 1.\n"
    shown = call(running_hub, "template", "show", "from-a-file").splitlines()
    assert shown[1:] == ["Waits for a signal.", "  1. hold (wait)"]
    assert call(running_hub, "template", "show", "from-a-file", "--mermaid").startswith("flowchart TD\n")
    assert "no workflow template 'absent'" in refusal(running_hub, "template", "show", "absent")
    execution = call_json(running_hub, "workflow", "start", "from-a-file")["executionId"]
    assert execution in call(running_hub, "workflow", "signal", execution, "go", "--payload", '{"ok": true}')
    assert "awaits no signal 'stop'" in refusal(running_hub, "workflow", "signal", execution, "stop")
