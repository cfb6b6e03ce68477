"""PostGraphile's installation: pinned without addresses, taken up again, and told apart from one that cannot be."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import postgraphile
from tests.benchmarks.postgraphile import PINS, SOURCE, CannotInstall, Installed, install, installed, major_version


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_pins_name_no_registry() -> None:
    lock = json.loads((SOURCE / "package-lock.json").read_text())
    assert len(lock["packages"]) > 100
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    assert all("integrity" in package for name, package in lock["packages"].items() if name)


def test_which_node_it_is(tmp_path: Path) -> None:
    assert major_version(str(program(tmp_path / "node", "echo v22.23.3"))) == 22
    assert major_version(str(program(tmp_path / "broken", "echo no >&2; exit 1"))) == 0
    assert major_version(str(tmp_path / "absent")) == 0


def test_what_stands_is_used_again_until_the_pins_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin" / "node", "echo v20.1.0")
    program(tmp_path / "bin" / "npm", f'echo "$1" >> {tmp_path}/asked')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    node = program(tmp_path / "node" / "node_modules" / ".bin" / "node", "echo v22.1.0")
    home = tmp_path / "home"
    assert installed(home, tmp_path / "node") is None
    for _ in range(2):
        assert install(home, tmp_path / "node") == Installed(home, str(node))
    assert (tmp_path / "asked").read_text() == "ci\n"
    assert all((home / name).read_text() == (SOURCE / name).read_text() for name in PINS)
    (home / "installed").write_text("other pins")
    assert installed(home, tmp_path / "node") is None


def test_without_npm_or_a_registry_it_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(CannotInstall, match="there is no npm"):
        install(tmp_path / "home", tmp_path / "node")
    program(tmp_path / "bin" / "npm", "echo 'npm error code EAI_AGAIN' >&2; exit 1")
    with pytest.raises(CannotInstall, match="npm install failed: npm error code EAI_AGAIN"):
        install(tmp_path / "home", tmp_path / "node")
    assert postgraphile.installed(tmp_path / "home", tmp_path / "node") is None
