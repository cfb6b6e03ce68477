"""What only Python can compute is put into the response after the statement: sealed fields."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import orjson

from app.security.sealing import Erased

EACH = None
"""The step of a path that goes into every item of a list."""
MARK = secrets.token_hex(16)
"""Tells what a statement left to be filled from values that only look like it: two types of nodes may have different
fields under one response key."""
Path = tuple[str | None, ...]
"""Response keys from the root of the data down, with `EACH` where a list is."""


class Opener(Protocol):
    """What opens sealed bytes; `app.security.sealing.Sealer` does."""

    def open(self, wrapped_key: bytes | None, sealed: bytes, table: str, column: str, row_id: str) -> bytes: ...


class SealedAs(StrEnum):
    """What the sealed bytes of a column are."""

    JSON = "json"
    TEXT = "text"


@dataclass(frozen=True)
class Fill:
    """A sealed field: where it stands in the response, and how its bytes become its value."""

    path: Path
    table: str
    column: str
    sealed_as: SealedAs

    def apply(self, data: Any, opener: Opener) -> None:
        """Replace what the statement left at the path, `[MARK, row id, key, sealed bytes]`, by the opened value."""
        self._walk(data, self.path, opener)

    def _walk(self, value: Any, path: Path, opener: Opener) -> None:
        step, rest = path[0], path[1:]
        if value is None:
            return
        if step is EACH:
            for item in value:
                self._walk(item, rest, opener)
        elif rest:
            self._walk(value.get(step), rest, opener)
        elif _is_left(value.get(step)):
            value[step] = self._open(value[step], opener)

    def _open(self, left: list[str | None], opener: Opener) -> Any:
        _, row_id, key, sealed = left
        if row_id is None or sealed is None:
            return None
        wrapped = bytes.fromhex(key) if key is not None else None
        try:
            opened = opener.open(wrapped, bytes.fromhex(sealed), self.table, self.column, row_id)
        except Erased:
            return None
        return orjson.loads(opened) if self.sealed_as is SealedAs.JSON else opened.decode()


def _is_left(value: Any) -> bool:
    return isinstance(value, list) and value[:1] == [MARK]


def fill(data: Any, fills: Sequence[Fill], opener: Opener) -> Any:
    """The data with every sealed field opened; erased ones are null."""
    for each in fills:
        each.apply(data, opener)
    return data
