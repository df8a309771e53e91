"""What can be wrong with a wish about accounts."""

from tokenmill.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    ServiceUnavailable,
)


class AccountNotFound(NotFound):
    """There is no such account."""

    code = "account_not_found"


class AccountExists(Conflict):
    """There is an account of that name already."""

    code = "account_exists"


class NotAllowed(PermissionDenied):
    """This token may not do that."""

    code = "permission_denied"


class TooManyAccounts(ServiceUnavailable):
    """The hot segment has no room for another account. Raise `segment.accounts_max` and restart."""

    code = "too_many_accounts"


class TooManyPrices(InvalidRequest):
    """An account has at most a thousand prices of its own. Name `*` for all models together."""

    code = "too_many_prices"
