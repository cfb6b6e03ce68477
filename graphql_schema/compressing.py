"""Compression of large answers: which coding a client takes (RFC 9110, section 12.5.3), and the bytes in it.

Every coding is used at its quickest: measured on the hub's own answers, the next levels take twice the time for a tenth
less. docs/adr/0022 has the figures.
"""

import asyncio
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import brotli  # type: ignore[import-untyped]

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SMALLEST = 1_400
"""Bytes: what is shorter fits into one packet with its head, so that nothing is gained by making it shorter still."""
IN_A_THREAD = 262_144
"""Bytes from which on it is done beside the event loop: one millisecond of the slowest coding."""
IDENTITY = "identity"
ANY = "*"
GZIP_WINDOW = 31
"""zlib's way to say: the widest window, and gzip's frame around it."""


def _zstd(body: bytes) -> bytes:
    return zstd.compress(body, 1)


def _brotli(body: bytes) -> bytes:
    compressed: bytes = brotli.compress(body, quality=1)
    return compressed


def _gzip(body: bytes) -> bytes:
    return zlib.compress(body, 1, wbits=GZIP_WINDOW)


CODINGS: Mapping[str, Callable[[bytes], bytes]] = {"zstd": _zstd, "br": _brotli, "gzip": _gzip}
"""The best one first: it is taken where a client has no preference."""


@dataclass(frozen=True)
class Accepted:
    """What a client takes: the coding that it prefers, if any, and whether it refuses what has none."""

    coding: str | None = None
    refuses_plain: bool = False


@lru_cache(maxsize=64)
def accepted(header: str) -> Accepted:
    """What an Accept-Encoding header says; clients send few different ones, so the answers are kept."""
    weights = dict(_weighed(item) for item in header.lower().split(",") if item.strip())
    rest = weights.get(ANY, 0.0)
    coding = max(CODINGS, key=lambda name: weights.get(name, rest))
    weight = weights.get(coding, rest)
    if not weight or weights.get(IDENTITY, 0.0) > weight:
        return Accepted()
    return Accepted(coding, refuses_plain=weights.get(IDENTITY, weights.get(ANY)) == 0.0)


def _weighed(item: str) -> tuple[str, float]:
    """A coding and its weight, which is 1 where there is none, and 0 where it makes no sense."""
    coding, *parameters = (part.strip() for part in item.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return coding, _weight(value)
    return coding, 1.0


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0


async def compressed(body: bytes, header: str) -> tuple[bytes, str | None]:
    """The body in the coding that an Accept-Encoding header prefers, with its name; as it is where none is worth it."""
    taken = accepted(header)
    if taken.coding is None or (len(body) < SMALLEST and not taken.refuses_plain):
        return body, None
    encode = CODINGS[taken.coding]
    if len(body) < IN_A_THREAD:
        return encode(body), taken.coding
    return await asyncio.to_thread(encode, body), taken.coding
