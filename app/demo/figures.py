"""The demo's figures, all taken from the reply to one GraphQL operation (`workflows.OUTCOME`)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Figures = dict[str, Any]

TOOLS = ("ruff", "mypy", "size")


def figures_of(workflow: Mapping[str, Any]) -> Figures:
    """What the demo prints: findings by tool, checks, decisions, time a task, CPU and memory of each agent, verdict."""
    tasks = sorted(workflow["tasks"]["nodes"], key=lambda task: task["taskId"])
    gates = sorted(workflow["qualityGates"]["nodes"], key=lambda gate: gate["gateId"])
    decisions = sorted(workflow["decisions"]["nodes"], key=lambda decision: decision["decisionId"])
    results = {task["result"]["tool"]: task["result"] for task in tasks if _tool_of(task) is not None}
    return {
        "execution": {
            "id": workflow["executionId"],
            "workflow": workflow["workflowName"],
            "status": workflow["executionStatus"],
            "seconds": _seconds(workflow["startedAt"], workflow["completedAt"]),
        },
        "path": workflow["inputContext"].get("path"),
        "include": workflow["inputContext"].get("include"),
        "findings": {tool: results[tool] for tool in TOOLS if tool in results},
        "report": results.get("report", {}).get("markdown"),
        "gates": [_gate(gate) for gate in gates],
        "decisions": [_decision(decision) for decision in decisions],
        "tasks": [_task(task) for task in tasks],
        "agents": _agents(workflow["metrics"]["nodes"], tasks),
        "all_measurements": not workflow["metrics"]["pageInfo"]["hasNextPage"],
        "model_assignments": len(workflow["modelAssignments"]["nodes"]),
        "errors": [error["message"] for error in workflow["errorLog"]["nodes"]],
        "verdict": gates[-1]["approvalStatus"] if gates else None,
    }


def _tool_of(task: Mapping[str, Any]) -> str | None:
    """The tool whose result the task holds; None for tasks that were answered otherwise."""
    result = task["result"]
    tool = result.get("tool") if isinstance(result, Mapping) else None
    return tool if isinstance(tool, str) and task["status"] == "COMPLETED" else None


def _gate(gate: Mapping[str, Any]) -> dict[str, Any]:
    decision = gate["decision"]
    return {
        "id": gate["gateId"],
        "name": gate["gateName"],
        "type": gate["gateType"],
        "status": gate["approvalStatus"],
        "checks": gate["automatedChecks"],
        "quality_score": _number(gate["qualityScore"]),
        "decision": gate["pmDecision"],
        "confidence": decision["confidenceScore"] if decision else None,
        "decided_by": decision["decidedBy"] if decision else None,
    }


def _decision(decision: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": decision["decisionType"],
        "outcome": decision["outcome"],
        "confidence": decision["confidenceScore"],
        "decided_by": decision["decidedBy"],
        "reasoning": decision["reasoningProcess"],
    }


def _task(task: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": task["taskId"],
        "kind": task["taskKind"],
        "title": task["title"],
        "phase": task["phase"],
        "agent": _agent_of(task),
        "status": task["status"],
        "attempts": task["attempts"],
        "seconds": _seconds(task["startedAt"], task["completedAt"]),
    }


def _agents(metrics: Sequence[Mapping[str, Any]], tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """By agent: how often it was measured while it worked for this execution, CPU per cent, peak of memory in MB."""
    names = {_measured_agent(metric) for metric in metrics} | {_agent_of(task) for task in tasks}
    return [
        {
            "agent": name,
            "tasks": sum(_agent_of(task) == name for task in tasks),
            "measurements": sum(_measured_agent(metric) == name for metric in metrics),
            "cpu_percent_mean": _mean(_values(metrics, name, "cpuUsage")),
            "cpu_percent_max": _most(_values(metrics, name, "cpuUsage")),
            "memory_mb_max": _most(_values(metrics, name, "memoryUsage")),
        }
        for name in sorted(name for name in names if name is not None)
    ]


def _measured_agent(metric: Mapping[str, Any]) -> str | None:
    agent = metric["agent"]
    return agent["agentId"] if agent is not None else None


def _agent_of(task: Mapping[str, Any]) -> str | None:
    agent = task["assignedAgent"]
    return agent["agentId"] if agent is not None else None


def _values(metrics: Iterable[Mapping[str, Any]], agent_id: str, field: str) -> list[Decimal]:
    return [Decimal(m[field]) for m in metrics if _measured_agent(m) == agent_id and m[field] is not None]


def _mean(values: Sequence[Decimal]) -> float | None:
    if not values:
        return None
    return float((sum(values, Decimal(0)) / len(values)).quantize(Decimal("0.01"), ROUND_HALF_UP))


def _most(values: Sequence[Decimal]) -> float | None:
    return float(max(values)) if values else None


def _number(value: str | None) -> float | None:
    return float(value) if value is not None else None


def _seconds(start: str | None, end: str | None) -> float | None:
    if start is None or end is None:
        return None
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds(), 3)
