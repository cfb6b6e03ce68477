"""What the oracle says of a parallel phase that is retried."""

from app.domain.templates import parse_template
from tests.engine.chaos.oracle import predict
from tests.engine.chaos.plans import Plan

FAN = {
    "name": "fan",
    "kind": "parallel",
    "tasks": [{"name": name, "title": name, "max_failures": 2} for name in ("red", "green")],
}


class Drawn(Plan):
    """Red fails once in the first pass and for good in the second, green for good in the first."""

    def failures(self, phase: str, attempt: int, task: str, max_failures: int) -> int:
        drawn = {("red", 1): 1, ("red", 2): max_failures, ("green", 1): max_failures}
        return drawn.get((task, attempt), 0)


def test_what_had_succeeded_is_not_asked_for_again() -> None:
    template = parse_template({"name": "fans", "description": "For a test.", "phases": [FAN]}, "fans")
    told = predict(Drawn("seed", template, 1))
    assert told.path == [("fan", 1, "failed"), ("fan", 2, "completed")]
    assert told.tasks == {("fan", 1): {"red": 1, "green": 2}, ("fan", 2): {"red": 1, "green": 0}}
