"""Which document a request means: the text that it brings, or the one that is known by the hash that it gives.

Trusted documents are registered when the hub starts. Others, where they are allowed, are kept when a client sends the
text together with its hash, as Apollo's "automatic persisted queries" do; what is kept is bounded and of this process
alone, and whoever asks for what is gone is told to send the text again.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace

from app.domain.documents import sha256_of
from app.domain.errors import (
    InvalidInput,
    PersistedQueryNotFound,
    PersistedQueryNotSupported,
    TrustedDocumentsOnly,
)
from graphql_schema.incoming import GraphQLRequest

TEXTS_KEPT = 1_000
BYTES_KEPT = 8 * 2**20
"""Of memory, for all texts together."""

IsValid = Callable[[str], bool]
"""Whether a text is a document that may be kept."""


class KeptTexts:
    """Texts by their hashes; those that were not asked for the longest make room for new ones."""

    def __init__(self, most: int = TEXTS_KEPT, most_bytes: int = BYTES_KEPT) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._texts: OrderedDict[str, str] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._texts)

    def get(self, sha256: str) -> str | None:
        """The text, or None where it is not kept, or not any more."""
        text = self._texts.get(sha256)
        if text is not None:
            self._texts.move_to_end(sha256)
        return text

    def put(self, sha256: str, text: str) -> None:
        """Keep a text."""
        if sha256 not in self._texts:
            self._texts[sha256] = text
            self.bytes += sys.getsizeof(text)
        while len(self._texts) > self._most or self.bytes > self._most_bytes:
            _, dropped = self._texts.popitem(last=False)
            self.bytes -= sys.getsizeof(dropped)


def _keep_none(_text: str) -> bool:
    return False


class DocumentStore:
    """Finds the document that a request means. `only` refuses all that are not `trusted`."""

    def __init__(
        self, is_valid: IsValid = _keep_none, trusted: Mapping[str, str] | None = None, *, only: bool = False
    ) -> None:
        self._is_valid = is_valid
        self._trusted = trusted or {}
        self._only = only
        self._kept = KeptTexts()

    def resolve(self, request: GraphQLRequest) -> GraphQLRequest:
        """The request with the text of its document.

        Raises `TrustedDocumentsOnly`, `PersistedQueryNotFound`, `PersistedQueryNotSupported`, and `InvalidInput` where
        the text has another hash than the one named.
        """
        if request.sha256 is None and not self._only:
            return request
        text = self._checked(request.query, request.sha256) if request.query else self._known(request)
        return replace(request, query=text)

    def _known(self, request: GraphQLRequest) -> str:
        sha256 = request.sha256 or ""
        text = self._trusted.get(sha256) or self._kept.get(sha256)
        if text is not None:
            return text
        if not self._only:
            raise PersistedQueryNotFound
        raise PersistedQueryNotSupported if request.is_apollos else TrustedDocumentsOnly(sha256)

    def _checked(self, text: str, named: str | None) -> str:
        """The text, whose hash is found out; kept where it was named and is worth it."""
        sha256 = sha256_of(text)
        if named not in (None, sha256):
            raise InvalidInput(f"The document's SHA-256 is {sha256}, and not the one that the request names.")
        trusted = self._trusted.get(sha256)
        if trusted is not None:
            return trusted
        if self._only:
            raise TrustedDocumentsOnly(sha256)
        if self._is_valid(text):
            self._kept.put(sha256, text)
        return text
