"""Whose request it is: the key in `Authorization: Bearer` or, where allowed, in `?api_key=`.

The key's digest is looked up in the hot segment by the native side; a secret is never logged,
echoed or kept here.
"""

from tokenmill._native import KeyEntry, KeyRefusal
from tokenmill.clock import monotonic_ns, wall_s
from tokenmill.errors import InvalidApiKey, PermissionDenied
from tokenmill.inference.exchange import Exchange
from tokenmill.inference.serving import Serving
from tokenmill.keys.rules import Scope

_NO_REFERRER = (b"referrer-policy", b"no-referrer")  # a page must not tell where it was
_CHALLENGE = {"www-authenticate": "Bearer"}
_MISSING = "No API key provided. Send `Authorization: Bearer pk_live_…`."
_INVALID = "Invalid API key provided"
_NO_INFERENCE = "This key may not be used for inference."
_SECRET_BYTES_MAX = 256
_INFERENCE = int(Scope.INFERENCE)  # flags of an enum cost a microsecond to compare


def authorise(exchange: Exchange, serving: Serving, *, needs: int = _INFERENCE) -> KeyEntry:
    """The key of the request, with the scopes that it `needs`. From here on answers tell what is
    left of its account's limits; where houses share those, from when the purse was asked.

    Cost: some microseconds, the same for all that are no keys.
    Raises: InvalidApiKey, PermissionDenied.
    """
    secret = _secret(exchange, serving)
    if secret is None:
        raise _refused(serving, "missing", _MISSING)
    if len(secret) > _SECRET_BYTES_MAX:
        raise _refused(serving, "malformed", _INVALID)
    found = serving.segment.find_key(secret, wall_s())
    if isinstance(found, KeyEntry):
        exchange.account_id = found.account_id
        if serving.purses is None:
            exchange.limited_by = serving.segment
        if found.scopes & needs != needs:
            serving.counters.key_refused("scope")
            raise PermissionDenied(_NO_INFERENCE, code="permission_denied")
        exchange.key_ns = monotonic_ns()
        return found
    if found == KeyRefusal.REVOKED:
        raise _refused(serving, "revoked", f"{_INVALID}: it was revoked.")
    if found == KeyRefusal.EXPIRED:
        raise _refused(serving, "expired", f"{_INVALID}: it has expired.")
    reason = "malformed" if found == KeyRefusal.MALFORMED else "unknown"
    raise _refused(serving, reason, _INVALID)


def _secret(exchange: Exchange, serving: Serving) -> bytes | None:
    header = exchange.headers.get(b"authorization")
    if header is not None:
        scheme, _, secret = header.partition(b" ")
        return secret.strip() if scheme.lower() == b"bearer" else b""
    if serving.settings.http.query_api_key:
        given = exchange.query("api_key")
        if given is not None:
            exchange.extra_headers.append(_NO_REFERRER)
            return given.encode("utf-8", "replace")
    return None


def _refused(serving: Serving, reason: str, message: str) -> InvalidApiKey:
    serving.counters.key_refused(reason)
    return InvalidApiKey(message, headers=_CHALLENGE)
