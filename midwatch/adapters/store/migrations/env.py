"""Run by Alembic inside the connection and transaction that ``Database.migrate`` holds."""

from alembic import context

from midwatch.adapters.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
