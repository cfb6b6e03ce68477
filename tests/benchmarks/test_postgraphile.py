"""PostGraphile's installation: pinned without addresses; where it cannot be, it is told why."""

import json
from pathlib import Path

import pytest

from tests.benchmarks.postgraphile import PACKAGE
from tests.contracts import npm


def program(path: Path, script: str) -> Path:
    """A shell script that can be run."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_pins_name_no_registry() -> None:
    lock = json.loads((PACKAGE / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert len(packages) > 100
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if "integrity" not in package] == []


def test_what_stands_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npm, "CACHE", tmp_path)
    monkeypatch.setattr(npm, "NODE", program(tmp_path / "node", f'echo "$2" >> {tmp_path}/asked'))
    assert not npm.is_installed(PACKAGE)
    assert npm.installed(PACKAGE) == npm.installed(PACKAGE)
    assert npm.is_installed(PACKAGE)
    assert (tmp_path / "asked").read_text() == "ci\n"


@pytest.mark.parametrize(
    ("script", "told"), [("echo 'npm error code EAI_AGAIN' >&2; exit 1", "EAI_AGAIN"), (None, "No such file")]
)
def test_without_node_or_a_registry_it_cannot_be(
    script: str | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npm, "CACHE", tmp_path)
    monkeypatch.setattr(npm, "NODE", program(tmp_path / "node", script) if script else tmp_path / "absent")
    with pytest.raises(npm.CannotInstall, match=f"npm ci failed: .*{told}"):
        npm.installed(PACKAGE)
    assert not npm.is_installed(PACKAGE)
