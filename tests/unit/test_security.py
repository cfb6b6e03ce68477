"""Sealing, the master key's file, and the table of permissions."""

import contextlib
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import Forbidden
from app.domain.principals import Principal, Role
from app.security import keyring
from app.security.keyring import KeyFiles, load_or_create_master_key
from app.security.policy import PERMISSIONS, Permission, authorise
from app.security.sealing import Erased, FixedKeys, Sealer, WrongMasterKey, parse_master_key

KEY, OTHER_KEY = bytes(range(32)), bytes(32)


def test_what_was_sealed_opens_in_its_own_place_only() -> None:
    sealer = Sealer(KEY)
    row = sealer.seal_row("decisions", "1", {"context_data": b"secret", "reasoning_process": b"because"})
    assert sealer.open(row.wrapped_key, row.columns["context_data"], "decisions", "context_data", "1") == b"secret"
    assert b"secret" not in row.columns["context_data"] + row.wrapped_key
    moved = [
        ("decisions", "context_data", "2"),
        ("decisions", "reasoning_process", "1"),
        ("tasks", "context_data", "1"),
    ]
    for table, column, row_id in moved:
        with pytest.raises(WrongMasterKey):
            sealer.open(row.wrapped_key, row.columns["context_data"], table, column, row_id)


def test_a_changed_bit_another_master_key_or_no_key_opens_nothing() -> None:
    sealer = Sealer(KEY)
    row = sealer.seal_row("decisions", "1", {"context_data": b"secret"})
    sealed = row.columns["context_data"]
    with pytest.raises(WrongMasterKey):
        sealer.open(row.wrapped_key, sealed[:-1] + bytes([sealed[-1] ^ 1]), "decisions", "context_data", "1")
    with pytest.raises(WrongMasterKey):
        Sealer(OTHER_KEY).open(row.wrapped_key, sealed, "decisions", "context_data", "1")
    with pytest.raises(Erased):
        sealer.open(None, sealed, "decisions", "context_data", "1")


def test_the_same_text_never_seals_the_same() -> None:
    sealer = Sealer(KEY)
    rows = [sealer.seal_row("decisions", "1", {"context_data": b"x"}) for _ in range(2)]
    assert rows[0].columns != rows[1].columns
    assert rows[0].wrapped_key != rows[1].wrapped_key


def test_the_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "master.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_or_create_master_key(path), range(8)))
    assert len(keys) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_row_that_is_wrapped_anew_opens_with_the_new_key_and_with_the_old_one_no_more() -> None:
    row = Sealer(KEY).seal_row("decisions", "1", {"context_data": b"secret"})
    both = Sealer(FixedKeys(OTHER_KEY, KEY))
    assert both.open(row.wrapped_key, row.columns["context_data"], "decisions", "context_data", "1") == b"secret"
    wrapped = both.rewrap(row.wrapped_key, "decisions", "1")
    assert Sealer(OTHER_KEY).open(wrapped, row.columns["context_data"], "decisions", "context_data", "1") == b"secret"
    with pytest.raises(WrongMasterKey, match="does not have the master key " + Sealer(OTHER_KEY).key_id.hex()):
        Sealer(KEY).open(wrapped, row.columns["context_data"], "decisions", "context_data", "1")
    with pytest.raises(WrongMasterKey):
        both.rewrap(row.wrapped_key, "decisions", "2")


def test_who_lacks_the_key_of_the_newest_row_seals_nothing() -> None:
    newest = Sealer(OTHER_KEY).seal_row("decisions", "1", {}).wrapped_key
    Sealer(KEY).require_known(None)
    Sealer(FixedKeys(KEY, OTHER_KEY)).require_known(newest)
    with pytest.raises(WrongMasterKey, match="Nothing was written"):
        Sealer(KEY).require_known(newest)


def sealed(keys: KeyFiles) -> tuple[bytes, bytes]:
    row = Sealer(keys).seal_row("decisions", "1", {"context_data": b"secret"})
    return row.wrapped_key, row.columns["context_data"]


def opened(keys: KeyFiles, row: tuple[bytes, bytes]) -> bytes:
    return Sealer(keys).open(*row, "decisions", "context_data", "1")


def test_a_rotation_is_followed_by_a_process_that_runs_on(tmp_path: Path) -> None:
    running, rotating = KeyFiles(tmp_path / "master.key"), KeyFiles(tmp_path / "master.key")
    before = sealed(running)
    rotating.begin_rotation()
    assert rotating.is_rotating
    new = rotating.current().key_id
    assert before[0][:8] != new
    # who only reads meets an unknown key; who only writes looks at the file
    assert opened(running, sealed(rotating)) == b"secret"
    assert KeyFiles(tmp_path / "master.key").current().key_id == new
    assert sealed(running)[0][:8] == new
    assert opened(running, before) == opened(rotating, before) == b"secret"
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    rotating.retire_previous()
    assert [path.name for path in tmp_path.iterdir()] == ["master.key"]
    rotating.begin_rotation()
    assert rotating.current().key_id != new
    rotating.retire_previous()
    with pytest.raises(WrongMasterKey):
        opened(rotating, before)


class Killed(BaseException):
    """What stands for SIGKILL: nothing that the code catches."""


@pytest.mark.parametrize("step", range(5))
def test_a_rotation_that_is_killed_between_any_two_steps_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    path = tmp_path / "master.key"
    before = sealed(KeyFiles(path))
    steps = 0

    def dying(method: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            nonlocal steps
            if steps == step:
                raise Killed
            steps += 1
            return method(*arguments)

        return run

    with monkeypatch.context() as patched:
        for name in ("hardlink_to", "replace"):
            patched.setattr(Path, name, dying(getattr(Path, name)))
        patched.setattr(keyring, "_sync_folder", dying(keyring._sync_folder))
        with contextlib.suppress(Killed):
            KeyFiles(path).begin_rotation()
    assert steps == min(step, 4)
    assert opened(KeyFiles(path), before) == b"secret"
    again = KeyFiles(path)
    again.begin_rotation()
    first = again.current().key_id
    again.begin_rotation()
    assert again.current().key_id == first != before[0][:8]
    assert opened(again, before) == b"secret"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["master.key", "master.key.previous"]


def test_a_key_that_cannot_be_read_again_stays_in_use(tmp_path: Path) -> None:
    keys = KeyFiles(tmp_path / "master.key")
    row = sealed(keys)
    (tmp_path / "master.key").write_text("damaged")
    assert opened(keys, row) == opened(keys, sealed(keys)) == b"secret"
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        KeyFiles(tmp_path / "master.key")


def test_a_key_that_another_program_provides_is_not_rotated(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("ab" * 32)
    (tmp_path / "master.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="another program owns it"):
        KeyFiles(tmp_path / "master.key").begin_rotation()


@pytest.mark.parametrize("text", ["", "xyz", "00" * 31, "00" * 33])
def test_a_bad_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits") as caught:
        parse_master_key(text)
    assert not text or text not in str(caught.value)


def test_every_role_reads_and_only_pm_and_admin_read_sealed_fields() -> None:
    assert set(PERMISSIONS) == set(Role)
    assert all(Permission.READ in granted for granted in PERMISSIONS.values())
    assert {role for role in Role if Permission.READ_SEALED in PERMISSIONS[role]} == {Role.PM, Role.ADMIN}
    assert {role for role in Role if Permission.MANAGE_TOKENS in PERMISSIONS[role]} == {Role.ADMIN}
    assert {role for role in Role if Permission.DECIDE_GATE in PERMISSIONS[role]} == {Role.PM, Role.ADMIN}


def test_a_token_bound_to_an_agent_acts_for_no_other() -> None:
    bound = Principal("james", Role.AGENT, "james-dev")
    authorise(bound, Permission.ACT_AS_AGENT, agent_id="james-dev")
    with pytest.raises(Forbidden, match="acts for the agent james-dev only"):
        authorise(bound, Permission.ACT_AS_AGENT, agent_id="john-pm")
    with pytest.raises(Forbidden, match="role AGENT may not"):
        authorise(bound, Permission.DECIDE_GATE)
    authorise(Principal("root", Role.ADMIN), Permission.ACT_AS_AGENT, agent_id="john-pm")
