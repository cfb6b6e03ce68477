"""Waiting times between attempts."""

import random


class Backoff:
    """Delays in seconds that double from `first` to `longest`, each shortened by chance by up to a half.

    The chance keeps many clients from coming back at the same instant after the hub was away.
    """

    def __init__(self, first: float = 0.25, longest: float = 15.0) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def reset(self) -> None:
        """Begin anew: the last attempt succeeded."""
        self._next = self._first

    def delay(self) -> float:
        """The time to wait before the next attempt."""
        delay, self._next = self._next, min(self._next * 2, self._longest)
        return delay * random.uniform(0.5, 1.0)  # noqa: S311  (spreads load, guards nothing)
