"""Secrets are scrubbed at the door: what looks like one is replaced before anything of a request is stored or shown.

All texts of a request are examined as one, so that those without secrets cost one search for some literals. What is
found is replaced and nothing around it; scrubbing twice is scrubbing once.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from app.security.secret_assignments import assignments
from app.security.secret_names import SecretName, announced, start_of_secret
from app.security.secret_patterns import PATTERNS, Span, Text, private_keys

KEY_SHOWN = 100
"""Characters of a JSON key in a path."""
PASSES_MAX = 5
"""Removing one secret may bare another; more often than this it does not."""
BETWEEN = "\n\x00\n"
"""Between the texts of one examination."""
NAMING_KEYS = ("name", "key", "variable", "header")
"""Beside a `value`, they name it: `{"name": "DB_PASSWORD", "value": …}`."""


class Found(NamedTuple):
    """A secret that was replaced: its path within the value, empty for a text, and what kind it was taken for."""

    path: str
    kind: str


@dataclass(frozen=True)
class Scrubbed:
    """A value without secrets, and what was found in it; the value itself when that is nothing."""

    value: Any
    found: tuple[Found, ...] = ()


def scrub_text(text: str) -> Scrubbed:
    """The text with each secret replaced by `[secret removed: …]`."""
    return scrub_json(text)


def scrub_json(value: Any) -> Scrubbed:
    """The value with secrets replaced in its texts, its keys, and under keys that announce one; never changed itself.

    The path of `{"deploy": [{"password": …}]}` is `deploy.0.password`.
    """
    texts = Texts()
    slot = texts.add(value)
    found = tuple(texts.scrub())
    return Scrubbed(slot[0], found) if found else Scrubbed(value)


class _Place:
    """A step of a path: a key or an index under another step."""

    __slots__ = ("key", "parent")

    def __init__(self, parent: "_Place | None", key: str) -> None:
        self.parent = parent
        self.key = key

    def path(self) -> str:
        """The steps from the root to here, joined by dots."""
        steps: list[str] = []
        place: _Place | None = self
        while place is not None:
            steps.append(place.key[:KEY_SHOWN])
            place = place.parent
        return ".".join(step for step in reversed(steps) if step)


class _Node(NamedTuple):
    """A value in a container, where it stands, and what its name announces."""

    value: Any
    container: Any
    key: Any
    place: _Place
    name: SecretName | None


class Texts:
    """The texts of one request, wherever they stand in it."""

    def __init__(self) -> None:
        self.size = 0
        """Characters of all texts, those of keys aside."""
        self._leaves: list[_Node] = []
        self._objects: list[tuple[dict[str, Any], list[_Place]]] = []

    def add(self, value: Any, path: str = "") -> list[Any]:
        """Take in a text or any JSON value. The list that is returned holds its copy, which `scrub` changes."""
        slot: list[Any] = [None]
        todo = [_Node(value, slot, 0, _Place(None, path), None)]
        while todo:
            node = todo.pop()
            if isinstance(node.value, str):
                self._leaves.append(node)
                self.size += len(node.value) + len(BETWEEN)
            elif isinstance(node.value, Mapping):
                todo.extend(reversed(self._members(node)))
                continue
            elif isinstance(node.value, (list, tuple)):
                todo.extend(reversed(_items(node)))
                continue
            node.container[node.key] = node.value
        return slot

    def scrub(self) -> list[Found]:
        """Replace the secrets in the copies; what was found, in the order of the texts, that of keys first."""
        keys = list(dict.fromkeys(key for copy, _ in self._objects for key in copy))
        spans = _spans_of([*keys, *(leaf.value for leaf in self._leaves)])
        found = self._rename({key: _scrubbed(key, spans[n]) for n, key in enumerate(keys) if n in spans})
        for number, leaf in enumerate(self._leaves, len(keys)):
            text, kinds = _scrubbed(leaf.value, spans.get(number, []))
            if not kinds and leaf.name is not None and (start := start_of_secret(leaf.name, text)) is not None:
                text, kinds = text[:start] + _marker(leaf.name.kind), [leaf.name.kind]
            if kinds:
                leaf.container[leaf.place.key if isinstance(leaf.container, dict) else leaf.key] = text
                found.extend(Found(leaf.place.path(), kind) for kind in kinds)
        return found

    def _members(self, node: _Node) -> list[_Node]:
        copy: dict[str, Any] = {}
        node.container[node.key] = copy
        inherited = node.name if node.name is not None and node.name.is_plural else None
        members = []
        for key, value in node.value.items():
            copy[key] = None
            name = announced(key) or inherited or (_named_beside(node.value) if key == "value" else None)
            members.append(_Node(value, copy, key, _Place(node.place, key), name))
        self._objects.append((copy, [member.place for member in members]))
        return members

    def _rename(self, renamed: Mapping[str, tuple[str, list[str]]]) -> list[Found]:
        """Give keys their new names; one that is taken already gets a number."""
        found: list[Found] = []
        for copy, places in self._objects:
            if renamed.keys().isdisjoint(copy):
                continue
            members = list(copy.items())
            copy.clear()
            for (key, value), place in zip(members, places, strict=True):
                text, kinds = renamed.get(key, (key, []))
                place.key = _free(text, copy)
                copy[place.key] = value
                found.extend(Found(place.path(), kind) for kind in kinds)
        return found


def _items(node: _Node) -> list[_Node]:
    copy: list[Any] = [None] * len(node.value)
    node.container[node.key] = copy
    return [_Node(item, copy, n, _Place(node.place, str(n)), node.name) for n, item in enumerate(node.value)]


def _named_beside(members: Mapping[str, Any]) -> SecretName | None:
    """What the value of `{"name": …, "value": …}` is called."""
    names = (members.get(key) for key in NAMING_KEYS)
    return next((known for name in names if isinstance(name, str) and (known := announced(name))), None)


def _free(key: str, taken: Mapping[str, Any]) -> str:
    return next(name for name in (key, *(f"{key} {n}" for n in range(2, len(taken) + 3))) if name not in taken)


def _spans_of(texts: Sequence[str]) -> dict[int, list[Span]]:
    """The secrets in each of the texts that has any, by its number."""
    starts = list(accumulate((len(text) + len(BETWEEN) for text in texts), initial=0))
    found: dict[int, list[Span]] = {}
    for span in find_secrets(BETWEEN.join(texts)):
        number = bisect_right(starts, span.start) - 1
        # a key over several texts, line by line, is removed from each
        while number < len(texts) and starts[number] < span.end:
            start, end = max(span.start - starts[number], 0), min(span.end - starts[number], len(texts[number]))
            if start < end:
                found.setdefault(number, []).append(Span(start, end, span.kind))
            number += 1
    return found


def _scrubbed(text: str, spans: Sequence[Span]) -> tuple[str, list[str]]:
    """The text without these secrets and without those that are bared by that; their kinds."""
    kinds: list[str] = []
    for _ in range(PASSES_MAX):
        if not spans:
            break
        text = _replaced(text, spans)
        kinds += [span.kind for span in spans]
        spans = find_secrets(text)
    return text, kinds


def _replaced(text: str, spans: Sequence[Span]) -> str:
    parts, done = [], 0
    for span in spans:
        parts += [text[done : span.start], _marker(span.kind)]
        done = span.end
    return "".join([*parts, text[done:]])


def _marker(kind: str) -> str:
    return f"[secret removed: {kind}]"


DENSE_ANCHORS = sorted({anchor for detector in PATTERNS if detector.dense for anchor in detector.anchors})


def find_secrets(text: str) -> list[Span]:
    """The secrets in a text from its start to its end, none overlapping another."""
    examined = Text(text)
    present = {anchor for anchor in DENSE_ANCHORS if anchor in examined.dense}
    spans = [
        span
        for detector in PATTERNS
        if not (detector.dense and present.isdisjoint(detector.anchors))
        for span in detector.find(examined)
    ]
    spans += private_keys(examined)
    spans += assignments(examined)
    return _merged(spans) if spans else spans


def _merged(spans: Sequence[Span]) -> list[Span]:
    """Spans that overlap as one, of the kind of that which begins first; of the same, of the first detector's."""
    ordered = sorted(spans, key=lambda span: (span.start, -span.end))
    merged = [ordered[0]]
    for span in ordered[1:]:
        last = merged[-1]
        if span.start >= last.end:
            merged.append(span)
        elif span.end > last.end:
            merged[-1] = last._replace(end=span.end)
    return merged
