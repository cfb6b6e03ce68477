"""The server: puts the parts together and runs them, as `python -m app.main up|serve|worker|migrate|doctor`."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from uuid import UUID

import uvicorn
import uvloop
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute

from app.doctor.examination import examine
from app.doctor.installation import Installation
from app.doctor.report import exit_code, print_json, print_lines
from app.domain.errors import HubError
from app.domain.principals import SYSTEM, Principal, Role
from app.engine.catalogue import sync_templates
from app.engine.checkpoints import setup as set_up_checkpoints
from app.engine.functions import installed_functions
from app.engine.runner import Worker
from app.live.freshness import Freshness
from app.live.hints import HintSender
from app.live.tail import EventTail
from app.security.keyring import KeyFiles
from app.security.logs import configure_logging
from app.security.sealing import FixedKeys, Sealer, parse_master_key
from app.security.tokens import Authenticator, hash_secret, is_secret, new_secret
from app.services.access import CreateToken, create_token
from app.services.history import export_history
from app.services.reports import ReportWriter
from app.settings import VARIABLES, Settings, readable_settings
from app.upkeep.checkpoints import run_checkpoint_upkeep
from app.upkeep.idempotency_keys import run_key_upkeep
from app.upkeep.key_command import rotate_by_command, tell_key_ids
from app.upkeep.overdue_gates import run_overdue_gates
from app.upkeep.partitions import run_partition_upkeep
from app.upkeep.schedules import run_schedules
from app.upkeep.stale_agents import run_stale_agents
from app.web.health import Check, health_routes
from app.web.history import history_route
from app.web.server import Drain, DrainingServer, port_of
from db.embedded import EmbeddedServer, EmbeddedServerError
from db.migrate import is_at_head, is_migrated, migrate
from db.queries.access import has_admin, knows_token
from db.queries.decisions import newest_wrapped_key
from db.session import Database
from graphql_schema.context import HubContext
from graphql_schema.export import SDL_FILE
from graphql_schema.http_transport import BODY_LIMIT
from graphql_schema.read_cache import ReadCache
from graphql_schema.schema import build_schema
from graphql_schema.streams.hub import StreamHub
from graphql_schema.transport.uvicorn_protocols import PLAIN_ASGI, chosen_protocols
from graphql_schema.trusted import document_store
from graphql_schema.view import GraphQLView

SHUTDOWN_SECONDS = 10
UPKEEP_SECONDS = 5.0
SCHEDULE_SECONDS = 1.0
PARTITION_SECONDS = 3600.0
KEY_SECONDS = 3600.0
TAIL_AND_HINTS = 4
"""Connections of a process beside its pools: the tail, its readers, the hints."""

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Hub:
    """The parts that one process of the hub has, whatever it serves."""

    settings: Settings
    database: Database
    hints: HintSender
    tail: EventTail
    reports: ReportWriter
    authenticator: Authenticator
    sealer: Sealer
    answers: ReadCache | None

    def context(self, principal: Principal) -> HubContext:
        """What the resolvers of one operation are given."""
        return HubContext(principal, self.database, self.tail, self.sealer, self.reports)

    def worker(self) -> Worker:
        """An engine worker on this process's connections."""
        return Worker(
            self.database,
            self.hints,
            name=f"{os.uname().nodename}-{os.getpid()}",
            lease_seconds=self.settings.lease_seconds,
            concurrency=self.settings.worker_concurrency,
            functions=installed_functions(),
        )


@contextlib.asynccontextmanager
async def open_hub(settings: Settings, url: str) -> AsyncIterator[Hub]:
    """The parts, started in the order in which they need each other, and stopped in the reverse."""
    sealer = _sealer(settings)
    database = Database(url, pool_size=settings.pool_size, read_pool_size=settings.read_pool_size)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        await database.open()
        await _require_same_key(database, sealer)
        hints = HintSender(database)
        tail = EventTail(url, hints)
        reports = ReportWriter(database)
        for part in (hints, tail, reports):
            stack.push_async_callback(part.stop)
            await part.start()
        answers = ReadCache(Freshness(database, tail), settings.read_cache_mb << 20) if settings.read_cache_mb else None
        yield Hub(settings, database, hints, tail, reports, Authenticator(database), sealer, answers)


def create_app(settings: Settings, url: str, *, with_worker: bool) -> Starlette:
    """The API as an ASGI application; it opens its parts when it starts. `with_worker` runs a worker beside it.

    Its state has `drain`, which ends the sockets and event streams.
    """
    held: list[Hub] = []

    def hub() -> Hub:
        return held[0]

    def answers() -> ReadCache | None:
        return hub().answers

    async def ping() -> bool:
        await hub().database.ping()
        return True

    async def migrated() -> bool:
        return await is_at_head(hub().database)

    async def follows() -> bool:
        return hub().tail.is_alive

    async def authenticate(secret: str) -> Principal:
        return await hub().authenticator.authenticate(secret)

    def context_for(principal: Principal) -> HubContext:
        return hub().context(principal)

    def history(principal: Principal, execution_id: UUID) -> AsyncGenerator[bytes, None]:
        return export_history(hub().database, hub().sealer, principal, execution_id)

    schema = build_schema(max_cost=settings.max_cost)
    view = GraphQLView(
        schema,
        authenticate=authenticate,
        context_for=context_for,
        streams=StreamHub(schema, context_for),
        answers=answers,
        documents=document_store(schema, settings.trusted_documents, only=settings.trusted_documents_only),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with open_hub(settings, url) as opened, background(opened, with_worker=with_worker):
            held.append(opened)
            try:
                yield
            finally:
                await view.close()

    checks: dict[str, Check] = {
        "database": ping,
        "migrated": migrated,
        "tail": follows,
    }
    # what is asked most stands first, since routes are tried in turn
    routes = [
        Route("/graphql", view),
        WebSocketRoute("/graphql", view),
        history_route(authenticate, history),
        *health_routes(checks),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.drain = view.close
    return app


@contextlib.asynccontextmanager
async def background(hub: Hub, *, with_worker: bool) -> AsyncIterator[None]:
    """Upkeep, and perhaps a worker, for as long as the block lasts."""
    tasks = [
        asyncio.create_task(run_partition_upkeep(hub.database, PARTITION_SECONDS), name="partition upkeep"),
        asyncio.create_task(run_checkpoint_upkeep(hub.database, PARTITION_SECONDS), name="checkpoint upkeep"),
        asyncio.create_task(run_stale_agents(hub.database, UPKEEP_SECONDS), name="stale agents"),
        asyncio.create_task(run_overdue_gates(hub.database, UPKEEP_SECONDS), name="overdue gates"),
        asyncio.create_task(run_schedules(hub.database, SCHEDULE_SECONDS), name="schedules"),
        asyncio.create_task(run_key_upkeep(hub.database, KEY_SECONDS), name="idempotency keys"),
    ]
    worker = hub.worker() if with_worker else None
    try:
        if worker is not None:
            await worker.start()
        yield
    finally:
        if worker is not None:
            await worker.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def prepare(settings: Settings, url: str) -> str | None:
    """Migrate the database and bring it the shipped templates; the admin token, if this was the first time."""
    made: list[str] = []

    async def after() -> None:
        await set_up_checkpoints(url)
        database = Database(url, pool_size=2, read_pool_size=1)
        try:
            await database.transact(sync_templates)
            secret = await database.transact(lambda session: _first_admin_token(session, settings))
        finally:
            await database.close()
        if secret is not None:
            made.append(secret)

    await migrate(url, after)
    return made[0] if made else None


async def _first_admin_token(session: AsyncConnection, settings: Settings) -> str | None:
    """Make an admin token unless the database has a live one; that in the file is taken again unless it was ended."""
    if await has_admin(session):
        return None
    path = settings.admin_token_file
    secret = path.read_text().strip() if path.exists() else ""
    if not is_secret(secret) or await knows_token(session, hash_secret(secret)):
        secret = new_secret()
    await create_token(session, SYSTEM, CreateToken("admin", Role.ADMIN, secret))
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        file.write(secret + "\n")
    return secret


async def run_api(settings: Settings, url: str, *, with_worker: bool, first_token: str | None = None) -> None:
    """Serve until SIGTERM or SIGINT; open requests get ten seconds, sockets are told to come again."""
    app = create_app(settings, url, with_worker=with_worker)
    drain: Drain = app.state.drain
    protocols = PLAIN_ASGI if settings.plain_asgi else chosen_protocols()
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ws=protocols.ws,
        http=protocols.http,
        ws_max_size=BODY_LIMIT,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
    )
    server = DrainingServer(config, drain, lambda server: _announce(settings, server, with_worker, first_token))
    await server.serve()
    if not server.started:
        raise SystemExit(1)


def _announce(settings: Settings, server: uvicorn.Server, with_worker: bool, first_token: str | None) -> None:
    port = port_of(server)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    console.print(f"The hub answers at [bold]http://{host}:{port}/graphql[/bold]" + (", with a worker" * with_worker))
    if first_token is not None:
        console.print(f"Admin token (kept in {settings.admin_token_file}): [bold]{first_token}[/bold]")
    sys.stdout.flush()


async def run_worker(settings: Settings, url: str) -> None:
    """Work until SIGTERM or SIGINT; what is in hand is brought to a safe point and handed on."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with open_hub(settings, url) as hub, background(hub, with_worker=True):
        console.print(f"The worker [bold]{os.uname().nodename}-{os.getpid()}[/bold] takes up executions.")
        sys.stdout.flush()
        await stopping.wait()


async def up(settings: Settings, url: str) -> None:
    """Everything in one process."""
    first_token = await prepare(settings, url)
    await run_api(settings, url, with_worker=True, first_token=first_token)


async def serve(settings: Settings, url: str) -> None:
    """The API only."""
    await _require_migrated(url)
    _sealer(settings)  # told here in one line, and not by the server as a start that failed
    await run_api(settings, url, with_worker=False)


async def worker(settings: Settings, url: str) -> None:
    """A worker only."""
    await _require_migrated(url)
    await run_worker(settings, url)


async def migrate_only(settings: Settings, url: str) -> None:
    """Bring the database to this version."""
    first_token = await prepare(settings, url)
    console.print("The database is at this version of the hub.")
    if first_token is not None:
        console.print(f"An admin token was made; it is kept in {settings.admin_token_file}.")


async def rotate_key(settings: Settings, url: str) -> None:
    """Take the master key out of use for a new one."""
    await _require_migrated(url)
    await rotate_by_command(url, _existing_keys(settings), bool(settings.master_key_previous), console)


def _existing_keys(settings: Settings) -> FixedKeys | KeyFiles:
    if settings.master_key is None and not settings.master_key_file.exists():
        raise SystemExit(f"There is no master key in {settings.data_dir}; the first start of the hub makes it.")
    return _master_keys(settings)


COMMANDS = {"up": up, "serve": serve, "worker": worker, "migrate": migrate_only, "rotate-key": rotate_key}


@contextlib.contextmanager
def located_database(settings: Settings) -> Iterator[str]:
    """The address of the database: the one that the settings name, or the embedded one, running for the block."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    server = EmbeddedServer.start(settings.data_dir)
    try:
        server.ensure_database()
        yield server.url()
    finally:
        server.stop()


def doctor(*arguments: str) -> int:
    """Tell what is wrong with this installation, `--json` for programs; 1 when there is a problem. Changes nothing."""
    findings = asyncio.run(examine(_installation()))
    (print_json if "--json" in arguments else print_lines)(findings)
    return exit_code(findings)


def _installation() -> Installation:
    settings, faults = readable_settings()
    return Installation(
        data_dir=settings.data_dir,
        master_key_file=settings.master_key_file,
        admin_token_file=settings.admin_token_file,
        hub_url=os.environ.get("HUB_URL") or f"http://{settings.host}:{settings.port}",
        token=os.environ.get("HUB_TOKEN") or None,
        sdl=SDL_FILE.read_text(),
        database_url=settings.database_url,
        master_key=settings.master_key,
        master_key_previous=settings.master_key_previous,
        connections=settings.pool_size + settings.read_pool_size + settings.worker_concurrency + TAIL_AND_HINTS,
        setting_faults=faults,
        given_variables=frozenset(name for name in os.environ if name.startswith("HUB_")),
        known_variables=VARIABLES,
    )


def main() -> None:
    """Run the command that the first argument names."""
    if sys.argv[1] == "doctor":
        raise SystemExit(doctor(*sys.argv[2:]))
    settings = Settings()
    if sys.argv[1] == "key-id":
        return tell_key_ids(_existing_keys(settings), console)
    configure_logging(settings.log_level)
    # uvicorn raises the signal again once it has shut down; the embedded database is stopped after that
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with located_database(settings) as url, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(COMMANDS[sys.argv[1]](settings, url))
    except (EmbeddedServerError, HubError, OSError) as error:
        console.print(f"[red]The hub cannot run:[/red] {error}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _sealer(settings: Settings) -> Sealer:
    return Sealer(_master_keys(settings))


def _master_keys(settings: Settings) -> FixedKeys | KeyFiles:
    try:
        others = [parse_master_key(key) for key in (settings.master_key_previous,) if key]
        if settings.master_key is not None:
            return FixedKeys(parse_master_key(settings.master_key), *others)
        return KeyFiles(settings.master_key_file, *others)
    except (OSError, ValueError) as error:
        raise SystemExit(
            f"There is no master key: {error}. Give every process of this database the same one by HUB_MASTER_KEY, "
            "64 hexadecimal digits, or as the file master.key in its data folder. Nothing was changed."
        ) from None


async def _require_same_key(database: Database, sealer: Sealer) -> None:
    """Refuse to run beside decisions that this process could not open, and others could not open what it seals."""
    async with database.snapshot() as session:
        wrapped = await newest_wrapped_key(session)
    if wrapped is not None and not sealer.wrapped(wrapped):
        raise SystemExit(
            "The decisions of this database are sealed with another master key. Give this process the same key, by "
            "HUB_MASTER_KEY or as the file master.key in its data folder; one that is being taken out of use by "
            "HUB_MASTER_KEY_PREVIOUS. Nothing was changed."
        )


async def _require_migrated(url: str) -> None:
    if not await is_migrated(url):
        raise SystemExit("The database is not at this version of the hub. Run `hub migrate` first.")


if __name__ == "__main__":
    main()
