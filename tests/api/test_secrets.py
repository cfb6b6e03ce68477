"""What must not be shown is not shown: in logs, by the local administrator's file, beside another master key."""

import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from app.domain.decisions import DecisionType
from app.main import open_hub, prepare
from app.security.logs import configure_logging
from app.security.sealing import Sealer
from app.security.tokens import Authenticator
from app.services.decisions import RecordDecision, record_decision
from app.settings import Settings
from db.session import Database
from graphql_schema.outgoing import masked
from tests.services.makers import ADMIN, SEALER, run


def a_decision() -> RecordDecision:
    return RecordDecision(DecisionType.ESCALATION, {"a": 1}, "because", "so", 5)


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Logging as it was, after the test."""
    handlers, level = logging.root.handlers[:], logging.root.level
    logging.root.handlers.clear()
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.mark.usefixtures("own_logging")
def test_a_masked_defect_is_logged_without_the_values_at_hand(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("WARNING")

    def fail(secret: str) -> None:
        raise RuntimeError("a defect")

    try:
        fail("PRIVATE-" + "REASON")
    except RuntimeError as defect:
        answer = masked(defect)
    logged = capsys.readouterr().err
    assert answer["extensions"]["correlationId"] in logged
    assert "RuntimeError: a defect" in logged
    assert "PRIVATE-REASON" not in logged
    assert len(logged) < 20_000


async def test_a_process_with_another_master_key_does_not_start(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    await run(database, record_decision, ADMIN, a_decision(), SEALER)
    other = Settings(data_dir=tmp_path, database_url=database_url, master_key="00" * 32)
    with pytest.raises(SystemExit, match="sealed with another master key"):
        async with open_hub(other, database_url):
            pass
    same = Settings(data_dir=tmp_path, database_url=database_url, master_key=bytes(range(32)).hex())
    async with open_hub(same, database_url) as hub:
        assert hub.sealer.key_id == Sealer(bytes(range(32))).key_id


async def test_the_first_admin_token_is_kept_for_its_owner_only(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, database_url=database_url)
    settings.admin_token_file.write_text("")
    settings.admin_token_file.chmod(0o644)
    secret = await prepare(settings, database_url)
    assert secret is not None
    assert settings.admin_token_file.read_text().strip() == secret
    assert stat.S_IMODE(settings.admin_token_file.stat().st_mode) == 0o600
    assert (await Authenticator(database).authenticate(secret)).name == "admin"
    assert await prepare(settings, database_url) is None
