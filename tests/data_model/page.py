"""docs/data-model.md, made of the model: `python -m tests.data_model` writes it."""

from collections.abc import Iterable, Iterator

from tests.data_model.model import LEVELS, ROOT, MachineOf, Model, Row, Section

PAGE = ROOT / "docs" / "data-model.md"
HEAD = """# The data model, and where the hub has it

Made of [data-model/](data-model/) by `python -m tests.data_model`; do not edit it. `tests/data_model/` fails when
something of [the source](data-model/source.md) is missing here, when a field, column, constraint, mutation or test
named here does not exist, or when the API has something that no row tells.
"""
TITLES = {
    "attribute": "Attributes",
    "relation": "Relations, in both directions",
    "rule": "Rules, at all three levels",
}


def render(model: Model) -> str:
    """The page."""
    parts = [HEAD, _counts(model)]
    for section in model.sections:
        parts += _section(section)
    parts += ["## What the API has besides\n", _besides(model)]
    return "\n".join(parts).rstrip() + "\n"


def _counts(model: Model) -> str:
    kinds = ("attribute", "relation", "rule", "flow", "promise", "later")
    counted = ", ".join(f"{len(model.of_kind(kind))} × {kind}" for kind in kinds)
    transitions = sum(len(section.machine.transitions) for section in model.sections if section.machine)
    return f"{counted}, {transitions} × transition.\n"


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.entity or section.title}\n"
    if section.entity:
        yield f"{section.purpose}. Aggregate `{section.title}`.\n"
    kinds = dict.fromkeys(row.kind for row in section.rows)
    for kind in kinds:
        rows = [row for row in section.rows if row.kind == kind]
        if section.entity:
            yield f"### {TITLES[kind]}\n"
        yield _table(*TABLES[kind](rows))
    if section.machine:
        yield "### Transitions\n"
        yield _table(*_transitions(section.machine))


def _attributes(rows: Iterable[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    head = ("id", "the data model says", "GraphQL", "columns", "mutations", "tests")
    return head, [
        (row.id, _said(row), _codes(row.fields), _codes(row.columns), _codes(row.mutations), _codes(row.tests))
        for row in rows
    ]


def _relations(rows: Iterable[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    head = ("id", "the data model says", "there", "back", "tests")
    return head, [(row.id, _said(row), _way(row.there), _way(row.back), _codes(row.tests)) for row in rows]


def _rules(rows: Iterable[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    head = ("id", "the data model says", "GraphQL", "mutations", "in the database", *LEVELS)
    return head, [
        (
            row.id,
            _said(row),
            _codes(row.fields),
            _codes(row.mutations),
            _codes(row.constraints),
            *(_codes((row.levels or {}).get(level, ())) for level in LEVELS),
        )
        for row in rows
    ]


def _flows(rows: Iterable[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    head = ("id", "the data model says", "GraphQL", "mutations", "tests")
    return head, [(row.id, _said(row), _codes(row.fields), _codes(row.mutations), _codes(row.tests)) for row in rows]


def _later(rows: Iterable[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    return ("id", "the data model says", "comes with"), [(row.id, _said(row), row.theme) for row in rows]


TABLES = {
    "attribute": _attributes,
    "relation": _relations,
    "rule": _rules,
    "flow": _flows,
    "promise": _flows,
    "later": _later,
}


def _transitions(machine: MachineOf) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    head = ("from", "to", "mutations", "engine", "hub")
    return head, [
        (f"`{way.source}`", f"`{way.target}`", _codes(way.mutations), way.engine, way.hub)
        for way in machine.transitions
    ]


def _besides(model: Model) -> str:
    told = {**model.unnamed, **model.common, **model.machinery, **model.unnamed_mutations}
    return _table(("what", "why"), [(f"`{name}`", why) for name, why in told.items()])


def _said(row: Row) -> str:
    values = f" Values: {', '.join(f'`{value}`' for value in row.values)}." if row.values else ""
    note = f" *({row.note})*" if row.note else ""
    return f"{row.says}{values}{note}"


def _codes(names: Iterable[str]) -> str:
    return "<br>".join(f"`{name}`" for name in names)


def _way(coordinates: Iterable[str]) -> str:
    return " → ".join(f"`{name}`" for name in coordinates)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"
