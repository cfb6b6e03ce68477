"""Commands sent at once: whether some order of them, one after the other, explains all that came of it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tests.properties.commands import Attempt, predict, with_key_used
from tests.properties.hub import Answer, Event
from tests.properties.judging import differs, is_passed_over
from tests.properties.model import State
from tests.properties.tasks import CLAIM

Sent = tuple[Attempt, Answer]
Transactions = Mapping[int, Sequence[Event]]


def explain(state: State, sent: Sequence[Sent], events: Sequence[Event]) -> Iterator[State]:
    """The states after those orders of the commands in which the model expects every answer and every event.

    Each transaction's events must be those of one command that was carried out, and each command that was carried out
    must have written its events, once: so none is lost, repeated, or there without a command.
    """
    transactions: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        transactions[event.transaction].append(event)
    return _orders(state, list(sent), transactions)


def _orders(state: State, left: Sequence[Sent], transactions: Transactions) -> Iterator[State]:
    """The states after all orders of the commands that are left, which must account for all of the transactions.

    What changes nothing is put at the first place where it is explained: it would be explained there in any order.
    """
    left = [(attempt, answer) for attempt, answer in left if not _is_idle(state, attempt, answer)]
    if not left:
        if not transactions:
            yield state
        return
    for place, (attempt, answer) in enumerate(left):
        others = [*left[:place], *left[place + 1 :]]
        for after, xid in _outcomes(state, attempt, answer, transactions):
            rest = {number: events for number, events in transactions.items() if number != xid}
            yield from _orders(after, others, rest)


def _is_idle(state: State, attempt: Attempt, answer: Answer) -> bool:
    """Whether the command was refused, rehearsed, repeated or passed over as is expected in this state."""
    if is_passed_over(attempt, answer) and answer.refusals:
        return True
    foretold = answer.dry_run.changes if answer.dry_run is not None else ()
    expected = predict(state, _as_found(attempt, foretold))
    if expected.succeeds and not attempt.dry and not expected.repeats:
        return False
    return differs(expected, attempt, answer, (), in_order=False) is None


def _outcomes(
    state: State, attempt: Attempt, answer: Answer, transactions: Transactions
) -> Iterator[tuple[State, int | None]]:
    """The states after this command as the next one, if the model expects what came of it, with its transaction."""
    if is_passed_over(attempt, answer):
        yield (state if attempt.dry else with_key_used(state, attempt)), None
    expected = predict(state, attempt)
    if attempt.dry or expected.repeats:
        return
    if expected.succeeds and differs(expected, attempt, answer, (), in_order=False) is None:
        yield expected.after, None
    for xid, events in transactions.items():
        # an expectation is used up: what it says is new has got its id
        once = predict(state, _as_found(attempt, events))
        if differs(once, attempt, answer, events, in_order=False) is None:
            yield with_key_used(once.after, attempt), xid


def _as_found(attempt: Attempt, events: Sequence[Event]) -> Attempt:
    """A claim of the oldest task that fits, as one of the task that it got: it passed over what others had locked."""
    if attempt.command is not CLAIM or attempt.given.get("taskId") is not None or not events:
        return attempt
    return replace(attempt, given={"agentId": attempt.given["agentId"], "taskId": events[0].entity_id})
