"""Cursors: opaque strings that name a database and a place in its event log.

A cursor of one database sorts among the others of that database, byte for byte, as its event does among the events.
"""

import base64
import binascii
import struct
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from app.domain.errors import InvalidInput
from db.queries.events import Position

_LAYOUT = struct.Struct(">HqIQQq")
_CHECKSUM = struct.Struct(">I")
_VERSION = 1
_LENGTH = 56
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_SORTED = bytes(sorted(b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"))
_TO_SORTED = bytes.maketrans(_BASE64, _SORTED)
_FROM_SORTED = bytes.maketrans(_SORTED, _BASE64)


class DatabaseIdentity(NamedTuple):
    """What tells one database from another, its restored copy in another cluster included."""

    system_identifier: int
    database_oid: int


def encode_cursor(database: DatabaseIdentity, position: Position) -> str:
    """The cursor of a place: 56 characters that need no escaping in a URL."""
    microseconds = (position.created_at - _EPOCH) // _MICROSECOND
    packed = _LAYOUT.pack(_VERSION, *database, position.xid, position.id, microseconds)
    return base64.b64encode(packed + _checksum(packed)).translate(_TO_SORTED).decode("ascii")


def decode_cursor(text: str) -> tuple[DatabaseIdentity, Position]:
    """The database and place that a cursor names. Raises `InvalidInput` for what is no cursor of the hub."""
    try:
        packed = _unpacked(text)
        version, system_identifier, database_oid, xid, event_id, microseconds = _LAYOUT.unpack(packed)
        created_at = _EPOCH + microseconds * _MICROSECOND
    except (ValueError, struct.error, OverflowError):
        raise _malformed() from None
    if version != _VERSION or max(xid, event_id) >= 2**63:
        raise _malformed()
    return DatabaseIdentity(system_identifier, database_oid), Position(xid, event_id, created_at)


def _unpacked(text: str) -> bytes:
    if len(text) != _LENGTH:
        raise ValueError("wrong length")
    ordered = text.encode("ascii")
    if ordered.translate(None, _SORTED):
        raise ValueError("characters that no cursor has")
    raw = base64.b64decode(ordered.translate(_FROM_SORTED), validate=True)
    packed, checksum = raw[: _LAYOUT.size], raw[_LAYOUT.size :]
    if checksum != _checksum(packed):
        raise ValueError("wrong checksum")
    return packed


def _checksum(packed: bytes) -> bytes:
    return _CHECKSUM.pack(binascii.crc32(packed))


def _malformed() -> InvalidInput:
    return InvalidInput(
        "This is no cursor of the hub. Pass the `cursor` of a payload unchanged, or leave `after` out to begin now.",
        "after",
    )
