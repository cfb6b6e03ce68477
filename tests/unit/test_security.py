"""Sealing, the master key's file, and the table of permissions."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.domain.errors import Forbidden
from app.domain.principals import Principal, Role
from app.security.policy import PERMISSIONS, Permission, authorise
from app.security.sealing import Erased, Sealer, WrongMasterKey, load_or_create_master_key, parse_master_key

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
