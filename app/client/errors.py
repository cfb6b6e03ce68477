"""What can go wrong between a client and the hub, each with the exit code of a command that ends by it."""


class ClientError(Exception):
    """The base of all failures that a client expects; its text is fit to be shown to the user."""

    exit_code = 1


class HubUnreachable(ClientError):
    """No hub answers, or it cannot answer now. Trying again later may help."""

    exit_code = 3


class HubUnauthorised(ClientError):
    """The hub does not accept the token: wrong, expired or revoked. Trying again does not help."""


class HubFault(ClientError):
    """The hub answered with a GraphQL error: the operation is at fault, or the hub is. `code` is its kind, if told."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class HubRefused(ClientError):
    """The hub refused a mutation for an expected reason (`userErrors`); nothing was written.

    `code` is a value of `ErrorCode` in upper case, `field` the path of the argument at fault, `current_version` the
    entity's version where somebody else changed it first.
    """

    def __init__(self, code: str, message: str, field: str | None = None, current_version: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.current_version = current_version


class NotFoundHere(ClientError):
    """What the user named does not exist on this hub, or the name fits more than one thing."""
