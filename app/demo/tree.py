"""The Python files of a tree: the same list for every tool that looks at it."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

SKIPPED = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages", "venv"})
"""Folders that hold what was made or brought in, not what was written here. Hidden folders are skipped too."""


def python_files(root: Path, include: Sequence[str] = ()) -> list[Path]:
    """The paths of all `.py` files below `root`, relative to it and sorted; with `include`, only below those folders.

    Links to folders are not followed.
    """
    starts = [root / name for name in include] if include else [root]
    return sorted({path.relative_to(root) for start in starts for path in _walk(start)})


def read_text(path: Path) -> str:
    """The file's text; bytes that are not UTF-8 become replacement characters, so that every file has lines."""
    return path.read_bytes().decode("utf-8", "replace")


def _walk(start: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(start):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in SKIPPED]
        yield from (Path(folder, name) for name in names if name.endswith(".py"))
