"""The shipped templates in the database: stored once, stored anew when they change, by any number of processes."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from app.domain.errors import InvalidInput, NotFound
from app.domain.templates import parse_template
from app.engine import catalogue
from app.engine.catalogue import shipped_templates, sync_templates
from app.engine.compiler import Compiled
from app.services.template_sources import load_template
from db.session import Database
from db.tables.workflows import workflow_templates
from tests.engine.team import rows_of


async def stored(database: Database) -> list[tuple[str, int]]:
    table = workflow_templates
    statement = select(table.c.template_name, table.c.template_version).order_by(
        table.c.template_name, table.c.template_version
    )
    return [tuple(row) for row in await rows_of(database, statement)]


async def test_they_are_stored_once(database: Database) -> None:
    assert await database.transact(sync_templates) == ["code-audit@1", "feature-delivery@1"]
    assert await database.transact(sync_templates) == []
    assert await stored(database) == [("code-audit", 1), ("feature-delivery", 1)]


async def test_a_changed_one_becomes_a_new_version(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await database.transact(sync_templates)
    audit, delivery = shipped_templates()
    changed = audit.model_copy(update={"description": "Audits it otherwise."})
    monkeypatch.setattr(catalogue, "shipped_templates", lambda: (changed, delivery))
    assert await database.transact(sync_templates) == ["code-audit@2"]
    assert await database.transact(sync_templates) == []
    compiled = Compiled(database)
    assert (await compiled.get("code-audit", 1))[0] == audit
    assert (await compiled.get("code-audit", 2))[0] == changed


async def test_many_at_once_store_one_version(database: Database) -> None:
    done = await asyncio.gather(*(database.transact(sync_templates) for _ in range(5)))
    assert sorted(name for names in done for name in names) == ["code-audit@1", "feature-delivery@1"]
    assert await stored(database) == [("code-audit", 1), ("feature-delivery", 1)]


async def test_a_spec_is_stored_whole_and_reads_back_the_same(database: Database) -> None:
    await database.transact(sync_templates)
    for template in shipped_templates():
        spec: Any = (
            await rows_of(
                database,
                select(workflow_templates.c.spec).where(workflow_templates.c.template_name == template.name),
            )
        )[0][0]
        assert parse_template(spec, "stored") == template
        assert all("max_revisions" in phase for phase in spec["phases"] if phase["kind"] == "gate")


async def test_a_graph_is_compiled_once_a_version(database: Database) -> None:
    await database.transact(sync_templates)
    compiled = Compiled(database)
    assert (await compiled.get("code-audit", 1))[1] is (await compiled.get("code-audit", 1))[1]
    with pytest.raises(NotFound, match="code-audit of version 9"):
        await compiled.get("code-audit", 9)


TEMPLATE = "x.yaml is not a workflow template: "
YAML = "x.yaml is not YAML: "


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("phases: [1", YAML + "line 2: did not find expected ',' or ']'"),
        ("name: a\nname: b", TEMPLATE + "line 2, 'name' is given twice (keep one)"),
        ("name: &n a\ndescription: *n", TEMPLATE + "line 2, aliases are not taken (write the part out)"),
        ("on: 2025-13-45", YAML + "month must be in 1..12"),
        (
            "name: a\ndescription: b\nphases:\n  - name: c\n    kind: decision\n    qestion: d\n",
            TEMPLATE + "line 6, phases.0.qestion: unknown key (did you mean question?)",
        ),
        (
            "name: a\ndescription: b\nphases:\n  - name: c\n    kind: task\n",
            TEMPLATE + "line 4, phases.0.task: Field required (add it)",
        ),
        (
            "",
            TEMPLATE + "the top: Input should be a valid dictionary or instance of WorkflowTemplate (give keys and "
            "values)",
        ),
    ],
)  # fmt: skip
def test_faults_in_yaml_are_told_with_their_line(yaml: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        load_template(yaml, "x.yaml")
    assert refused.value.message == message
