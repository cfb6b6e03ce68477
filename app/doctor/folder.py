"""Checks of the data folder, and of the secrets that are kept in it."""

import os
import pwd
import shutil
import stat
from pathlib import Path

from app.doctor.findings import Finding, fine, problem, warning
from app.doctor.installation import Installation
from app.security.sealing import parse_master_key
from app.security.tokens import is_secret

DISK_LOW = 2 << 30
DISK_FULL = 256 << 20
"""Bytes free: below the first there is trouble ahead, below the second PostgreSQL stops any moment."""
GIB = 1 << 30


def data_folder(installation: Installation) -> Finding:
    """The folder is there, ours, and nobody else can put files into it."""
    name, folder = "data folder", installation.data_dir
    if not folder.exists():
        return warning(
            name,
            f"{folder} does not exist.",
            "`hub up` makes it at its first start. If the hub has run before, HUB_DATA_DIR names another folder now.",
        )
    if not folder.is_dir():
        return problem(name, f"{folder} is not a folder.", "Set HUB_DATA_DIR to a folder, or move that file away.")
    found = folder.stat()
    if os.geteuid() not in (0, found.st_uid):
        return problem(
            name,
            f"{folder} belongs to {_account(found.st_uid)}, and this is {_account(os.geteuid())}.",
            f"Run the hub as {_account(found.st_uid)}, or set HUB_DATA_DIR to a folder of your own.",
        )
    if found.st_mode & 0o022:
        return problem(
            name,
            f"{folder} has mode {stat.S_IMODE(found.st_mode):o}: others can replace the master key and the database.",
            f"chmod go-w {folder}",
        )
    return fine(name, f"{folder}, mode {stat.S_IMODE(found.st_mode):o}, of {_account(found.st_uid)}.")


def disk_space(installation: Installation) -> Finding:
    """There is room for the data to grow."""
    name, folder = "disk space", installation.data_dir
    folder = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(folder).free
    message = f"{free / GIB:.1f} GiB are free at {folder}."
    remedy = "Make room on that disk, or move the data folder to another one (HUB_DATA_DIR) while the hub is stopped."
    if free < DISK_FULL:
        return problem(name, message + " PostgreSQL stops when it cannot write.", remedy)
    return warning(name, message, remedy) if free < DISK_LOW else fine(name, message)


def master_key(installation: Installation) -> Finding:
    """The key that opens sealed decisions is there, whole, and nobody else reads it."""
    name, path = "master key", installation.master_key_file
    if installation.master_key is not None:
        fault = _key_fault(installation.master_key)
        if fault:
            return problem(name, f"HUB_MASTER_KEY: {fault}.", "Set it to the 64 hexadecimal digits of the right key.")
        return fine(name, "Given by HUB_MASTER_KEY.")
    if not path.exists():
        return _missing_key(installation)
    if _open_to_others(path):
        return _open_file(name, path)
    fault = _key_fault(path.read_text(errors="replace"))
    if fault:
        return problem(name, f"{path}: {fault}.", f"Put {path.name} back from a backup; it cannot be computed.")
    return fine(name, f"{path}, mode 600.")


def admin_token(installation: Installation) -> Finding:
    """The first administrator's token is where the client commands look for it, and nobody else reads it."""
    name, path = "admin token file", installation.admin_token_file
    if not path.exists():
        if not installation.is_embedded:
            return fine(name, "None here; with HUB_DATABASE_URL it lies where the database was first migrated from.")
        return warning(
            name,
            f"There is no {path}.",
            "The first `hub up` makes it. If it was deleted, give commands a token by HUB_TOKEN; to make a new admin "
            "token, `hub token create NAME --role admin` with any other admin token.",
        )
    if _open_to_others(path):
        return _open_file(name, path)
    if not is_secret(path.read_text(errors="replace").strip()):
        return problem(
            name, f"{path} does not hold a token.", f"Put a token of the role admin into {path}, or set HUB_TOKEN."
        )
    return fine(name, f"{path}, mode 600.")


def _missing_key(installation: Installation) -> Finding:
    path = installation.master_key_file
    if (installation.data_dir / "pg").exists():
        return problem(
            "master key",
            f"There is a database in {installation.data_dir}, and no {path.name}: its sealed decisions cannot be read.",
            f"Put {path.name} back from a backup before the hub starts, which would make another key.",
        )
    return warning(
        "master key",
        f"There is no {path} yet.",
        "The first start makes it. Processes that share one database need the same key: set HUB_MASTER_KEY for all.",
    )


def _open_file(name: str, path: Path) -> Finding:
    mode = stat.S_IMODE(path.stat().st_mode)
    return problem(name, f"{path} has mode {mode:o}: others than its owner can get at it.", f"chmod 600 {path}")


def _open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o077)


def _key_fault(text: str) -> str | None:
    try:
        parse_master_key(text)
    except ValueError as error:
        return str(error)
    return None


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"


CHECKS = (data_folder, disk_space, master_key, admin_token)
