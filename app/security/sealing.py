"""Sealing: AES-256-GCM with a data key a row, wrapped by the master key.

Every ciphertext is bound to its table, column and row, so none can be moved to another place. Destroying a row's
wrapped data key erases what it sealed, in every copy and backup.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_ID_BYTES = 8


class Erased(Exception):
    """The data key is gone: the sealed text cannot be had any more, by anybody."""


class WrongMasterKey(Exception):
    """The data key was wrapped by another master key, or the ciphertext was moved or changed."""


@dataclass(frozen=True)
class SealedRow:
    """The sealed columns of one row, and the wrapped data key that opens them."""

    wrapped_key: bytes
    columns: Mapping[str, bytes]


class Sealer:
    """Seals and opens with one master key of 32 bytes."""

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != KEY_BYTES:
            raise ValueError(f"the master key must have {KEY_BYTES} bytes, it has {len(master_key)}")
        self._master = AESGCM(master_key)
        self.key_id = hashlib.sha256(b"hub master key id\x00" + master_key).digest()[:KEY_ID_BYTES]

    def wrapped(self, wrapped_key: bytes) -> bool:
        """Whether this master key wrapped the data key."""
        return wrapped_key[:KEY_ID_BYTES] == self.key_id

    def seal_row(self, table: str, row_id: str, columns: Mapping[str, bytes]) -> SealedRow:
        """Seal the columns of a new row under a fresh data key."""
        data_key = AESGCM.generate_key(KEY_BYTES * 8)
        sealed = {name: _encrypt(AESGCM(data_key), text, table, name, row_id) for name, text in columns.items()}
        wrapped = self.key_id + _encrypt(self._master, data_key, table, "sealed_key", row_id)
        return SealedRow(wrapped, sealed)

    def open(self, wrapped_key: bytes | None, sealed: bytes, table: str, column: str, row_id: str) -> bytes:
        """The text sealed in one column. Raises `Erased` or `WrongMasterKey`."""
        if wrapped_key is None:
            raise Erased
        if not self.wrapped(wrapped_key):
            raise WrongMasterKey
        data_key = _decrypt(self._master, wrapped_key[KEY_ID_BYTES:], table, "sealed_key", row_id)
        return _decrypt(AESGCM(data_key), sealed, table, column, row_id)


def load_or_create_master_key(path: Path) -> bytes:
    """The key in the file, made at the first call: 64 hexadecimal digits, readable by its owner only.

    Two processes that start at once agree on one key: the file appears whole, by a link that fails if it exists.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        draft = Path(name)
        with os.fdopen(descriptor, "w") as file:
            file.write(os.urandom(KEY_BYTES).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return parse_master_key(path.read_text())


def parse_master_key(text: str) -> bytes:
    """The key that 64 hexadecimal digits spell; `ValueError` says what is wrong without showing it."""
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        raise ValueError("the master key must be 64 hexadecimal digits") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"the master key must be 64 hexadecimal digits, it has {len(key) * 2}")
    return key


def _place(table: str, column: str, row_id: str) -> bytes:
    return "\x00".join((table, column, row_id)).encode()


def _encrypt(cipher: AESGCM, text: bytes, table: str, column: str, row_id: str) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, text, _place(table, column, row_id))


def _decrypt(cipher: AESGCM, sealed: bytes, table: str, column: str, row_id: str) -> bytes:
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _place(table, column, row_id))
    except InvalidTag:
        raise WrongMasterKey from None
