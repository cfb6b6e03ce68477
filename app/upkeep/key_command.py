"""The commands `hub key rotate` and `hub key show-id`, as the server's process runs them."""

import asyncio

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from app.security.keyring import KeyFiles
from app.security.sealing import FixedKeys, Sealer
from app.upkeep.rotation import GivenKeys, Progress, rotate_master_key
from db.session import Database

NO_PREVIOUS = """The master key comes from HUB_MASTER_KEY, so the hub cannot make a new one. To rotate it:
 1. Give every process HUB_MASTER_KEY=<new key> and HUB_MASTER_KEY_PREVIOUS=<old key>, and restart them one by one.
 2. Run this command with both variables.
 3. Take HUB_MASTER_KEY_PREVIOUS away and destroy the old key.
A new key: `openssl rand -hex 32`. Nothing was changed."""
TAKE_AWAY = "Take HUB_MASTER_KEY_PREVIOUS away from every process now, and destroy that key; backups still need it."
RETIRED = "The old key is destroyed here; backups of the database that were made before still need it."


async def rotate_by_command(url: str, keys: FixedKeys | KeyFiles, has_previous: bool, console: Console) -> None:
    """Rotate the master key and show how far it is. Raises `SystemExit` and `HubError`, which say what to do."""
    if isinstance(keys, FixedKeys) and not has_previous:
        raise SystemExit(NO_PREVIOUS)
    database = Database(url, pool_size=2, read_pool_size=1)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("Decisions on the new key", total=None)

            def tell(progress: Progress) -> None:
                bar.update(task, completed=progress.done, total=progress.total)

            rotation = keys if isinstance(keys, KeyFiles) else GivenKeys()
            progress = await rotate_master_key(database, rotation, Sealer(keys), tell)
    except asyncio.CancelledError:
        console.print("Interrupted. Everything can be read as before; `hub key rotate` goes on where this one stopped.")
        raise
    finally:
        await database.close()
    console.print(f"All decisions are on the new master key {keys.current().key_id.hex()}; {progress.done} were moved.")
    console.print(TAKE_AWAY if isinstance(keys, FixedKeys) else RETIRED)


def tell_key_ids(keys: FixedKeys | KeyFiles, console: Console) -> None:
    """Print which master key is in use; the id tells keys apart and nothing about them."""
    console.print(keys.current().key_id.hex())
    if isinstance(keys, KeyFiles) and keys.is_rotating:
        console.print("A rotation is under way; `hub key rotate` goes on with it.")
