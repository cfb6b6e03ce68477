"""Python environments of their own, for tools that cannot live in the hub's."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(__file__).parents[1] / "build" / "environments"
INSTALL_SECONDS = 300


def environment_of(lock: Path) -> Path:
    """The folder with the commands of what a lock file names.

    It is made once for each state of the file, every package checked by its hash, by whichever test comes first.
    Raises `CalledProcessError` when a package cannot be had.
    """
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = CACHE / f"{lock.parent.name}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (folder / ".installed").exists():
            _install(lock, folder)
    return folder / "bin"


def _install(lock: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _run(sys.executable, "-m", "venv", folder)
    _run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--require-hashes", "-r", lock)
    (folder / ".installed").touch()


def _run(*command: str | Path) -> None:
    subprocess.run(
        command,
        env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        check=True,
        timeout=INSTALL_SECONDS,
        capture_output=True,
    )
