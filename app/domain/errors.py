"""Expected failures: each has a code, a message that says what to do next, and its data.

They become `userErrors { field message code }` in a mutation's payload; anything that is not a `HubError` is a defect
and is masked.
"""

from collections.abc import Sequence
from enum import StrEnum


class ErrorCode(StrEnum):
    """Why a request was refused. Nothing was written when one of these comes back."""

    INVALID_INPUT = "invalid_input"
    NOT_FOUND = "not_found"
    FORBIDDEN = "forbidden"
    STALE_VERSION = "stale_version"
    ILLEGAL_TRANSITION = "illegal_transition"
    CLAIM_LOST = "claim_lost"
    AGENT_AT_CAPACITY = "agent_at_capacity"
    AGENT_UNAVAILABLE = "agent_unavailable"
    UNKNOWN_TEMPLATE = "unknown_template"
    ALREADY_RUNNING = "already_running"
    BLOCKED = "blocked"
    EVIDENCE_CHANGED = "evidence_changed"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    UNAVAILABLE = "unavailable"
    UNAUTHENTICATED = "unauthenticated"
    RESYNC_REQUIRED = "resync_required"
    TOO_EXPENSIVE = "too_expensive"
    TRUSTED_DOCUMENTS_ONLY = "trusted_documents_only"
    PERSISTED_QUERY_NOT_FOUND = "persisted_query_not_found"
    PERSISTED_QUERY_NOT_SUPPORTED = "persisted_query_not_supported"


class HubError(Exception):
    """An expected failure.

    `field` is the path of the argument at fault in the API's spelling (`input.confidenceScore`), or None.
    """

    code: ErrorCode

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidInput(HubError):
    """A value breaks a rule of the data model."""

    code = ErrorCode.INVALID_INPUT


class NotFound(HubError):
    """No entity has this id."""

    code = ErrorCode.NOT_FOUND

    def __init__(self, kind: str, entity_id: object, field: str | None = None) -> None:
        super().__init__(f"There is no {kind} {entity_id}. Nothing was changed; check the id.", field)


class Forbidden(HubError):
    """The caller's token does not allow this."""

    code = ErrorCode.FORBIDDEN


class StaleVersion(HubError):
    """Somebody else changed the entity first; `current` is its version now."""

    code = ErrorCode.STALE_VERSION

    def __init__(self, kind: str, entity_id: object, expected: int, current: int) -> None:
        super().__init__(
            f"The {kind} {entity_id} is at version {current}, you expected {expected}. "
            "Nothing was changed; read it again and decide anew.",
            "input.expectedVersion",
        )
        self.current = current


class IllegalTransition(HubError):
    """The state machine has no such transition; `allowed` are those that it has from here."""

    code = ErrorCode.ILLEGAL_TRANSITION

    def __init__(self, kind: str, current: str, target: str, allowed: Sequence[str]) -> None:
        ways = ", ".join(status.upper() for status in allowed) or "nothing, it is final"
        super().__init__(
            f"This {kind} is {current.upper()} and cannot become {target.upper()}; allowed: {ways}. "
            "Nothing was changed."
        )
        self.current_status = current
        self.allowed = tuple(allowed)


class ClaimLost(HubError):
    """The task is held by another agent, or by none any more."""

    code = ErrorCode.CLAIM_LOST


class AgentAtCapacity(HubError):
    """The agent already works on as many tasks as it said it can."""

    code = ErrorCode.AGENT_AT_CAPACITY


class AgentUnavailable(HubError):
    """The agent is in error or offline and takes no work."""

    code = ErrorCode.AGENT_UNAVAILABLE


class UnknownTemplate(HubError):
    """No workflow template has this name."""

    code = ErrorCode.UNKNOWN_TEMPLATE


class AlreadyRunning(HubError):
    """As many executions of the workflow are under way as its template allows; `execution_ids` are those."""

    code = ErrorCode.ALREADY_RUNNING

    def __init__(self, message: str, execution_ids: Sequence[str]) -> None:
        super().__init__(message)
        self.execution_ids = tuple(execution_ids)


class Blocked(HubError):
    """A condition that must hold first does not hold yet: open dependencies, outstanding reviews."""

    code = ErrorCode.BLOCKED


class EvidenceChanged(HubError):
    """What is to be judged is not what the caller saw; `current` is the hash of the evidence now."""

    code = ErrorCode.EVIDENCE_CHANGED

    def __init__(self, current: str) -> None:
        super().__init__(
            f"The evidence has another hash than the one you name: it is {current} now. Nothing was written; read the "
            "gate's evidence again and judge that.",
            "input.evidenceHash",
        )
        self.current = current


class IdempotencyKeyReused(HubError):
    """The key was used for another request."""

    code = ErrorCode.IDEMPOTENCY_KEY_REUSED


class Unavailable(HubError):
    """The hub cannot answer now; the request was not carried out."""

    code = ErrorCode.UNAVAILABLE


class Unauthenticated(HubError):
    """No token, or one that is unknown, expired or revoked."""

    code = ErrorCode.UNAUTHENTICATED


class ResyncRequired(HubError):
    """The cursor is older than the event log, or of another database: read the state anew, then follow from now."""

    code = ErrorCode.RESYNC_REQUIRED


class TooExpensive(HubError):
    """The operation asks for more at once than the hub answers; `cost` and `limit` are in values."""

    code = ErrorCode.TOO_EXPENSIVE

    def __init__(self, cost: int, limit: int) -> None:
        super().__init__(
            f"The operation may come to {cost} values; at most {limit} are allowed. Nothing was done. Ask for smaller "
            "pages, or for fewer fields below them."
        )
        self.cost = cost
        self.limit = limit


class TrustedDocumentsOnly(HubError):
    """The hub answers registered documents only, and this is none of them."""

    code = ErrorCode.TRUSTED_DOCUMENTS_ONLY

    def __init__(self, sha256: str) -> None:
        super().__init__(
            f"This hub answers registered documents only, and sha256:{sha256} is none of them. Nothing was done. "
            "Whoever runs the hub registers documents by `hub documents build` and HUB_TRUSTED_DOCUMENTS."
        )


class PersistedQueryNotFound(HubError):
    """The hub does not know the document by its hash: send the text with it. The message is what clients look for."""

    code = ErrorCode.PERSISTED_QUERY_NOT_FOUND

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotFound")


class PersistedQueryNotSupported(HubError):
    """The hub keeps no documents that clients send. The message is what clients look for."""

    code = ErrorCode.PERSISTED_QUERY_NOT_SUPPORTED

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotSupported")
