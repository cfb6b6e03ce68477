"""Which limit a template sets for an input, and what a template may say of it."""

from typing import Any

import pytest

from app.domain.concurrency import ABSENT, ConcurrencyPolicy, Limit, limit_of
from app.domain.errors import InvalidInput
from app.domain.templates import Concurrency, parse_template

REJECT = {"policy": "reject", "key": None, "max": 2}
PHASES = [{"name": "decide", "kind": "decision", "question": "What now?"}]


@pytest.mark.parametrize(
    ("concurrency", "limit"),
    [
        (None, None),
        ({"policy": "allow", "key": None, "max": 1}, None),
        (REJECT, Limit(ConcurrencyPolicy.REJECT, "", 2)),
        ({**REJECT, "key": "site.host"}, Limit(ConcurrencyPolicy.REJECT, '"example.org"', 2)),
        ({**REJECT, "key": "site"}, Limit(ConcurrencyPolicy.REJECT, '{"host":"example.org","port":80}', 2)),
        ({**REJECT, "key": "nothing"}, Limit(ConcurrencyPolicy.REJECT, "null", 2)),
        ({**REJECT, "key": "site.host.name"}, Limit(ConcurrencyPolicy.REJECT, ABSENT, 2)),
        ({**REJECT, "key": "elsewhere"}, Limit(ConcurrencyPolicy.REJECT, ABSENT, 2)),
    ],
)
def test_limits(concurrency: Any, limit: Limit | None) -> None:
    context = {"site": {"port": 80, "host": "example.org"}, "nothing": None}
    assert limit_of(concurrency, context) == limit


def test_long_keys_are_told_apart_by_their_hash() -> None:
    keys = {
        limit.key for limit in (limit_of({**REJECT, "key": "page"}, {"page": "x" * n}) for n in (300, 301)) if limit
    }
    assert len(keys) == 2
    assert all(key.startswith("sha256:") and len(key) == 71 for key in keys)


def test_a_template_says_what_becomes_of_concurrent_starts() -> None:
    data: dict[str, Any] = {"name": "plain", "description": "For a test.", "phases": PHASES}
    assert parse_template(data, "it").concurrency is None
    parsed = parse_template({**data, "concurrency": {"policy": "queue", "key": "page.id"}}, "it")
    assert parsed.concurrency == Concurrency(policy=ConcurrencyPolicy.QUEUE, key="page.id", max=1)


@pytest.mark.parametrize(
    ("concurrency", "path"),
    [
        ({}, "concurrency.policy"),
        ({"policy": "sometimes"}, "concurrency.policy"),
        ({"policy": "queue", "max": 0}, "concurrency.max"),
        ({"policy": "queue", "max": 1_001}, "concurrency.max"),
        ({"policy": "queue", "key": ""}, "concurrency.key"),
        ({"policy": "queue", "key": "a..b"}, "concurrency.key"),
        ({"policy": "queue", "most": 1}, "concurrency.most"),
    ],
)
def test_what_a_template_may_not_say(concurrency: dict[str, Any], path: str) -> None:
    data = {"name": "plain", "description": "For a test.", "phases": PHASES, "concurrency": concurrency}
    with pytest.raises(InvalidInput, match=rf"^it is not a workflow template: {path}: "):
        parse_template(data, "it")
