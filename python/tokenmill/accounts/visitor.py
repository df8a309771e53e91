"""Who asks the control plane for something, and whose things they may see. Pure.

A dashboard token sees its own account and may change it; an operator's token does so for every
account; an API key with the scope `usage` may read about its own. What belongs to another account
is not there: that is one answer, whatever the reason.
"""

from msgspec import Struct

from tokenmill.accounts.errors import AccountNotFound, NotAllowed


class Visitor(Struct, frozen=True, kw_only=True):
    """The owner of a secret that was accepted."""

    account_id: int
    key_id: int
    may_change: bool
    is_operator: bool


LOCAL_OPERATOR = Visitor(account_id=0, key_id=0, may_change=True, is_operator=True)
"""Whoever may use control's private socket."""


def may_see(visitor: Visitor, account_id: int) -> bool:
    """Whether the account is there for the visitor."""
    return visitor.is_operator or visitor.account_id == account_id


def check_sees(visitor: Visitor, account_id: int) -> None:
    """Raises: AccountNotFound."""
    if not may_see(visitor, account_id):
        raise AccountNotFound


def check_may_change(visitor: Visitor) -> None:
    """Raises: NotAllowed, for those who may only read."""
    if not visitor.may_change:
        raise NotAllowed("An API key may only read here. Send a dashboard token (dt_live_…).")


def check_operator(visitor: Visitor) -> None:
    """Raises: NotAllowed, for everybody who does not run this house."""
    if not visitor.is_operator:
        raise NotAllowed("Only an operator's token may do that.")
