"""What can be wrong with a wish about keys."""

from tokenmill.errors import Conflict, NotFound, ServiceUnavailable, TokenmillError


class KeyNotFound(NotFound):
    """There is no such key. `tokenmill keys list` shows those there are."""

    code = "key_not_found"


class KeyIsOver(Conflict):
    """The key is revoked or expired already."""

    code = "key_is_over"


class TooManyKeys(ServiceUnavailable):
    """The hot segment has no room for another key. Raise `segment.keys_max` and start again."""

    code = "too_many_keys"


class KeysDoNotFit(TokenmillError):
    """The database holds more live keys than the hot segment has room for."""

    code = "too_many_keys"
