"""The rules of executions: which command is for which status, in which order steps begin, where a retry goes on."""

import pytest

from app.domain.errors import ErrorCode, InvalidInput
from app.domain.json_schemas import CONTEXT, check_json
from app.domain.rules import NAME_MAX, required_text
from app.domain.workflows import (
    ENDED,
    EXECUTION_MACHINE,
    RUNNABLE,
    ExecutionStatus,
    WrongStatus,
    phase_of_retry,
    require_next_step,
    require_status,
)

RUNNING = ExecutionStatus.RUNNING


@pytest.mark.parametrize("current", list(ExecutionStatus))
@pytest.mark.parametrize("needed", [ExecutionStatus.PAUSED, ExecutionStatus.FAILED])
def test_a_command_is_for_one_status_though_others_lead_to_the_same(
    needed: ExecutionStatus, current: ExecutionStatus
) -> None:
    if current is needed:
        require_status(current, RUNNING, needed, "resumed")
        return
    with pytest.raises(WrongStatus) as refused:
        require_status(current, RUNNING, needed, "resumed")
    assert refused.value.code is ErrorCode.ILLEGAL_TRANSITION
    assert refused.value.allowed == EXECUTION_MACHINE.allowed_from(current)
    assert refused.value.message == (
        f"This workflow execution is {current.name}; only a {needed.name} one can be resumed, and becomes RUNNING. "
        "Nothing was changed."
    )


def test_what_has_ended_is_not_runnable_and_neither_is_what_is_paused() -> None:
    assert set(RUNNABLE) | {ExecutionStatus.PAUSED} | set(ENDED) == set(ExecutionStatus)
    assert not set(RUNNABLE) & set(ENDED)


@pytest.mark.parametrize("latest", [0, 1, 7])
def test_steps_begin_one_after_the_other(latest: int) -> None:
    require_next_step(latest, latest + 1)
    for number in (latest - 1, latest, latest + 2):
        with pytest.raises(ValueError, match=f"the next one is {latest + 1}"):
            require_next_step(latest, number)


def test_a_retry_goes_on_with_the_phase_that_failed_or_the_one_that_it_names() -> None:
    assert phase_of_retry("build", {"reason": "it broke"}) == "build"
    assert phase_of_retry("gate", {"reason": "rejected", "retry_phase": "build"}) == "build"


def test_the_context_is_an_object() -> None:
    assert check_json("inputContext", {"path": "/tree", "deep": [1, {"a": None}]}, CONTEXT)
    wrongs: list[object] = [[], "text", 7, None, True]
    for wrong in wrongs:
        with pytest.raises(InvalidInput) as refused:
            check_json("inputContext", wrong, CONTEXT)
        assert refused.value.field == "input.inputContext"


@pytest.mark.parametrize("name", ["", "  ", "x" * (NAME_MAX + 1), "a\x00b"])
def test_somebody_starts_an_execution(name: str) -> None:
    with pytest.raises(InvalidInput):
        required_text("triggeredBy", name, NAME_MAX)
