"""The five-step workflow that the hub and its peer run: the same five functions, each given what the last returned."""

from typing import Any

STEPS = ("collect", "check", "build", "measure", "publish")


def work(step: str, before: Any) -> dict[str, Any]:
    """What a step does: nearly nothing, so that what is measured is the durability."""
    return {"step": step, "count": (before or {"count": 0})["count"] + 1, "text": "a small result, kept durably"}
