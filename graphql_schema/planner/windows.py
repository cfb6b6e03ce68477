"""Which part of a connection is asked for: `first` or `last` many, after a place, before a place."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.domain.errors import InvalidInput
from graphql_schema.planner.builder import Builder, dotted
from graphql_schema.planner.cursors import Cursors, Foreign
from graphql_schema.planner.decisions import Answer
from graphql_schema.planner.fills import Path
from graphql_schema.planner.keys import Malformed
from graphql_schema.planner.orders import Place
from graphql_schema.planner.selection import Selected

PAGE_DEFAULT = 20
PAGE_MAX = 100


class Edge(StrEnum):
    """What an `after` or `before` was found to be, unless it is a place: then its answer says which values are null."""

    NONE = "none"
    MALFORMED = "malformed"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class Window:
    """A part of a connection, read from its start, or for `last` from its end."""

    size: int
    backward: bool
    after: Place | None
    before: Place | None


def window(build: Builder, selected: Selected, path: Path, cursors: Cursors) -> Window:
    """The part that the arguments ask for. Raises `InvalidInput`."""
    first, last = _size(build, selected, path, "first"), _size(build, selected, path, "last")
    if first is not None and last is not None:
        raise InvalidInput("Ask for `first` or for `last`, not for both.", _place(path, "last"))
    after, before = (_edge(build, selected, path, cursors, argument) for argument in ("after", "before"))
    return Window(first or last or PAGE_DEFAULT, last is not None, after, before)


def _size(build: Builder, selected: Selected, path: Path, argument: str) -> int | None:
    size = build.selection.decide(selected.argument(argument), judge_size)
    if size is False:
        raise InvalidInput(f"{argument} must be from 1 to {PAGE_MAX}.", _place(path, argument))
    return size if isinstance(size, int) else None


def judge_size(value: Any) -> Answer:
    """The size of a page; None where it was left out, False when it is out of bounds."""
    if value is None:
        return None
    return value if 1 <= value <= PAGE_MAX else False


def _edge(build: Builder, selected: Selected, path: Path, cursors: Cursors, argument: str) -> Place | None:
    source = selected.argument(argument)
    match build.selection.decide(source, _Judge(cursors)):
        case Edge.NONE:
            return None
        case Edge.FOREIGN:
            raise InvalidInput(
                f"{argument} is a cursor of another connection or of another order; pass one that this connection "
                "gave in this order.",
                _place(path, argument),
            )
        case (*nulls,):
            return [
                None if is_null else build.bind(source, _Pick(cursors, index), cursors.ordering.terms[index].type)
                for index, is_null in enumerate(nulls)
            ]
        case _:
            raise InvalidInput(f"{argument} is no cursor; pass one that this connection gave.", _place(path, argument))


@dataclass(frozen=True)
class _Judge:
    """What an `after` or `before` is. Equal for equal connections, so that the question is asked once."""

    cursors: Cursors

    def __call__(self, value: Any) -> Answer:
        if value is None:
            return Edge.NONE
        try:
            return tuple(part is None for part in self.cursors.parse(value))
        except Foreign:
            return Edge.FOREIGN
        except Malformed:
            return Edge.MALFORMED


@dataclass(frozen=True)
class _Pick:
    """One of the values in a cursor."""

    cursors: Cursors
    index: int

    def __call__(self, value: Any) -> Any:
        return self.cursors.parse(value)[self.index]


def _place(path: Sequence[str | None], argument: str) -> str:
    return ".".join((*dotted(tuple(path)), argument))
