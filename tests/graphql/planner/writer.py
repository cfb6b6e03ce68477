"""A process that writes to workflows until its input closes, and writes a dot after each transaction.

Run as `python -m tests.graphql.planner.writer URL SEED`. Each transaction inserts some rows anywhere, changes of others
what no order compares, moves some, and deletes some.
"""

import asyncio
import os
import sys
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

import asyncpg

ROWS = 20_000
"""Workflows that are there from the start, numbered from 1."""
TENTH = 10
MOVING, FLEETING = 0, 5
"""What is left of a row's number modulo ten when it may get other times, or be deleted."""
PAUSE = 0.001
"""Seconds between transactions, so that the pages come forward too."""

INSERT = """
INSERT INTO workflow_executions (execution_id, workflow_name, template_version, trigger_type, triggered_by,
        completed_at, last_activity)
    VALUES ($1, 'plain', 1, 'manual', 'new', timestamptz '2026-01-01' + make_interval(mins => $2), now())
"""
CHANGE = "UPDATE workflow_executions SET current_phase = 'p', version = version + 1 WHERE execution_id = $1"
MOVE = """
UPDATE workflow_executions SET completed_at = timestamptz '2026-01-01' + make_interval(mins => $2),
        last_activity = timestamptz '2026-01-01' + make_interval(mins => $2), version = version + 1
    WHERE execution_id = $1
"""
DELETE = "DELETE FROM workflow_executions WHERE execution_id = $1"


def id_of(number: int) -> UUID:
    """The id of a row that was there from the start; between any two there is room for others."""
    return UUID(f"{number * 1000:08x}-0000-7000-8000-000000000000")


@dataclass
class Writer:
    """Chooses by `random` what to write."""

    connection: Any
    random: Random

    async def write(self) -> None:
        """One transaction."""
        some = self.random
        async with self.connection.transaction():
            new = [(UUID(int=some.getrandbits(90) << 32), some.randrange(60)) for _ in range(3)]
            await self.connection.executemany(INSERT, new)
            await self.connection.executemany(CHANGE, [(id_of(some.randint(1, ROWS)),) for _ in range(5)])
            moved = some.sample(range(TENTH + MOVING, ROWS + 1, TENTH), 5)
            await self.connection.executemany(MOVE, [(id_of(number), some.randrange(60)) for number in moved])
            gone = some.sample(range(FLEETING, ROWS + 1, TENTH), 2)
            await self.connection.executemany(DELETE, [(id_of(number),) for number in gone])


async def main(url: str, seed: int) -> None:
    """Write until the input closes."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    closed = asyncio.create_task(reader.read())
    connection = await asyncpg.connect(url)
    try:
        writer = Writer(connection, Random(seed))  # noqa: S311
        while not closed.done():
            await writer.write()
            os.write(sys.stdout.fileno(), b".")
            await asyncio.sleep(PAUSE)
    finally:
        await connection.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
