"""What an agent has at hand, on disk, so that its own end loses no result and repeats no work unseen."""

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from app.agent.hub import Task
from app.agent.process import Finished
from app.client.errors import ClientError
from app.domain.tasks import TaskKind

FOLDER = ".hub-agent"
LOST = "lost"
"""Below the journal: the results that the hub did not take."""


class JournalUnusable(ClientError):
    """The folder for the agent's journal cannot be written, or another process of the same agent has it."""


class Stage(StrEnum):
    """How far a task is. Only in the first is it certain that its command has done nothing yet."""

    CLAIMED = "claimed"
    RUNNING = "running"
    FINISHED = "finished"


@dataclass(frozen=True)
class Entry:
    """A task at hand; `finished` is how its command ended, once it has."""

    task: Task
    stage: Stage
    finished: Finished | None = None


class Journal:
    """One file a task, replaced as a whole and forced to the disk before the next step is taken."""

    def __init__(self, work_dir: Path, agent_id: str) -> None:
        self._folder = work_dir / FOLDER / agent_id
        self._lock: int | None = None

    def __enter__(self) -> Self:
        """Take the journal for this process. Raises `JournalUnusable`."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.__exit__()
            raise JournalUnusable(
                f"Another process of this agent works in {self._folder.parent.parent}. Nothing was started: stop it, "
                "or give this one another --work-dir."
            ) from None
        except OSError as error:
            raise JournalUnusable(
                f"The agent cannot keep its journal in {self._folder}: {error}. Nothing was started: give a folder "
                "that it may write with --work-dir."
            ) from None
        return self

    def __exit__(self, *error: object) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def write(self, entry: Entry) -> None:
        """Keep the entry in place of the one before; it is on the disk when this returns."""
        path = self._path(entry.task.task_id)
        fresh = path.with_suffix(".new")
        with fresh.open("w") as file:
            # what a program printed may hold half a character, which only escapes carry
            json.dump(_as_json(entry), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        self._sync()

    def forget(self, task_id: str) -> None:
        """The task is no longer at hand."""
        self._path(task_id).unlink(missing_ok=True)

    def set_aside(self, task_id: str) -> Path:
        """Keep the entry of a task whose result the hub did not take, for people to read; where it is."""
        kept = self._folder / LOST
        kept.mkdir(exist_ok=True)
        place = kept / self._path(task_id).name
        with suppress(FileNotFoundError):
            self._path(task_id).replace(place)
        return place

    def entries(self) -> list[Entry]:
        """What was at hand when the process before ended, oldest first."""
        return [_from_json(json.loads(path.read_text())) for path in sorted(self._folder.glob("*.json"))]

    def has_results(self) -> bool:
        """Whether a result waits for the hub."""
        return any(entry.stage is Stage.FINISHED for entry in self.entries())

    def _path(self, task_id: str) -> Path:
        return self._folder / f"{task_id}.json"

    def _sync(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _as_json(entry: Entry) -> dict[str, Any]:
    finished = asdict(entry.finished) if entry.finished is not None else None
    return {"stage": entry.stage.value, "task": asdict(entry.task), "finished": finished}


def _from_json(kept: Mapping[str, Any]) -> Entry:
    task = Task(**{**kept["task"], "kind": TaskKind(kept["task"]["kind"])})
    finished = Finished(**kept["finished"]) if kept["finished"] is not None else None
    return Entry(task, Stage(kept["stage"]), finished)
