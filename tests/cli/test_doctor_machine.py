"""The doctor's checks of Python, settings and the data folder: each fault is made, seen, and mended as it is told."""

import os
import subprocess
from collections import namedtuple
from pathlib import Path

import pytest

from app.doctor import folder, machine, server
from app.doctor.findings import Finding, Severity
from app.settings import VARIABLES, readable_settings
from tests.cli.installations import furnish, installation, is_fine

Version = namedtuple("Version", "major minor micro releaselevel serial")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return furnish(tmp_path / "data")


def is_problem(finding: Finding, text: str, remedy: str) -> None:
    assert (finding.severity, text in finding.message, remedy in finding.remedy) == (Severity.PROBLEM, True, True), (
        finding
    )


def is_warning(finding: Finding, text: str, remedy: str) -> None:
    assert (finding.severity, text in finding.message, remedy in finding.remedy) == (Severity.WARNING, True, True), (
        finding
    )


def test_a_healthy_machine_has_nothing_to_mend(data_dir: Path) -> None:
    found = [check(installation(data_dir)) for check in (*machine.CHECKS, *folder.CHECKS, server.embedded_binaries)]
    assert [finding.name for finding in found if not is_fine(finding)] == []
    assert len({finding.name for finding in found}) == 8


def test_an_old_python_is_a_problem(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.version_info", Version(3, 10, 4, "final", 0))
    is_problem(machine.python_version(installation(data_dir)), "Python 3.10.4", "Python 3.11 or newer")


def test_a_setting_that_cannot_be_used_is_named_without_its_value(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_PORT", "eighty")
    monkeypatch.setenv("HUB_LOG_LEVEL", "LOUD")
    settings, faults = readable_settings()
    assert (settings.port, settings.log_level, set(faults)) == (8000, "WARNING", {"HUB_PORT", "HUB_LOG_LEVEL"})
    finding = machine.settings_valid(installation(data_dir, setting_faults=faults))
    is_problem(finding, "HUB_PORT cannot be used", "Correct or unset HUB_LOG_LEVEL, HUB_PORT")
    assert "eighty" not in finding.message


def test_settings_that_can_be_used_have_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_PORT", "8001")
    settings, faults = readable_settings()
    assert (settings.port, dict(faults)) == (8001, {})
    assert {"HUB_PORT", "HUB_URL", "HUB_TOKEN", "HUB_DATABASE_URL", "HUB_MASTER_KEY"} <= VARIABLES


def test_a_misspelt_variable_is_told_with_what_was_meant(data_dir: Path) -> None:
    given = frozenset({"HUB_PROT", "HUB_URL", "HUB_XYZZY"})
    finding = machine.settings_known(installation(data_dir, given_variables=given))
    is_warning(finding, "HUB_PROT, HUB_XYZZY", "Rename HUB_PROT to HUB_PORT")
    assert finding.remedy.endswith("Unset HUB_XYZZY.")


def test_a_data_folder_that_is_not_there_is_made_by_the_first_start(tmp_path: Path) -> None:
    is_warning(folder.data_folder(installation(tmp_path / "none")), "does not exist", "hub up")
    assert not (tmp_path / "none").exists()


def test_a_file_in_the_folders_place_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    is_problem(folder.data_folder(installation(tmp_path / "data")), "is not a folder", "HUB_DATA_DIR")


def test_somebody_elses_folder_is_a_problem(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 64_123)
    is_problem(folder.data_folder(installation(data_dir)), "the user 64123", "Run the hub as")


def test_what_others_can_change_or_read_is_a_problem_until_the_remedy_is_run(data_dir: Path) -> None:
    here = installation(data_dir)
    for check, path, mode, text in (
        (folder.data_folder, data_dir, 0o770, "mode 770"),
        (folder.master_key, data_dir / "master.key", 0o640, "mode 640"),
        (folder.admin_token, data_dir / "admin.token", 0o604, "mode 604"),
    ):
        path.chmod(mode)
        is_problem(check(here), text, "chmod")
        subprocess.run(check(here).remedy.split(), check=True)
        assert is_fine(check(here))


def test_a_full_disk_is_a_problem_and_one_that_fills_a_warning(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = installation(data_dir / "not" / "there" / "yet")
    assert is_fine(folder.disk_space(here))
    monkeypatch.setattr(folder, "DISK_LOW", 1 << 80)
    is_warning(folder.disk_space(here), f"GiB are free at {data_dir}", "Make room")
    monkeypatch.setattr(folder, "DISK_FULL", 1 << 80)
    is_problem(folder.disk_space(here), "PostgreSQL stops", "Make room")


@pytest.mark.parametrize("text", ["", "abc", "00" * 31, "zz" * 32])
def test_a_damaged_master_key_is_a_problem_and_is_not_shown(data_dir: Path, text: str) -> None:
    (data_dir / "master.key").write_text(text)
    is_problem(folder.master_key(installation(data_dir)), "64 hexadecimal digits", "from a backup")
    is_problem(folder.master_key(installation(data_dir, master_key=text)), "HUB_MASTER_KEY", "64 hexadecimal digits")
    assert text == "" or text not in folder.master_key(installation(data_dir)).message


def test_a_given_master_key_needs_no_file(tmp_path: Path) -> None:
    assert is_fine(folder.master_key(installation(tmp_path, master_key="ab" * 32)))


def test_a_lost_master_key_is_a_problem_only_where_there_are_data(data_dir: Path) -> None:
    (data_dir / "master.key").unlink()
    is_warning(folder.master_key(installation(data_dir)), "no", "The first start makes it")
    (data_dir / "pg").mkdir()
    is_problem(folder.master_key(installation(data_dir)), "cannot be read", "back from a backup before")


def test_the_admin_token_is_looked_for_where_the_database_is(data_dir: Path) -> None:
    (data_dir / "admin.token").write_text("hub_short")
    is_problem(folder.admin_token(installation(data_dir)), "does not hold a token", "HUB_TOKEN")
    (data_dir / "admin.token").unlink()
    is_warning(folder.admin_token(installation(data_dir)), "There is no", "hub token create")
    assert is_fine(folder.admin_token(installation(data_dir, database_url="postgresql://elsewhere/hub")))


def test_missing_programs_are_a_problem_unless_a_server_is_named(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SHIPPED_BINARIES", tmp_path)
    is_problem(server.embedded_binaries(installation(data_dir)), "does not run", "Install the hub anew")
    (tmp_path / "postgres").write_text("#!/bin/sh\nexit 7\n")
    (tmp_path / "postgres").chmod(0o755)
    is_problem(server.embedded_binaries(installation(data_dir)), "CalledProcessError", "Install the hub anew")
    assert is_fine(server.embedded_binaries(installation(data_dir, database_url="postgresql://elsewhere/hub")))
