"""Alembic's environment: it runs on the connection that db/migrate.py hands over, and knows no address of its own."""

from alembic import context

from db.migrations.scope import include_name
from db.tables.registry import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    include_name=include_name(connection),
    compare_server_default=True,
    # one transaction a migration, so that a failing one leaves the earlier ones done
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
