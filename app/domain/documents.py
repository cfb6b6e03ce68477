"""Registered GraphQL documents: how they are named, and what a file of them says. Server and clients agree by this."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from app.domain.errors import ErrorCode, HubError

PREFIX = "sha256:"
_DIGITS = re.compile(r"[0-9a-f]{64}", re.ASCII)


class WrongDocument(HubError):
    """A document that cannot be registered, or a file that holds none."""

    code = ErrorCode.INVALID_INPUT

    @classmethod
    def named(cls, name: str, reason: str) -> "WrongDocument":
        """The document of that name, and what is wrong with it."""
        return cls(f"The document {name} cannot be registered: {reason}" + "." * (reason[-1] not in ".?"))


def sha256_of(text: str) -> str:
    """The hash that names a document: SHA-256 of its text in UTF-8, in lower-case hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def named_sha256(name: str) -> str | None:
    """The hash in a name, with or without `sha256:` before it; None where it is none."""
    digits = name.removeprefix(PREFIX)
    return digits if _DIGITS.fullmatch(digits) else None


def texts_by_sha256(content: object) -> dict[str, str]:
    """The documents of a file, by hash. Raises `WrongDocument`.

    Two forms of JSON are taken: an object of texts by their hashes, as Relay, graphql-codegen and `hub documents build`
    write it, and Apollo's manifest of persisted queries.
    """
    texts: dict[str, str] = {}
    for name, text in _entries(content):
        sha256 = named_sha256(name)
        if sha256 is None:
            raise WrongDocument.named(name, "it must be named by the SHA-256 of its text, so tell your generator")
        if not isinstance(text, str):
            raise WrongDocument.named(name, "it is no text")
        if sha256_of(text) != sha256:
            raise WrongDocument.named(name, f"its text has another hash, {sha256_of(text)}")
        texts[sha256] = text
    return texts


def _entries(content: Any) -> Iterator[tuple[str, Any]]:
    match content:
        case {"format": "apollo-persisted-query-manifest", "operations": [*operations]}:
            for entry in operations:
                named = entry if isinstance(entry, dict) else {"id": entry}
                yield str(named.get("id")), named.get("body")
        case {**texts}:
            yield from ((str(name), text) for name, text in texts.items())
        case _:
            raise WrongDocument("A file of documents is a JSON object of texts by their SHA-256.")
