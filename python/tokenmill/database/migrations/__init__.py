"""How the tables came to be, a file a revision, run by Alembic inside the caller's transaction.

Importing this loads Alembic: `upgrade.py` does so only when a database is behind.
"""

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

_LOCATION = "tokenmill.database:migrations"


def migrate(connection: Connection, revision: str) -> None:
    """Brings the tables behind `connection` to `revision`; the caller commits."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def newest_revision() -> str | None:
    """The revision of the newest file."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", _LOCATION)
    # Alembic asks how to split a list of locations; there is one.
    config.set_main_option("path_separator", "os")
    return config
