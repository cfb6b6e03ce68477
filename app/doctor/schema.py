"""Checks of the tables: whether they are this version's, and whether the master key opens what they hold."""

from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection

from app.doctor.findings import Finding, fine, problem
from app.doctor.installation import Installation
from app.security.keyring import KeyFiles
from app.security.sealing import FixedKeys, Sealer, parse_master_key
from db.adoption import is_ours
from db.migrate import configuration, head_revision
from db.queries.decisions import newest_wrapped_key
from db.queries.diagnosis import revision


async def migrated(_installation: Installation, connection: AsyncConnection) -> Finding:
    """The database is at this version of the hub."""
    name, found = "migrations", await revision(connection)
    if found == head_revision():
        return fine(name, f"The database is at this version, {found}.")
    if found is None:
        return problem(name, "The database was never migrated.", "Run `hub migrate`, or `hub up`, which does it too.")
    known = {script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()}
    if found in known:
        return problem(
            name,
            f"The database is at {found}, older than this version, {head_revision()}.",
            "Make a backup, stop the older processes, run `hub migrate`.",
        )
    return problem(
        name,
        f"The database is at {found}, which this version does not know: a newer hub migrated it.",
        "Update this installation to the version that migrated it; there is no way back but a backup.",
    )


async def taken_over(_installation: Installation, connection: AsyncConnection) -> Finding:
    """What the event log holds was written by this server; one that was restored here counts by other ids."""
    name = "server of origin"
    if await is_ours(connection):
        return fine(name, "The event log was written by this server, or taken over by it.")
    return problem(
        name,
        "The database was restored from another server, and not taken over yet: no process starts to follow its log.",
        "Stop the processes that use it, and run `hub migrate`, or `hub up`, which does it too.",
    )


async def key_fits(installation: Installation, connection: AsyncConnection) -> Finding:
    """The master key is the one that the newest decision was sealed with."""
    name = "sealed decisions"
    wrapped = await newest_wrapped_key(connection)
    if wrapped is None:
        return fine(name, "There is no sealed decision that the master key would have to open.")
    keys = _keys(installation)
    if keys is None:
        return problem(name, "There are sealed decisions, and no master key.", _REMEDY)
    if not Sealer(keys).wrapped(wrapped):
        return problem(name, "They are sealed with another master key, so that no process starts.", _REMEDY)
    return fine(name, "The master key is the one that they are sealed with.")


_REMEDY = (
    "Give this process the key of the others, by HUB_MASTER_KEY or as master.key in its data folder, or from a backup. "
    "Do not delete the decisions: with the key they can be read again."
)


def _keys(installation: Installation) -> FixedKeys | KeyFiles | None:
    """The keys that a process of this installation would have; None where there are none."""
    try:
        others = [parse_master_key(key) for key in (installation.master_key_previous,) if key]
        if installation.master_key is not None:
            return FixedKeys(parse_master_key(installation.master_key), *others)
        # made at the first start otherwise, and the doctor makes nothing
        return KeyFiles(installation.master_key_file, *others) if installation.master_key_file.exists() else None
    except (OSError, ValueError):
        return None


CHECKS = (taken_over, key_fits)
