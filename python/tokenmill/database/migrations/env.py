"""What Alembic runs: the migrations on the connection that `migrate` was given."""

from alembic import context

from tokenmill.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by making another
    transactional_ddl=False,  # the caller's transaction is the one that counts
)
context.run_migrations()
