"""/healthz and /readyz."""

import asyncio

import httpx
from starlette.applications import Starlette
from structlog.testing import capture_logs

from app.web.health import Check, health_routes


async def _holds() -> bool:
    return True


async def _denies() -> bool:
    return False


async def _fails() -> bool:
    raise ConnectionRefusedError("postgresql://user:secret@db")


async def _hangs() -> bool:
    await asyncio.Event().wait()
    return True


async def ask(path: str, **checks: Check) -> httpx.Response:
    app = Starlette(routes=health_routes(checks))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://hub") as client:
        return await client.get(path)


async def test_a_living_process_says_so_whatever_the_checks_say() -> None:
    answer = await ask("/healthz", database=_fails)
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


async def test_ready_when_all_checks_hold() -> None:
    answer = await ask("/readyz", database=_holds, migrated=_holds, tail=_holds)
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "checks": {"database": "ok", "migrated": "ok", "tail": "ok"}}
    assert answer.headers["cache-control"] == "no-store"


async def test_unready_when_one_fails_and_no_reason_leaks() -> None:
    with capture_logs() as logged:
        answer = await ask("/readyz", database=_fails, tail=_holds, migrated=_denies)
    assert answer.status_code == 503
    assert answer.json()["status"] == "unready"
    assert answer.json()["checks"] == {"database": "failed", "tail": "ok", "migrated": "failed"}
    assert "secret" not in answer.text
    assert [entry["check"] for entry in logged] == ["database", "migrated"]


async def test_a_check_that_does_not_answer_in_a_second_has_failed() -> None:
    before = asyncio.get_running_loop().time()
    answer = await ask("/readyz", database=_hangs, tail=_hangs, migrated=_holds)
    assert answer.json()["checks"] == {"database": "failed", "tail": "failed", "migrated": "ok"}
    assert 0.9 < asyncio.get_running_loop().time() - before < 1.9
