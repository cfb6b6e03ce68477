"""The command `hub` loads none of the server's libraries, since every agent's process is one."""

import subprocess
import sys

SERVER_LIBRARIES = {"strawberry", "sqlalchemy", "asyncpg", "langgraph", "uvicorn", "starlette", "psycopg", "alembic"}
SERVER_ROOMS = {"app.main", "app.services", "app.engine", "app.live", "app.doctor", "db", "graphql_schema"}
PROBE = "import sys, app.cli; print(*sys.modules)"


def test_the_commands_load_no_server() -> None:
    loaded = set(
        subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True).stdout.split()
    )
    assert "app.client.commands.agents" in loaded
    assert loaded & (SERVER_LIBRARIES | SERVER_ROOMS) == set()
