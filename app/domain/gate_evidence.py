"""What a gate's reviewers and its verdict have before them: items, each with its hash, and one hash over all of them.

Canonical JSON is JSON with sorted keys, without white space, in UTF-8, numbers as Python writes them, so that anybody
can compute the hashes again. docs/adr/0030.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.domain.errors import EvidenceChanged, InvalidInput

ITEMS_MAX = 1_000
"""Items of one gate that are told one by one; of more, the rest is one item of its own."""
VALUE_MAX = 200
"""Characters of the value that an item shows."""
SHA256 = re.compile(r"^[0-9a-f]{64}$")
GIT_TREE = re.compile(r"^[0-9a-f]{40}([0-9a-f]{24})?$")


class EvidenceKind(StrEnum):
    """What an item of evidence is."""

    RESULT = "result"
    ARTIFACT = "artifact"
    GIT_TREE = "git_tree"
    DECISION = "decision"
    GATE = "gate"
    CHECK = "check"
    REST = "rest"


@dataclass(frozen=True)
class Evidence:
    """The items, in their order, and the hash over all of them."""

    items: Sequence[Mapping[str, Any]]
    sha256: str

    def columns(self) -> dict[str, Any]:
        """As a gate keeps it."""
        return {"evidence": list(self.items), "evidence_hash": self.sha256}


def canonical_json(value: Any) -> bytes:
    """The one way to write this JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256_of(value: Any) -> str:
    """The hash of a JSON value, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def item(kind: EvidenceKind, phase: str | None, name: str, value: Any, sha256: str | None = None) -> dict[str, Any]:
    """An item: `sha256` is the value's, unless somebody has computed one of what the value only names."""
    shown = value if isinstance(value, str) and len(value) <= VALUE_MAX else None
    return {"kind": kind.value, "phase": phase, "name": name, "value": shown, "sha256": sha256 or sha256_of(value)}


def items_of_result(phase: str, name: str, result: Any) -> list[dict[str, Any]]:
    """The items of a task's result: the result itself, its `artifacts`, and its `git_tree`.

    An artifact is an object with `name` or `path`; its `sha256`, where it gives one, stands for its contents. A git
    tree is the hash of one, as `git rev-parse HEAD^{tree}` tells it.
    """
    found = [item(EvidenceKind.RESULT, phase, name, result)]
    if not isinstance(result, Mapping):
        return found
    artifacts = result.get("artifacts")
    for artifact in artifacts if isinstance(artifacts, list) else ():
        if isinstance(artifact, Mapping) and (called := artifact.get("path") or artifact.get("name")):
            given = artifact.get("sha256")
            known = given if isinstance(given, str) and SHA256.match(given) else None
            found.append(item(EvidenceKind.ARTIFACT, phase, f"{name}: {called}"[:VALUE_MAX], artifact, known))
    tree = result.get("git_tree")
    if isinstance(tree, str) and GIT_TREE.match(tree):
        found.append(item(EvidenceKind.GIT_TREE, phase, name, tree))
    return found


def items_of_checks(checks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The items of a gate's checks, as they were measured."""
    return [item(EvidenceKind.CHECK, None, str(check["name"]), dict(check)) for check in checks]


def gather(items: Sequence[Mapping[str, Any]]) -> Evidence:
    """All items with the hash over them, in an order that does not depend on how they were found."""
    ordered = sorted(items, key=_place)
    sha256 = sha256_of([[*_place(found), found["sha256"]] for found in ordered])
    if len(ordered) > ITEMS_MAX:
        rest = [[*_place(found), found["sha256"]] for found in ordered[ITEMS_MAX - 1 :]]
        ordered = [*ordered[: ITEMS_MAX - 1], item(EvidenceKind.REST, None, f"{len(rest)} more", rest)]
    return Evidence(ordered, sha256)


def changed_items(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], *, added: bool) -> list[str]:
    """What differs, in words; what came in addition counts only with `added`."""
    old, new = ({_place(found): found["sha256"] for found in items} for items in (before, now))
    told = [
        f"{_named(place)} {'changed' if place in new else 'is gone'}" for place in old if new.get(place) != old[place]
    ]
    return told + [f"{_named(place)} was added" for place in new if added and place not in old]


def require_same(seen: str | None, evidence: Evidence) -> None:
    """Raise `EvidenceChanged` when somebody names a hash that is not that of the evidence now, and `InvalidInput` for
    what is no hash.
    """
    if seen is None:
        return
    named = seen.strip().lower()
    if not SHA256.fullmatch(named):
        raise InvalidInput(
            "evidenceHash must be 64 hexadecimal digits, as the gate's evidenceHash. Nothing was written.",
            "input.evidenceHash",
        )
    if named != evidence.sha256:
        raise EvidenceChanged(evidence.sha256)


def _place(found: Mapping[str, Any]) -> tuple[str, str, str]:
    return found["kind"], found["phase"] or "", found["name"]


def _named(place: tuple[str, str, str]) -> str:
    kind, phase, name = place
    where = f"{phase}: {name}" if phase else name
    return f"{kind.replace('_', ' ')} {where!r}"
