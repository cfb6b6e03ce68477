"""Shell completion as shells ask for it: a process, some variables, and no more noise than answers."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.client.completing import _words
from tests.acceptance.processes import HUB, environment
from tests.agent.hubs import RunningHub, new_agent_id
from tests.cli.commands import call_json, run_hub
from tests.cli.test_cli_reading import register

NOWHERE = "http://127.0.0.1:9"


def complete(folder: Path, line: str, shell: str = "bash", **variables: str) -> list[str]:
    """What the shell is offered at the end of the line."""
    words = line.split(" ")
    asked = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }
    done = run_hub(folder, _HUB_COMPLETE=f"complete_{shell}", **asked[shell], **variables)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("hub dec", ["decision"]),
        ("hub agents s", ["show", "set-status"]),
        ("hub agents --status b", ["busy"]),
        ("hub decision list --ty", ["--type"]),
        ("hub workflow cancel --dr", ["--dry-run"]),
        ("hub tasks show --js", ["--json"]),
    ],
)
def test_commands_options_and_choices_need_no_hub(tmp_path: Path, line: str, offered: list[str]) -> None:
    assert complete(tmp_path, line, HUB_URL=NOWHERE) == offered


@pytest.mark.slow
async def test_ids_and_names_come_from_the_hub(running_hub: RunningHub) -> None:
    agent_id = new_agent_id()
    async with running_hub.client() as client:
        await register(client, agent_id, agentName='Mc\'Evil $(touch pwned) `x` "y" [red]\\')
    execution = call_json(running_hub, "workflow", "start", "feature-delivery")["executionId"]
    ask = {"HUB_URL": running_hub.url}
    assert complete(running_hub.folder, f"hub agents show {agent_id[:9]}", **ask) == [agent_id]
    assert complete(running_hub.folder, f"hub tasks --agent {agent_id[:9]}", **ask) == [agent_id]
    assert complete(running_hub.folder, f"hub workflow watch {execution[:20]}", **ask) == [execution]
    assert complete(running_hub.folder, "hub workflow start feat", **ask) == ["feature-delivery"]
    (fish,) = complete(running_hub.folder, f"hub agents show {agent_id[:9]}", "fish", **ask)
    assert fish.split("\t") == [agent_id, "Mc Evil touch pwned x y red IDLE"]
    zsh = "\n".join(complete(running_hub.folder, f"hub agents show {agent_id[:9]}", "zsh", **ask))
    assert f'"{agent_id}":"Mc Evil touch pwned x y red IDLE"' in zsh
    # an option of the line itself says where the hub is, and who asks
    line = f"hub --url {running_hub.url} --token {running_hub.token} agents show {agent_id[:9]}"
    assert complete(running_hub.folder / "none", line, HUB_URL=NOWHERE) == [agent_id]


@pytest.mark.slow
def test_bash_completes_a_line_with_the_script_that_the_hub_gives_it(running_hub: RunningHub, tmp_path: Path) -> None:
    script = tmp_path / "completion.bash"
    # behind another command, or bash would make way for the hub and no shell would be found
    shell = f'"{HUB}" --show-completion > "{script}"; test -s "{script}" || exit 9; . "{script}"; '
    line = "COMP_WORDS=(hub workflow start code); COMP_CWORD=3; _hub_completion hub code start; echo ${COMPREPLY[@]}"
    done = subprocess.run(
        ["bash", "--norc", "-c", shell + f'PATH="{HUB.parent}:$PATH"; ' + line],
        env=environment(running_hub.folder, HUB_URL=running_hub.url),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "code-audit\n", "")


@pytest.fixture
def silent_hub() -> Iterator[str]:
    """It takes connections, since the kernel does, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_a_hub_that_is_away_is_passed_over_in_silence(tmp_path: Path, shell: str) -> None:
    assert complete(tmp_path, "hub agents show j", shell, HUB_URL=NOWHERE, HUB_TOKEN="t") in ([], [""])
    assert complete(tmp_path, "hub agents show j", shell, HUB_URL="http://[", HUB_TOKEN="t") in ([], [""])
    assert complete(tmp_path, "hub agents show j", shell, HUB_URL=NOWHERE, HUB_PORT="eighty") in ([], [""])


def test_a_hub_that_does_not_answer_is_given_up(tmp_path: Path, silent_hub: str) -> None:
    assert complete(tmp_path, "hub agents show j", HUB_URL=silent_hub, HUB_TOKEN="t") in ([], [""])


def test_words_for_a_shell_are_harmless() -> None:
    node = {"id": "1", "a": "x; rm -rf ~ | $(y) `z` \\ \" ' \n end", "b": None, "c": 3}
    assert _words(node, "id") == "x rm -rf y z end 3"
