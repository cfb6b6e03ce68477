"""A bounded map that forgets what was not asked for the longest, but for what it is told to keep."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Lru(Generic[Key, Value]):
    """At most `most` entries, beside those that are pinned."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[Key, Value] = OrderedDict()
        self._pinned: dict[Key, Value] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Value | None:
        """What is kept under the key, or None."""
        value = self._entries.get(key)
        if value is None:
            return self._pinned.get(key)
        self._entries.move_to_end(key)
        return value

    def pin(self, key: Key, value: Value) -> None:
        """Keep a value for good."""
        self._pinned[key] = value

    def put(self, key: Key, value: Value) -> None:
        """Keep a value; the one that was not asked for the longest makes room."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)
