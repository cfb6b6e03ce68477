"""What both transports, HTTP and WebSocket, are given to answer with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import GraphQLError

from app.domain.principals import Principal
from graphql_schema.documents import DocumentStore
from graphql_schema.read_cache import ReadCache
from graphql_schema.streams.delivery import Streams

Authenticate = Callable[[str], Awaitable[Principal]]
"""Turns a bearer token into its holder; raises `Unauthenticated` or `Unavailable`."""
MakeContext = Callable[[Principal], Any]
"""Makes the context of an operation for whoever asks."""
DescribeError = Callable[[GraphQLError], dict[str, Any]]
"""Turns an error into its JSON form."""

AnswersKept = Callable[[], ReadCache | None]
"""The answers that are kept, once the hub is open; None where none are."""


def no_answers() -> ReadCache | None:
    """Where no answers are kept."""
    return None


@dataclass(frozen=True)
class Endpoint:
    """A schema and who may ask it what."""

    schema: strawberry.Schema
    authenticate: Authenticate
    context_for: MakeContext
    describe: DescribeError
    documents: DocumentStore
    streams: Streams
    answers: AnswersKept = no_answers
