"""All cases in one place, so that they are whole once this is imported."""

from tests.api.wrong import agents, decisions, quality_gates, tasks, the_rest, workflows
from tests.api.wrong.cases import CASES

__all__ = ["CASES", "agents", "decisions", "quality_gates", "tasks", "the_rest", "workflows"]
