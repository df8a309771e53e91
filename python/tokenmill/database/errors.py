"""What can be wrong with a database, in words that say what to do."""

from tokenmill.errors import ServiceUnavailable, TokenmillError


class DatabaseUnavailable(ServiceUnavailable):
    """The database cannot be used now. `tokenmill doctor` says more."""

    code = "database_unavailable"


class DatabaseNewer(TokenmillError):
    """The database was written by a newer tokenmill. Install that version, or restore a backup."""

    code = "database_newer"


class DatabaseForeign(TokenmillError):
    """The database holds tables that are not tokenmill's. Give it a database of its own."""

    code = "database_foreign"


class DatabaseAddressInvalid(TokenmillError):
    """`database_url` is not an address that tokenmill can use."""

    code = "database_address_invalid"
