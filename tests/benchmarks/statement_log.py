"""What transactions cost PostgreSQL by its own clock: from its log, to which every statement is written with its time.

A transaction's time is that of its BEGIN, of all parse, bind and execute steps, and of its COMMIT, flushing included.
It is time that passed, waits for locks, disk and processor included, not processor time. Writing the log costs all
contenders alike and is not part of the times.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ENTRY = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \w+ \[(\d+)\] (.*?)(?=^\d{4}-\d\d-\d\d |\Z)", re.M | re.S)
"""One entry: the process, and the text up to the next entry."""
DURATION = re.compile(r"LOG:  duration: ([\d.]+) ms  (.*)", re.S)
SWITCH_ON = "ALTER DATABASE hub SET log_min_duration_statement = 0"
"""For sessions that begin afterwards."""


@dataclass(frozen=True)
class Transactions:
    """Those that ran a statement, or all statements: how many, and their time in seconds."""

    count: int
    seconds: float


class StatementLog:
    """The part of a server's log that is written from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin = path.stat().st_size

    def transactions(self, marked: str) -> Transactions:
        """The committed transactions in which a statement with this text ran."""
        found = list(_committed(self._text(), marked))
        return Transactions(len(found), sum(found) / 1000)

    def executed(self) -> Transactions:
        """All statements, those that begin and end transactions included; the time is that of all their steps."""
        told = [told for _, entry in ENTRY.findall(self._text()) if (told := DURATION.match(entry)) is not None]
        count = sum(step[2].startswith(("execute", "statement")) for step in told)
        return Transactions(count, sum(float(step[1]) for step in told) / 1000)

    def _text(self) -> str:
        with self._path.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode(errors="replace")


def _committed(text: str, marked: str) -> Iterator[float]:
    """Milliseconds of each transaction, told by the backends that ran them."""
    spent: dict[str, float] = {}
    has_run: dict[str, bool] = {}
    for process, entry in ENTRY.findall(text):
        told = DURATION.match(entry)
        if told is None:
            continue
        milliseconds, statement = float(told[1]), told[2]
        if "BEGIN" in statement[:40]:
            spent[process], has_run[process] = 0.0, False
        if process not in spent:
            continue
        spent[process] += milliseconds
        has_run[process] |= marked in statement
        if "COMMIT" in statement[:40]:
            if has_run[process]:
                yield spent[process]
            del spent[process]
