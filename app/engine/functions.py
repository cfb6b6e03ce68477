"""The functions that phases of the kind `function` call: found by entry point, called by the worker itself.

A package names them in the entry point group `orchestration_hub.functions`. One is called between two transactions: the
first says that the step is under way, the second holds its result. A crash between them calls it again, so whatever it
does outside of the hub must be safe to repeat under the same `Call.key`.
"""

import asyncio
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any
from uuid import UUID

import orjson
import structlog

from app.domain.errors import HubError
from app.domain.rules import bounded_json
from app.domain.templates import FunctionPhase
from app.engine.phases.base import Visit
from app.security.scrubbing import scrub_json

GROUP = "orchestration_hub.functions"
RESULT_MAX = 16_384
"""Bytes of a result as JSON: steps hold references and small figures, and are read with every look at a path."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Call:
    """What a function is given.

    `key` is the same each time this step is called, and of no other: what the function does elsewhere can be done once
    under it. `results` are those of the phases that it `uses`.
    """

    execution_id: UUID
    phase: str
    attempt: int
    input: Mapping[str, Any]
    context: Mapping[str, Any]
    results: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The idempotency key of this step."""
        return f"{self.execution_id}/{self.phase}/{self.attempt}"


Function = Callable[[Call], Any]
"""A coroutine function, or a plain one, which is called in a thread. It returns a JSON value."""


class FunctionFailed(Exception):
    """A function raised, took too long, or returned what cannot be kept; the message says which."""


def installed_functions() -> dict[str, Function]:
    """The functions of the installed packages, by name; one that cannot be loaded is logged and left out."""
    found: dict[str, Function] = {}
    for entry_point in entry_points(group=GROUP):
        try:
            found[entry_point.name] = entry_point.load()
        except Exception:
            log.exception("a function could not be loaded", entry_point=entry_point.value)
    return found


async def call(functions: Mapping[str, Function], visit: Visit[FunctionPhase], results: Mapping[str, Any]) -> Any:
    """The result of the phase's function, as it is kept. Whatever the function raises comes out as `FunctionFailed`."""
    phase, execution = visit.phase, visit.execution
    function = functions.get(phase.function)
    if function is None:
        raise FunctionFailed(
            f"The function {phase.function!r} is not installed where this worker runs; install the package that brings "
            f"it (entry point group {GROUP}), then retry."
        )
    given = Call(execution.execution_id, phase.name, visit.attempt, phase.input, execution.context, results)
    try:
        async with asyncio.timeout(phase.timeout_seconds) as limit:
            result = await _called(function, given)
    except Exception as error:
        if limit.expired():
            raise FunctionFailed(f"The function {phase.function!r} took over {phase.timeout_seconds:g} s.") from error
        raise FunctionFailed(f"The function {phase.function!r} raised {type(error).__name__}: {error}") from error
    return _kept(phase.function, result)


async def _called(function: Function, given: Call) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(given)
    return await asyncio.to_thread(function, given)


def _kept(name: str, result: Any) -> Any:
    """The result as it will be read from the step: as JSON, without secrets."""
    try:
        encoded = orjson.dumps(bounded_json("result", result))
    except (HubError, TypeError) as error:
        raise FunctionFailed(f"The function {name!r} returned what is no JSON value: {error}") from error
    if len(encoded) > RESULT_MAX:
        raise FunctionFailed(
            f"The function {name!r} returned {len(encoded)} bytes of JSON; at most {RESULT_MAX} are kept in a step. "
            "Store it elsewhere and return where it is."
        )
    return scrub_json(orjson.loads(encoded)).value
