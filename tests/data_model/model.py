"""The data model as docs/data-model/*.yaml have it: every attribute, rule, relation, flow and promise as a row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "data-model"
AGGREGATES = (
    "decisions",
    "tasks",
    "agents",
    "workflows",
    "model_assignments",
    "quality_gates",
    "metrics",
)
LEVELS = ("domain", "service", "database")


@dataclass(frozen=True)
class Row:
    """One thing that the data model says, and where the hub has it."""

    id: str
    kind: str
    says: str
    note: str = ""
    fields: tuple[str, ...] = ()
    """GraphQL coordinates, `Type.field`; `Type.*` for all fields of a type."""
    there: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    """The two directions of a relation: the coordinates on the way."""
    columns: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    mutations: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    """Pytest node ids."""
    levels: Mapping[str, tuple[str, ...]] | None = None
    """Of a rule the node ids for domain, service and database."""
    values: tuple[str, ...] = ()
    enum: str | None = None
    theme: str = ""
    """Of what comes later: with what."""

    @property
    def coordinates(self) -> tuple[str, ...]:
        return (*self.fields, *self.there, *self.back)

    @property
    def all_tests(self) -> tuple[str, ...]:
        return (*self.tests, *(node for nodes in (self.levels or {}).values() for node in nodes))


@dataclass(frozen=True)
class Transition:
    """One way of a state machine, and what makes an entity go it."""

    source: str
    target: str
    mutations: tuple[str, ...]
    engine: str
    hub: str


@dataclass(frozen=True)
class MachineOf:
    """The state machine of an aggregate."""

    name: str
    field: str
    transitions: tuple[Transition, ...]


@dataclass(frozen=True)
class Section:
    """One aggregate, or what concerns the whole."""

    title: str
    entity: str | None
    purpose: str
    rows: tuple[Row, ...]
    machine: MachineOf | None
    unnamed: Mapping[str, str]
    """Coordinates, types and enums that the data model does not name, and why they are there."""


@dataclass(frozen=True)
class Model:
    """All of it."""

    sections: tuple[Section, ...]
    common: Mapping[str, str]
    machinery: Mapping[str, str]
    unnamed_mutations: Mapping[str, str]

    @property
    def rows(self) -> Iterator[Row]:
        return (row for section in self.sections for row in section.rows)

    def of_kind(self, kind: str) -> list[Row]:
        return [row for row in self.rows if row.kind == kind]

    @property
    def unnamed(self) -> dict[str, str]:
        return {name: why for section in self.sections for name, why in section.unnamed.items()}


def load() -> Model:
    """Read the files."""
    whole = _read("whole")
    sections = [_aggregate(_read(name), whole) for name in AGGREGATES]
    return Model(
        (*sections, *_whole(whole)),
        whole["common"],
        whole["machinery"],
        whole["mutations"],
    )


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return content


def _aggregate(content: Mapping[str, Any], whole: Mapping[str, Any]) -> Section:
    rows = [
        *_rows("attribute", content["attributes"], whole["attribute_test"]),
        *_rows("relation", content["relations"], whole["relation_test"]),
        *_rows("rule", content["rules"]),
    ]
    machine = _machine(content["machine"]) if "machine" in content else None
    return Section(
        content["aggregate"], content["entity"], content["purpose"], tuple(rows), machine, content["unnamed"] or {}
    )


def _whole(content: Mapping[str, Any]) -> Iterator[Section]:
    parts = (
        ("Primary relationships", "relation", "primary", content["relation_test"]),
        ("Flows", "flow", "flows", None),
        ("State, decisions, performance", "promise", "promises", None),
        ("Later", "later", "later", None),
    )
    for title, kind, key, test in parts:
        yield Section(title, None, "", tuple(_rows(kind, content[key], test)), None, {})


def _rows(kind: str, content: Mapping[str, Any], test: str | None = None) -> Iterator[Row]:
    for row_id, told in content.items():
        given = dict(told)
        levels = {level: tuple(given.pop(level)) for level in LEVELS if level in given}
        own = [test.format(id=row_id)] if test else []
        tests = (*own, *given.pop("tests", ()))
        lists: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
        }
        yield Row(row_id, kind, tests=tests, levels=levels if kind == "rule" else None, **lists)


def _machine(content: Mapping[str, Any]) -> MachineOf:
    return MachineOf(content["name"], content["field"], tuple(_transitions(content["transitions"])))


def _transitions(content: Mapping[str, Mapping[str, Any]]) -> Iterator[Transition]:
    for way, causes in content.items():
        source, target = way.split(" → ")
        mutations: Sequence[str] = causes.get("mutations", ())
        yield Transition(source, target, tuple(mutations), causes.get("engine", ""), causes.get("hub", ""))
