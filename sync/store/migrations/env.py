"""What Alembic runs: the migrations on the connection that `sync.store.db` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from sync.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes a column by making the table anew.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
