"""How a listing is answered: the connection as data, a table for people, and whether there is more."""

from collections.abc import Callable, Sequence
from typing import Any

from app.client.command import Answer
from app.client.output import print_table
from app.client.paging import Found, Node


def listing(found: Found, columns: Sequence[str], cells: Callable[[Node], Sequence[Any]], *, empty: str) -> Answer:
    """Show what a search found. The sentence `empty` stands for an empty table, unless the search was given up."""
    notes = _notes(found)

    def show() -> None:
        if found.nodes or not found.given_up:
            print_table(columns, [cells(node) for node in found.nodes], empty=empty)

    return Answer(found.data, show, notes)


def _notes(found: Found) -> list[str]:
    if found.given_up:
        return [
            f"Only {found.searched:,} were searched, and {len(found.nodes):,} of them fit; there are more. "
            f"Go on with --after {found.end_cursor}"
        ]
    return [f"There are more: --after {found.end_cursor}"] if found.has_more else []
