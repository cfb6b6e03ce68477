"""The master key in its files: made at the first start, followed while it changes, replaced by a new one.

`master.key` is the current key. While a rotation is under way `master.key.previous` holds the one before: it still
opens what is not wrapped anew yet. Every step of a rotation is one atomic change in the folder, so a process that is
killed between two leaves a state from which the next one goes on.
"""

import os
import tempfile
from pathlib import Path

import structlog

from app.security.sealing import KEY_BYTES, MasterKey, parse_master_key

Stamp = tuple[int, int, int] | None

log = structlog.get_logger(__name__)


class KeyFiles:
    """The keys of a data folder, read again when they changed: a rotation needs no restart of anybody."""

    def __init__(self, path: Path, *others: bytes) -> None:
        """Read the keys; the first is made when there is none. `others` open too. Raises `OSError`, `ValueError`."""
        self.path = path
        self._others = tuple(map(MasterKey, others))
        self.previous_path = path.with_name(f"{path.name}.previous")
        load_or_create_master_key(path)
        self._stamps = self._seen()
        self._current, self._previous = self._read()

    def current(self) -> MasterKey:
        """The key that wraps new data keys, as it is in the folder at this moment: one `stat`, 10 µs."""
        if _stamp(self.path) != self._stamps[0]:
            self._refresh()
        return self._current

    def find(self, key_id: bytes) -> MasterKey | None:
        """The key with this id; one that is not known yet is looked for in the folder."""
        found = self._known(key_id)
        if found is None and self._seen() != self._stamps:
            self._refresh()
            found = self._known(key_id)
        return found

    @property
    def is_rotating(self) -> bool:
        """Whether a rotation has begun, and has not come to its end."""
        self._refresh()
        return self._previous is not None and self._previous.key_id != self._current.key_id

    def begin_rotation(self) -> None:
        """Make a new key the current one and keep the old one beside it, unless that was done already.

        Only one process may do this at a time. Raises `OSError`.
        """
        if self.is_rotating:
            return
        if self.path.is_symlink():
            raise OSError(f"{self.path} is a link, so another program owns it; rotate the key there")
        for draft in self.path.parent.glob(f".{self.path.name}.next.*"):
            # of a rotation that was killed before this key was used
            draft.unlink(missing_ok=True)
        draft = _draft(self.path, ".next")
        if not self.previous_path.exists():
            self.previous_path.hardlink_to(self.path)
            _sync_folder(self.path.parent)
        draft.replace(self.path)
        _sync_folder(self.path.parent)
        self._refresh()

    def retire_previous(self) -> None:
        """Destroy the old key. What it alone could open is lost, so nothing may be wrapped by it any more."""
        self.previous_path.unlink(missing_ok=True)
        _sync_folder(self.path.parent)
        self._refresh()

    def _known(self, key_id: bytes) -> MasterKey | None:
        keys = (self._current, self._previous, *self._others)
        return next((key for key in keys if key is not None and key.key_id == key_id), None)

    def _refresh(self) -> None:
        """Read the keys again; those at hand stay when that cannot be done."""
        stamps = self._seen()
        try:
            self._current, self._previous = self._read()
        except (OSError, ValueError) as error:
            log.warning("the master key cannot be read again; the one at hand is kept", error=str(error))
        else:
            # those from before the reading: a change in between is noticed the next time
            self._stamps = stamps

    def _read(self) -> tuple[MasterKey, MasterKey | None]:
        # the previous key first: read the other way round, a rotation in between would hide the key that it replaced
        previous = _read_key(self.previous_path) if self.previous_path.exists() else None
        current = _read_key(self.path)
        if previous is None and self.previous_path.exists():
            previous = _read_key(self.previous_path)
        return current, previous

    def _seen(self) -> tuple[Stamp, Stamp]:
        return _stamp(self.path), _stamp(self.previous_path)


def load_or_create_master_key(path: Path) -> bytes:
    """The key in the file, made at the first call: 64 hexadecimal digits, readable by its owner only.

    Two processes that start at once agree on one key: the file appears whole, by a link that fails if it exists.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft(path, "")
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return parse_master_key(path.read_text())


def _draft(path: Path, mark: str) -> Path:
    """A new key in a file beside `path`, on the disk before it gets its name."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}{mark}.", dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(os.urandom(KEY_BYTES).hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


def _read_key(path: Path) -> MasterKey:
    return MasterKey(parse_master_key(path.read_text()))


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _sync_folder(folder: Path) -> None:
    """Make what was renamed, linked or removed outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
