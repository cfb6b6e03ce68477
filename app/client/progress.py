"""The progress of an execution as lines: what changed from one state to the next."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.client.output import checks_text
from app.client.watching import State


class ProgressLines:
    """Remembers what it has told; each call tells only what is new."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def since_last(self, state: State) -> list[str]:
        """Lines on all that changed, in the order of execution, phases, tasks, gates, errors."""
        return [line for key, status, line in _facts(state) if self._is_new(key, status)]

    def of_change(self, change: Mapping[str, Any]) -> str | None:
        """A line on a task's progress, which is in no state; None for other changes."""
        task = change.get("task")
        if change["eventType"] != "progressed" or task is None:
            return None
        return f"  {task['title']}: {change['detail'].get('message', '')}"

    def _is_new(self, key: str, status: str) -> bool:
        before = self._told.get(key)
        self._told[key] = status
        return before != status


def _facts(state: State) -> Iterator[tuple[str, str, str]]:
    """What can be told: what it is about, its status, and the line that tells it."""
    status = state["executionStatus"]
    yield "execution", status, f"{state['workflowName']} {status}"
    for step in state["executionPath"]["nodes"]:
        yield f"step {step['stepNumber']}", step["stepStatus"], f"phase {step['phase']} {step['stepStatus']}"
    for task in state["tasks"]["nodes"]:
        by = f" by {task['assignedAgent']['agentId']}" if task["assignedAgent"] else ""
        yield task["taskId"], f"{task['status']}{by}", f"  task {task['title']} {task['status']}{by}"
    for gate in state["qualityGates"]["nodes"]:
        checks = checks_text(gate["automatedChecks"]) if gate["approvalStatus"] == "IN_REVIEW" else ""
        verdict = gate["pmDecision"] or checks
        line = f"  gate {gate['gateName']} {gate['approvalStatus']}{f': {verdict}' if verdict else ''}"
        yield gate["gateId"], f"{gate['approvalStatus']} {gate['version']}", line
    for error in state["errorLog"]["nodes"]:
        yield error["errorId"], error["severity"], f"{error['severity']} in {error['phase']}: {error['message']}"
