"""`hub doctor` as a process, beside a running hub and without one."""

import http.server
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.doctor.api import examine_api
from app.doctor.findings import Finding, Severity
from db.embedded import EmbeddedServer
from db.migrate import head_revision
from tests.agent.hubs import RunningHub, until
from tests.cli.commands import call_json, run_hub
from tests.cli.installations import SDL, installation, is_fine, named

VIEWERS_AGENT = """
  \"\"\"The one agent that the viewer acts for; null when none.\"\"\"
  agentId: ID
"""

pytestmark = pytest.mark.slow


def findings(running: RunningHub, *arguments: str, code: int = 0, **variables: str) -> list[Finding]:
    """What the process reports; `healthy` says what the exit code does."""
    report = call_json(running, *arguments, "doctor", code=code, **variables)
    assert set(report) == {"healthy", "findings"}
    assert report["healthy"] == (code == 0)
    return [Finding(**{**found, "severity": Severity(found["severity"])}) for found in report["findings"]]


def test_a_running_hub_is_healthy(running_hub: RunningHub) -> None:
    found = findings(running_hub)
    assert [finding.name for finding in found if not is_fine(finding)] == []
    assert named(found, "token").message == "It is admin's, role ADMIN."
    assert named(found, "readiness").message == "The hub is ready: database, migrated, tail."
    text = run_hub(running_hub.folder, "doctor", HUB_URL=running_hub.url)
    assert (text.returncode, text.stderr) == (0, "")
    assert text.stdout.splitlines()[-1] == f"{len(found)} ok"
    assert running_hub.token not in text.stdout


def test_what_was_broken_is_told_by_the_exit_code_until_it_is_mended(running_hub: RunningHub) -> None:
    path = running_hub.folder / "master.key"
    path.chmod(0o644)
    text = run_hub(running_hub.folder, "doctor", HUB_URL=running_hub.url)
    path.chmod(0o600)
    assert (text.returncode, text.stderr) == (1, "")
    assert f"→ chmod 600 {path}\n" in text.stdout
    assert text.stdout.splitlines()[-1].endswith("1 problem")
    findings(running_hub)


def test_faulty_settings_are_found_and_do_not_stop_it(running_hub: RunningHub) -> None:
    found = findings(running_hub, code=1, HUB_POOL_SIZE="many", HUB_PROT="80")
    assert "HUB_POOL_SIZE cannot be used" in named(found, "settings").message
    assert "many" not in str(found)
    assert "Rename HUB_PROT to HUB_PORT" in named(found, "unknown settings").remedy
    assert is_fine(named(found, "readiness"))


def test_a_token_that_is_refused_is_a_problem(running_hub: RunningHub) -> None:
    found = findings(running_hub, "--token", "hub_wrong", code=1)
    assert named(found, "token").message == "The hub refuses it (HTTP 401): unknown, expired or revoked."
    assert named(found, "schema").severity is Severity.SKIPPED
    assert "hub_wrong" not in str(found)


def test_without_anything_everything_is_told_and_nothing_made(tmp_path: Path) -> None:
    done = run_hub(tmp_path / "none", "doctor", "--json", HUB_URL="http://127.0.0.1:9")
    found = [finding for finding in json.loads(done.stdout)["findings"] if finding["severity"] == "problem"]
    assert [(finding["name"], "hub up" in finding["remedy"]) for finding in found] == [
        ("database", True),
        ("hub", True),
    ]
    assert (done.returncode, done.stderr, os.listdir(tmp_path)) == (1, "", [])


@pytest.mark.parametrize(
    ("url", "text"),
    [("ftp://x", "is not an address"), ("http://[", "is not an address"), ("http://h:x", "is not an address")],
)
def test_an_address_that_is_none_is_told(tmp_path: Path, url: str, text: str) -> None:
    done = run_hub(tmp_path, "doctor", HUB_URL=url)
    assert (done.returncode, text in done.stdout, done.stderr) == (1, True, "")


async def test_a_check_of_the_hub_that_is_red_is_named(running_hub: RunningHub) -> None:
    session = await asyncpg.connect(EmbeddedServer(running_hub.folder, {}).url())
    await session.execute("UPDATE alembic_version SET version_num = '9999'")
    found = findings(running_hub, code=1)
    await session.execute("UPDATE alembic_version SET version_num = $1", head_revision())
    await session.close()
    assert named(found, "readiness").message == "The hub is not ready; red: migrated."
    assert named(found, "readiness").remedy == "Run `hub migrate`."
    assert named(found, "migrations").severity is Severity.PROBLEM

    async def ready() -> bool:
        return is_fine(named(findings(running_hub), "readiness"))

    await until(ready)


async def test_a_schema_of_another_version_is_told(running_hub: RunningHub) -> None:
    here = installation(running_hub.folder, hub_url=running_hub.url)
    assert is_fine(named(await examine_api(here), "schema"))
    more = here.sdl.replace("type Viewer {", 'type Viewer {\n  """For a test."""\n  shoeSize: Int\n', 1)
    newer = named(await examine_api(replace(here, sdl=more)), "schema")
    assert (newer.severity, newer.remedy[:15]) == (Severity.PROBLEM, "Update the hub ")
    assert newer.message.endswith("ask for: Field Viewer.shoeSize.")
    less = here.sdl.replace(VIEWERS_AGENT, "", 1)
    assert less != here.sdl
    older = named(await examine_api(replace(here, sdl=less)), "schema")
    assert (older.severity, "Update this installation" in older.remedy) == (Severity.WARNING, True)


class Stranger(http.server.BaseHTTPRequestHandler):
    """Something that answers, and is no hub."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def stranger() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


async def test_what_answers_and_is_no_hub_is_told(tmp_path: Path, stranger: str) -> None:
    found = await examine_api(installation(tmp_path, hub_url=stranger, sdl=SDL.read_text(), token="t"))
    assert found[0].message == f"What answers at {stranger} is not a hub."
    assert [finding.severity for finding in found[1:]] == [Severity.SKIPPED] * 3
