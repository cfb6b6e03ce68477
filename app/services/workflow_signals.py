"""Signals: JSON that a phase of the kind `wait` awaits, sent to an execution and kept until such a phase takes it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.errors import Blocked, IdempotencyKeyReused, InvalidInput
from app.domain.events import Aggregate, Event
from app.domain.ids import new_id
from app.domain.json_schemas import ANYTHING, check_json, misfit
from app.domain.principals import Principal
from app.domain.rules import NAME_MAX, required_text
from app.domain.workflows import ENDED, SIGNALS_MAX
from app.services.references import find
from db.queries.catalogue import read_spec
from db.queries.changes import append
from db.queries.entities import EXECUTION
from db.queries.executions import wake
from db.queries.signals import count_signals, sent_before, store_signal

PAYLOAD_MAX = 65_536
"""Bytes of a payload as JSON."""


@dataclass(frozen=True)
class SignalWorkflow:
    """Tell an execution something. Of the same `key` only the first counts."""

    execution_id: UUID
    name: str
    payload: Any = None
    key: str | None = None


async def signal_workflow(session: AsyncConnection, principal: Principal, command: SignalWorkflow) -> Row[Any]:
    """Keep the signal until a phase takes it, and wake the execution; the execution.

    A signal of a key that was sent before changes nothing. Raises `InvalidInput` for a signal that the workflow does
    not await or a payload that does not fit its schema, `NotFound`, `Blocked` when the execution has ended or was sent
    too many, `IdempotencyKeyReused` for the same key with another payload.
    """
    execution = await find(session, EXECUTION, command.execution_id, "executionId")
    key = None if command.key is None else required_text("key", command.key, NAME_MAX)
    name = required_text("name", command.name, NAME_MAX)
    payload = _checked(await _awaited(session, execution, name), command)
    signal_id = await store_signal(session, _values(principal, command, payload, key))
    if signal_id is None:
        sent = await sent_before(session, command.execution_id, command.name, key or "")
        if sent.payload != payload:
            raise IdempotencyKeyReused(
                f"The signal {command.name!r} of the key {key!r} was sent before with another payload. "
                "Nothing was written; give a new signal a key of its own.",
                "input.key",
            )
        return execution
    return await _tell(session, principal, command, signal_id)


def _values(principal: Principal, command: SignalWorkflow, payload: Any, key: str | None) -> dict[str, Any]:
    return {
        "signal_id": new_id(),
        "execution_id": command.execution_id,
        "signal_name": command.name,
        "payload": payload,
        "signal_key": key,
        "sent_by": principal.name,
    }


async def _tell(session: AsyncConnection, principal: Principal, command: SignalWorkflow, signal_id: UUID) -> Row[Any]:
    """Write the event and wake the execution, which is ours from here on."""
    execution = await find(session, EXECUTION, command.execution_id, "executionId", lock=True)
    if execution.execution_status in ENDED:
        raise Blocked(
            f"The workflow execution {command.execution_id} is {execution.execution_status.upper()} and takes no "
            "signals. Nothing was written."
        )
    if await count_signals(session, command.execution_id) > SIGNALS_MAX:
        raise Blocked(
            f"The workflow execution {command.execution_id} was sent {SIGNALS_MAX} signals, which is the limit. "
            "Nothing was written."
        )
    detail = {"signal_id": str(signal_id), "name": command.name, "key": command.key}
    event = Event(Aggregate.WORKFLOW, "signalled", principal.name, detail=detail)
    await append(session, str(command.execution_id), event)
    await wake(session, command.execution_id)
    return execution


async def _awaited(session: AsyncConnection, execution: Row[Any], name: str) -> Any:
    """The schema of a signal that some phase of the execution's template awaits, None where it has none."""
    spec = await read_spec(session, execution.workflow_name, execution.template_version) or {}
    awaited = {phase["signal"]: phase.get("schema") for phase in spec.get("phases", []) if phase.get("signal")}
    if name not in awaited:
        names = ", ".join(sorted(awaited)) or "none"
        raise InvalidInput(
            f"The workflow {execution.workflow_name!r} awaits no signal {name!r}; it awaits: {names}. "
            "Nothing was written.",
            "input.name",
        )
    return awaited[name]


def _checked(schema: Any, command: SignalWorkflow) -> Any:
    payload = check_json("payload", command.payload, ANYTHING)
    size = len(orjson.dumps(payload))
    if size > PAYLOAD_MAX:
        raise InvalidInput(
            f"payload has {size} bytes of JSON, at most {PAYLOAD_MAX} are taken. Nothing was written; store it "
            "elsewhere and send where it is.",
            "input.payload",
        )
    wrong = None if schema is None else misfit(payload, schema, "payload")
    if wrong is not None:
        place, message = wrong
        raise InvalidInput(
            f"{place} does not fit the schema of the signal {command.name!r}: {message}. Nothing was written.",
            f"input.{place}",
        )
    return payload
