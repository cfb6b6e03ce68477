"""How the server ends connections, and within which bounds they live."""

from dataclasses import dataclass
from typing import NamedTuple


class Ending(NamedTuple):
    """The code and reason with which the server closes a WebSocket; an event stream tells them in a comment."""

    code: int
    reason: str


SERVICE_RESTART = Ending(1012, "Service restart")
TRY_AGAIN_LATER = Ending(1013, "The hub cannot answer now, try again later")
TOO_SLOW = Ending(4290, "Too slow: subscribe again with `after: <your last cursor>`")
TOO_MANY_CONNECTIONS = Ending(4291, "Too many connections are open with this token")
NOT_JSON = Ending(4400, "A message must be a text frame with a JSON object")
UNAUTHORIZED = Ending(4401, "Unauthorized")
FORBIDDEN = Ending(4403, "Forbidden")
TOKEN_ENDED = Ending(4403, "The token has expired or was revoked")
RIGHTS_CHANGED = Ending(4403, "The token's rights have changed, connect again")
UNACCEPTABLE = Ending(4406, "Subprotocol not acceptable")
INIT_TIMEOUT = Ending(4408, "Connection initialisation timeout")
TOO_MANY_INITS = Ending(4429, "Too many initialisation requests")


@dataclass(frozen=True)
class SocketLimits:
    """Bounds of a connection that stays open, WebSocket or event stream, in seconds, pieces and bytes.

    The authenticator answers from a cache of 3 s, so a token that is asked about every 1.5 s ends its connections
    within 5 s of its revocation.
    """

    init_timeout: float = 10.0
    """From the handshake to the acknowledgement, authentication included."""
    recheck_every: float = 1.5
    """Between two questions whether the token still holds."""
    unverified_for: float = 60.0
    """Since the last answer to that question, before a connection is closed for want of one."""
    connections: int = 2_000
    """Open by one token at once, in one process."""
    operations: int = 100
    """That run at once on a socket."""
    waiting_messages: int = 2_000
    """Of a peer that reads more slowly than it is written to."""
    waiting_bytes: int = 4 << 20
    """The same. What is over the bounds by one delivery is still taken, so that whoever resumes gets on."""
    stall_patience: float = 15.0
    """For a peer that reads nothing while something waits for it."""
    ping_every: float = 12.0
    """Between two comments in an event stream, by which proxies see that it lives."""
    close_patience: float = 5.0
    """For a peer to take the close frame, before it is cut off."""
    slow_patience: float = 60.0
    """The same for one that was too slow: what it holds by then is bounded, and the reason may still reach it."""
