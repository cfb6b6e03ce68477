"""The examples of docs/templates.md: each is a template, and each runs to its end."""

import re
from pathlib import Path
from typing import Any

import pytest

from app.domain.principals import Principal, Role
from app.domain.templates import WorkflowTemplate
from app.services.template_sources import load_template
from app.services.templates import TemplateSource, register_template
from app.services.workflow_signals import SignalWorkflow, signal_workflow
from db.session import Database
from tests.engine.conftest import StartWorker
from tests.engine.team import ADMIN, BUILDERS, Fail, Team, execution_of, play, start, until

PAGE = Path(__file__).parents[2] / "docs" / "templates.md"
EXAMPLES = dict(re.findall(r"```yaml example=(\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL))
PM = Principal("pia", Role.PM)


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_is_a_template(name: str) -> None:
    assert load_template(EXAMPLES[name], PAGE.name).name == name


def test_the_page_names_every_kind() -> None:
    kinds = {part.__args__[0] for part in _kinds()}
    table = PAGE.read_text().partition("## Kinds")[2].partition("## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == kinds


def _kinds() -> list[Any]:
    union = WorkflowTemplate.model_fields["phases"].annotation
    assert union is not None
    phases = union.__args__[0].__origin__.__args__
    return [phase.model_fields["kind"].annotation for phase in phases]


@pytest.fixture
async def team(engine_database: Database, start_worker: StartWorker) -> Team:
    """Agents at work on the examples, all registered."""
    for text in EXAMPLES.values():
        command = TemplateSource(yaml=text)
        await engine_database.transact(lambda session: register_template(session, PM, command))  # noqa: B023
    team = Team(engine_database, BUILDERS)
    await team.register()
    await start_worker()
    return team


@pytest.mark.parametrize(
    ("tag", "output"),
    [("v1", {"published": True, "by": "ann"}), ("hotfix-1", {"published": True, "by": "nobody"})],
)
async def test_a_release_is_published(team: Team, tag: str, output: dict[str, Any]) -> None:
    execution_id = await start(team.database, "release", {"tag": tag})
    if output["by"] == "ann":
        command = SignalWorkflow(execution_id, "go", {"by": "ann"})
        await team.database.transact(lambda session: signal_workflow(session, ADMIN, command))
    row = await play(team, execution_id)
    assert (row.execution_status, row.output) == ("completed", output)


async def test_drafts_are_improved(team: Team) -> None:
    scores = iter([3, 9])
    team.answers = {"draft": lambda _task: {"score": next(scores)}}
    row = await play(team, await start(team.database, "drafts"))
    assert (row.execution_status, row.output) == ("completed", {"score": 9})


async def test_modules_are_audited_each_by_itself(team: Team) -> None:
    found = {"a": 1, "b": Fail("it does not compile"), "c": 3}

    def audit(task: Any) -> Any:
        finding = found[task.input["context"]["module"]]
        return finding if isinstance(finding, Fail) else {"findings": finding}

    team.answers = {"audit": audit}
    execution_id = await start(team.database, "modules", {"modules": ["a", "b", "c"]})
    await until(lambda: worked_off(team, execution_id))
    row = await execution_of(team.database, execution_id)
    assert row.execution_status == "completed"
    assert row.output == {"findings": [1, -1, 3]}


async def worked_off(team: Team, execution_id: Any) -> bool:
    await team.work()
    return (await execution_of(team.database, execution_id)).execution_status in ("completed", "failed")
