"""graphql-transport-ws: time limits, tokens that end, shutdown."""

import asyncio

import pytest
from structlog.typing import EventDict

from app.domain.principals import Principal, Role
from tests.graphql.transport.conftest import BOTH_WAYS, Served
from tests.graphql.transport.schema import running
from tests.graphql.transport.sockets import INIT, dial, subscribe, until, welcomed

pytestmark = [BOTH_WAYS, pytest.mark.usefixtures("no_exception_reaches_the_server")]


async def test_a_silent_client_is_closed(served: Served) -> None:
    async with dial(served) as socket:
        assert await socket.closed_with() == (4408, "Connection initialisation timeout")


async def test_a_client_that_only_pings_is_closed(served: Served) -> None:
    async with dial(served) as socket:

        async def ping() -> None:
            while True:
                await socket.say({"type": "ping"})
                await asyncio.sleep(0.05)

        pinging = asyncio.create_task(ping())
        assert (await socket.closed_with())[0] == 4408
        pinging.cancel()
        await asyncio.wait([pinging])


async def test_a_hanging_authentication_is_closed_too(served: Served) -> None:
    served.tokens.hanging = True
    before = asyncio.all_tasks()
    async with dial(served) as socket:
        await socket.say(INIT)
        assert (await socket.closed_with())[0] == 4408
    async with dial(served) as socket:
        await socket.say(INIT, subscribe("1", "{ whoami }"))
        assert (await socket.closed_with())[0] == 4401
    async with dial(served) as socket:
        await socket.say(INIT)
        await socket.connection.close()
    await until(lambda: served.view.open_sockets == 0)
    await until(lambda: asyncio.all_tasks() <= before)


async def test_an_absent_database_says_try_again(served: Served) -> None:
    served.tokens.away = True
    async with dial(served) as socket:
        await socket.say(INIT)
        assert (await socket.closed_with())[0] == 1013


async def test_a_defect_of_the_authentication_is_masked(served: Served, logged: list[EventDict]) -> None:
    served.tokens.broken = True
    async with dial(served) as socket:
        await socket.say(INIT)
        code, reason = await socket.closed_with()
    assert code == 1011
    assert "secret" not in reason
    assert logged[0]["correlation_id"] in reason


async def test_a_revoked_token_ends_its_sockets(served: Served) -> None:
    async with welcomed(served) as socket:
        await socket.say(subscribe("1", 'subscription { endless(name: "a") }'))
        await socket.hear()
        await asyncio.sleep(0.2)
        assert served.tokens.asked >= 3
        assert served.view.open_sockets == 1
        del served.tokens.known["good"]
        assert await socket.closed_with() == (4403, "The token has expired or was revoked")
    await until(lambda: not running)


async def test_changed_rights_end_the_sockets(served: Served) -> None:
    async with welcomed(served) as socket:
        served.tokens.known["good"] = Principal("john", Role.VIEWER)
        assert await socket.closed_with() == (4403, "The token's rights have changed, connect again")


@pytest.mark.parametrize("trouble", ["away", "hanging", "broken"])
async def test_an_absent_database_does_not_end_sockets_at_once(served: Served, trouble: str) -> None:
    async with welcomed(served) as socket:
        setattr(served.tokens, trouble, True)
        await asyncio.sleep(0.2)
        await socket.say({"type": "ping"})
        assert await socket.hear() == {"type": "pong"}
        assert (await socket.closed_with())[0] == 1013  # but in the end, when nobody can tell for too long


@pytest.mark.parametrize("how", ["server", "view"])
async def test_a_shutdown_closes_with_1012_at_once(served: Served, how: str) -> None:
    before = asyncio.get_running_loop().time()
    async with welcomed(served) as busy, dial(served) as fresh:
        await busy.say(subscribe("1", 'subscription { endless(name: "a") }'))
        await busy.hear()
        if how == "server":
            served.server.should_exit = True
        else:
            closing = asyncio.create_task(served.view.close())
        assert (await busy.closed_with())[0] == 1012
        assert (await fresh.closed_with())[0] == 1012
        assert not running
        if how == "view":
            await closing
            async with dial(served) as late:
                assert await late.closed_with() == (1012, "Service restart")
    assert asyncio.get_running_loop().time() - before < 3
    await until(lambda: served.view.open_sockets == 0)


async def test_a_client_that_stops_reading_is_let_go_at_the_end(served: Served) -> None:
    async with welcomed(served) as socket:
        socket.connection.transport.pause_reading()
        await socket.say(subscribe("1", "subscription { count(to: 2000000) }"))
        await asyncio.sleep(0.5)
        closing = asyncio.create_task(served.view.close())
        async with asyncio.timeout(4):
            await closing
        assert served.view.open_sockets == 0
        socket.connection.transport.abort()
