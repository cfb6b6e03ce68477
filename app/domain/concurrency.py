"""How many executions of a workflow may be under way at once, and what becomes of one that is started beyond that."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

KEY_SHOWN = 200
"""Longer keys are kept as their hash."""
ABSENT = "-"
"""The key of executions whose input has nothing at the path."""


class ConcurrencyPolicy(StrEnum):
    """What becomes of a start while as many executions as may be are under way."""

    ALLOW = "allow"
    REJECT = "reject"
    QUEUE = "queue"
    REPLACE = "replace"


@dataclass(frozen=True)
class Limit:
    """At most `most` executions of the group `key` of a workflow at once."""

    policy: ConcurrencyPolicy
    key: str
    most: int


def limit_of(concurrency: Any, context: Mapping[str, Any]) -> Limit | None:
    """The limit that a template's `concurrency`, as it is stored, sets for an input; None for no limit."""
    if not concurrency or concurrency["policy"] == ConcurrencyPolicy.ALLOW.value:
        return None
    path = concurrency.get("key")
    key = "" if path is None else _key(context, path)
    return Limit(ConcurrencyPolicy(concurrency["policy"]), key, concurrency.get("max", 1))


def _key(context: Mapping[str, Any], path: str) -> str:
    value: Any = context
    for step in path.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return ABSENT
        value = value[step]
    told = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if len(told) <= KEY_SHOWN:
        return told.decode()
    return f"sha256:{hashlib.sha256(told).hexdigest()}"
