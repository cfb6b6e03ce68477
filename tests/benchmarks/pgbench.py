"""One SQL statement alone in PostgreSQL's own pgbench, prepared once a connection, as the hub prepares it."""

import os
import re
import subprocess
import time
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from db.embedded import PORT, EmbeddedServer
from db.session import SERVER_SETTINGS
from tests.benchmarks.cpu import Meter, of_ended_children, of_family
from tests.benchmarks.rounds import Sample

VARIABLE = re.compile(r"(?<!:):[A-Za-z_]")
"""What pgbench takes for one of its variables, be it within a text."""
PLACEHOLDER = re.compile(r"\$(\d+)")
RATE = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
COUNT = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)
SETTLE = 0.5
"""Seconds."""


class PgbenchError(Exception):
    """pgbench cannot run the statement."""


def script(statement: str, arguments: Sequence[Any]) -> str:
    """The statement with its arguments written into it. Raises `PgbenchError` when pgbench would misread it."""
    inlined = PLACEHOLDER.sub(lambda found: literal(arguments[int(found[1]) - 1]), statement)
    if VARIABLE.search(inlined) or ";" in inlined:
        raise PgbenchError(f"pgbench would misread this statement: {inlined}")
    return inlined + ";\n"


def literal(value: Any) -> str:
    """The value as an SQL literal; the statement casts it where its type is not plain. Raises `PgbenchError`."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, Decimal)):
        return str(value)
    if isinstance(value, (str, UUID, datetime)):
        escaped = str(value).replace("'", "''")
        return f"'{escaped}'"
    if isinstance(value, (list, tuple)):
        return f"ARRAY[{', '.join(map(literal, value))}]"
    raise PgbenchError(f"there is no literal for {value!r}")


def measure(server: EmbeddedServer, file: Path, clients: int, seconds: float) -> Sample:
    """Run the script in `file` with so many clients, with the session settings of the hub's connections."""
    options = " ".join(f"-c {name}={value}" for name, value in SERVER_SETTINGS.items())
    connection = ("-h", str(server.socket_dir), "-p", str(PORT), "-U", "postgres")
    how = ("-n", "-M", "prepared", "-c", str(clients), "-T", str(max(1, round(seconds))), "-f", str(file))
    stop = Meter({"database": of_family(server.pid), "client": of_ended_children}).start()
    ended = subprocess.run(
        (str(server.bin_path / "pgbench"), *connection, *how, "hub"),
        env={**os.environ, "PGOPTIONS": options},
        capture_output=True,
        text=True,
    )
    rate, count = RATE.search(ended.stdout), COUNT.search(ended.stdout)
    if ended.returncode or rate is None or count is None:
        raise PgbenchError(ended.stderr.strip() or ended.stdout)
    # pgbench's backends may still be ending, and count when they have
    time.sleep(SETTLE)
    spent = stop({})
    costs = {f"{name}_cpu": 1000 * seconds / int(count[1]) for name, seconds in spent.by.items()}
    return Sample(float(rate[1]), **costs, others=spent.others)
