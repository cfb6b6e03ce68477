"""Whether what the hub did is what the model expects: the answer, the events, and the dry run beside the real one."""

import re
from collections.abc import Mapping, Sequence

import orjson

from app.domain.errors import ErrorCode
from app.domain.events import Aggregate
from tests.properties.commands import Attempt, Codes, Expected
from tests.properties.hub import Answer, Event, Refusal
from tests.properties.model import Change, State
from tests.properties.tasks import CLAIM

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^\"]*")


def differs(
    expected: Expected, attempt: Attempt, answer: Answer, events: Sequence[Event], *, in_order: bool = True
) -> str | None:
    """What is wrong with an answer and the events that came with it, if anything; new things get their ids.

    Without `in_order` events of different things may be written in another order: where commands meet, the second of
    two sweeps finds what the first could not see yet.
    """
    in_order = in_order and not attempt.command.is_batch
    if attempt.dry:
        return _answer_differs(expected, answer) or _dry_run_differs(expected, answer, in_order) or _unwanted(events)
    if not expected.succeeds:
        return _answer_differs(expected, answer) or _unwanted(events)
    return _answer_differs(expected, answer) or _events_differ(expected, attempt, events, in_order)


def _unwanted(events: Sequence[Event]) -> str | None:
    return f"these events were written all the same: {events}" if events else None


def _answer_differs(expected: Expected, answer: Answer) -> str | None:
    if not _accepts(expected.refusals, answer.refusals):
        return f"refused with {_shown(answer.refusals)}, expected was {_shown(expected.refusals)}"
    if expected.repeats or not expected.succeeds or expected.items is None:
        return None
    told = answer.results or ()
    if len(told) != len(expected.items):
        return f"{len(told)} results, expected were {len(expected.items)}"
    for index, (item, result) in enumerate(zip(expected.items, told, strict=True)):
        if not _accepts(item.refusals, result.refusals):
            return f"item {index} refused with {_shown(result.refusals)}, expected was {_shown(item.refusals)}"
        if item.key is not None and result.entity_id is not None and answer.dry_run is None:
            _bind(expected.after, item.key, result.entity_id)
    return None


def _accepts(wanted: Codes, refusals: Sequence[Refusal]) -> bool:
    """A request is refused with one of the codes that may be told, and carried out when there is none."""
    if not wanted or not refusals:
        return not wanted and not refusals
    (told,) = refusals
    return told.code in wanted and told.current_version == wanted[told.code]


def _shown(codes: Codes | Sequence[Refusal]) -> str:
    if isinstance(codes, Mapping):
        return " or ".join(f"{code.name}{f' (now {now})' if now else ''}" for code, now in codes.items()) or "nothing"
    return " and ".join(f"{refusal.code.name} (now {refusal.current_version})" for refusal in codes) or "nothing"


def _dry_run_differs(expected: Expected, answer: Answer, in_order: bool) -> str | None:
    told = answer.dry_run
    assert told is not None
    if told.would_succeed != expected.succeeds:
        return f"the dry run says wouldSucceed: {told.would_succeed}"
    if not expected.succeeds:
        return None if not told.changes else f"a dry run that is blocked tells of {told.changes}"
    return _sequence_differs(expected.after.copy(), expected.changes, told.changes, in_order)


def _events_differ(expected: Expected, attempt: Attempt, events: Sequence[Event], in_order: bool) -> str | None:
    """What is wrong with the events of a request that was carried out, if anything; new things get their ids."""
    strangers = {event.actor for event in events} - {attempt.actor.name}
    if strangers:
        return f"events in the name of {strangers}"
    if len({event.transaction for event in events}) > 1:
        return "the events of one request are of several transactions"
    return _sequence_differs(expected.after, expected.changes, events, in_order)


def _sequence_differs(state: State, changes: Sequence[Change], events: Sequence[Event], in_order: bool) -> str | None:
    left = list(events)
    for change in changes:
        candidates = left[:1] if in_order else left
        event = next((e for e in candidates if _told(change) == _written(e) and _is_about(state, change, e)), None)
        if event is None:
            return _shown_side_by_side(changes, events)
        left.remove(event)
    return _unwanted(left)


def _shown_side_by_side(changes: Sequence[Change], events: Sequence[Event]) -> str:
    wanted = [f"expected {change.key}: {_told(change)}" for change in changes]
    return "\n  ".join(["the events differ:", *wanted, *(f"but was {e.entity_id}: {_written(e)}" for e in events)])


def _is_about(state: State, change: Change, event: Event) -> bool:
    """Whether the event is of the right thing; one that has no id yet gets this one."""
    if change.key is None:
        return event.entity_id not in state.keys_of
    return _bind(state, change.key, event.entity_id)


def _bind(state: State, key: str, entity_id: str) -> bool:
    """Whether the thing has this id, or has it from now on."""
    if state.things[key].id is None and entity_id not in state.keys_of:
        state.bind(key, entity_id)
    return state.things[key].id == entity_id


def _told(change: Change) -> tuple[str | int | None, ...]:
    return (change.aggregate, change.event_type, change.from_status, change.to_status, change.version)


def _written(event: Event) -> tuple[str | int | None, ...]:
    return (Aggregate(event.aggregate), event.event_type, event.from_status, event.to_status, event.version)


def foretold_differs(state: State, rehearsed: Answer, real: Answer, events: Sequence[Event]) -> str | None:
    """What is wrong with a dry run, given what followed with nothing between. The state is that of before."""
    foreseen, met = _all_refusals(rehearsed), _all_refusals(real)
    if foreseen != met:
        return f"the dry run was refused with {foreseen}, the request with {met}"
    assert rehearsed.dry_run is not None
    foretold, written = _comparable(state, rehearsed.dry_run.changes), _comparable(state, events)
    return None if foretold == written else f"the dry run foretold\n  {foretold}\nbut written was\n  {written}"


def _all_refusals(answer: Answer) -> list[Sequence[Refusal]]:
    return [answer.refusals, *(result.refusals for result in answer.results or ())]


def _comparable(state: State, events: Sequence[Event]) -> str:
    """The events with all that they tell, but for ids of new things, which are numbered instead, and moments."""
    new: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        entity_id = found.group()
        return entity_id if entity_id in state.keys_of else new.setdefault(entity_id, f"new-{len(new)}")

    told = [[*_written(event), event.entity_id, event.detail] for event in events]
    text = orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()
    return MOMENT.sub("some time", ID.sub(name, text))


def is_passed_over(attempt: Attempt, answer: Answer) -> bool:
    """Whether a claim gave way to others: it passes over tasks that are being changed at that moment.

    Then it finds none, or says that somebody else is claiming the one that was named.
    """
    if attempt.command is not CLAIM:
        return False
    if attempt.given.get("taskId") is None:
        return not answer.refusals
    return [refusal.code for refusal in answer.refusals] == [ErrorCode.CLAIM_LOST]
