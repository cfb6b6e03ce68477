"""Health for load balancers and supervisors: whether the process lives, and whether it can serve.

Both answer without a token, so they say which check failed but never why; the log does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Check = Callable[[], Awaitable[bool]]
"""Whether what it checks is as it should be; an exception means no."""

CHECK_TIMEOUT = 1.0
"""Seconds that a check has to answer."""

log = structlog.get_logger(__name__)


def health_routes(checks: Mapping[str, Check]) -> list[Route]:
    """`/healthz`, always 200, and `/readyz`, which asks every check at once: 200 when all hold, else 503."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_request: Request) -> Response:
        verdicts = await asyncio.gather(*(_holds(name, check) for name, check in checks.items()))
        ready = all(verdicts)
        return JSONResponse(
            {
                "status": "ready" if ready else "unready",
                "checks": {name: "ok" if holds else "failed" for name, holds in zip(checks, verdicts, strict=True)},
            },
            status_code=200 if ready else 503,
            headers={"cache-control": "no-store"},
        )

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


async def _holds(name: str, check: Check) -> bool:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            holds, reason = await check(), ""
    except Exception as error:
        holds, reason = False, repr(error)
    if not holds:
        log.warning("a readiness check failed", check=name, reason=reason)
    return holds
