"""Sealing: AES-256-GCM with a data key a row, wrapped by the master key.

Every ciphertext is bound to its table, column and row, so none can be moved to another place. Destroying a row's
wrapped data key erases what it sealed, in every copy and backup. A wrapped key begins with the id of the master key
that wrapped it, so that several can be in use while one takes over from another.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.domain.errors import Unavailable

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_ID_BYTES = 8


class Erased(Exception):
    """The data key is gone: the sealed text cannot be had any more, by anybody."""


class WrongMasterKey(Unavailable):
    """The data key was wrapped by a master key that is not here, or the ciphertext was moved or changed."""


@dataclass(frozen=True)
class SealedRow:
    """The sealed columns of one row, and the wrapped data key that opens them."""

    wrapped_key: bytes
    columns: Mapping[str, bytes]


class MasterKey:
    """A master key of 32 bytes: it wraps data keys and nothing else."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the master key must have {KEY_BYTES} bytes, it has {len(key)}")
        self._cipher = AESGCM(key)
        self.key_id = hashlib.sha256(b"hub master key id\x00" + key).digest()[:KEY_ID_BYTES]

    def wrap(self, data_key: bytes, table: str, row_id: str) -> bytes:
        """The data key of a row, wrapped."""
        return self.key_id + _encrypt(self._cipher, data_key, table, "sealed_key", row_id)

    def unwrap(self, wrapped_key: bytes, table: str, row_id: str) -> bytes:
        """The data key of a row, which this key has wrapped. Raises `WrongMasterKey`."""
        return _decrypt(self._cipher, wrapped_key[KEY_ID_BYTES:], table, "sealed_key", row_id)


class MasterKeys(Protocol):
    """The master keys at hand: one that wraps, and perhaps others that still open."""

    def current(self) -> MasterKey:
        """The key that wraps new data keys."""

    def find(self, key_id: bytes) -> MasterKey | None:
        """The key with this id."""


class FixedKeys:
    """Master keys that stay as they are for the life of the process."""

    def __init__(self, current: bytes, *others: bytes) -> None:
        self._current = MasterKey(current)
        self._all = {key.key_id: key for key in (*map(MasterKey, others), self._current)}

    def current(self) -> MasterKey:
        """The first of them."""
        return self._current

    def find(self, key_id: bytes) -> MasterKey | None:
        """The one with this id."""
        return self._all.get(key_id)


class Sealer:
    """Seals with the current master key, opens with all that are at hand."""

    def __init__(self, keys: bytes | MasterKeys) -> None:
        self._keys: MasterKeys = FixedKeys(keys) if isinstance(keys, bytes) else keys

    @property
    def key_id(self) -> bytes:
        """The id of the current master key."""
        return self._keys.current().key_id

    def wrapped(self, wrapped_key: bytes) -> bool:
        """Whether a master key that is at hand wrapped the data key."""
        return self._keys.find(wrapped_key[:KEY_ID_BYTES]) is not None

    def require_known(self, newest: bytes | None) -> None:
        """Refuse to seal beside what is sealed with a key that is not here. Raises `WrongMasterKey`."""
        if newest is not None and not self.wrapped(newest):
            raise unknown_key(newest[:KEY_ID_BYTES], "Nothing was written. What is sealed in this database")

    def seal_row(self, table: str, row_id: str, columns: Mapping[str, bytes]) -> SealedRow:
        """Seal the columns of a new row under a fresh data key."""
        data_key = AESGCM.generate_key(KEY_BYTES * 8)
        sealed = {name: _encrypt(AESGCM(data_key), text, table, name, row_id) for name, text in columns.items()}
        return SealedRow(self._keys.current().wrap(data_key, table, row_id), sealed)

    def open(self, wrapped_key: bytes | None, sealed: bytes, table: str, column: str, row_id: str) -> bytes:
        """The text sealed in one column. Raises `Erased` or `WrongMasterKey`."""
        if wrapped_key is None:
            raise Erased
        data_key = self._data_key(wrapped_key, table, row_id)
        return _decrypt(AESGCM(data_key), sealed, table, column, row_id)

    def rewrap(self, wrapped_key: bytes, table: str, row_id: str) -> bytes:
        """The same data key, wrapped by the current master key. Raises `WrongMasterKey`."""
        return self._keys.current().wrap(self._data_key(wrapped_key, table, row_id), table, row_id)

    def _data_key(self, wrapped_key: bytes, table: str, row_id: str) -> bytes:
        key_id = wrapped_key[:KEY_ID_BYTES]
        key = self._keys.find(key_id)
        if key is None:
            raise unknown_key(key_id, f"The sealed fields of {row_id} in {table}")
        return key.unwrap(wrapped_key, table, row_id)


def unknown_key(key_id: bytes, what: str) -> WrongMasterKey:
    """The error for what is sealed under a master key that this process does not have."""
    return WrongMasterKey(
        f"{what} cannot be opened here: the process that answers does not have the master key {key_id.hex()}. "
        "The administrator must give it that key, as master.key or master.key.previous in its data folder, or by "
        "HUB_MASTER_KEY or HUB_MASTER_KEY_PREVIOUS. All but the sealed fields can be read meanwhile."
    )


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
        raise WrongMasterKey(
            f"The sealed {column} of {row_id} in {table} cannot be opened: it was changed or moved since. "
            "Restore it from a backup; all but the sealed fields can be read meanwhile."
        ) from None
