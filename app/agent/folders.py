"""Where the commands of an agent run: a folder for each attempt at a task, or one folder for all."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from app.agent.hub import Task


@dataclass(frozen=True)
class Folders:
    """`run_in` is the one folder for all tasks; without it each attempt has its own below `work_dir`.

    A folder is removed once the task is answered, unless `keep` is set; after a failure it stays.
    """

    work_dir: Path
    run_in: Path | None = None
    keep: bool = False

    def make(self, task: Task) -> Path:
        """The folder that the command runs in."""
        folder = self.of(task)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def of(self, task: Task) -> Path:
        return self.run_in or self.work_dir / f"{task.task_id}-{task.attempt}"

    def answered(self, task: Task) -> None:
        """The task succeeded: what it left goes, unless it is to be kept."""
        if self.run_in is None and not self.keep:
            shutil.rmtree(self.of(task), ignore_errors=True)
