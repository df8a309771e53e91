"""What the dashboard's routes of all features share: who asks, about which account, with what.

Bodies and addresses are decoded by the house's own decoders, so that a wrong field is named here as
it is in inference.
"""

from typing import Annotated, Any, TypeVar

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import PathParameter
from msgspec import Struct

from tokenmill.accounts.visitor import Visitor, check_may_change, check_sees
from tokenmill.errors import InvalidRequest
from tokenmill.ids import ROW_NUMBER_MAX
from tokenmill.protocol.decoding import BodyDecoder, decode_query

AnyRequest = Request[Any, Any, Any]
AskedBy = NamedDependency[Visitor]
"""The visitor, as handlers take him; control says who it is."""

PathNumber = Annotated[int, PathParameter(ge=0, le=ROW_NUMBER_MAX)]
"""The number of a row, in an address."""

T = TypeVar("T", bound=Struct)


async def read_wish(request: AnyRequest, decoder: BodyDecoder[T]) -> T:
    """The body of a request that wishes for something. Raises: InvalidRequest."""
    return decoder.decode(await request.body())


def read_query(request: AnyRequest, model: type[T]) -> T:
    """The parameters of the address. Raises: InvalidRequest."""
    pairs = request.query_params.multi_items()
    return decode_query([pair for pair in pairs if pair[0] != "api_key"], model)


def account_for(visitor: Visitor, asked: int | None) -> int:
    """The account that is meant: the visitor's, or the one asked for, if it is there for him.

    Raises: AccountNotFound, InvalidRequest.
    """
    if asked is None and not visitor.account_id:
        raise InvalidRequest("Say which account: `?account=` and its id.", param="account")
    account_id = visitor.account_id if asked is None else asked
    check_sees(visitor, account_id)
    return account_id


def account_to_change(visitor: Visitor, asked: int | None) -> int:
    """As `account_for`, for those who may change things. Raises: NotAllowed, too."""
    account_id = account_for(visitor, asked)
    check_may_change(visitor)
    return account_id
