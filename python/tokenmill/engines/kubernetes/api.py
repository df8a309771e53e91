"""Kubernetes' API, as far as EndpointSlices go: list and watch. Blocks; for a thread of its own.

Everything is bounded: pages, lines, how long a silent connection is believed. The token is read
anew for each question, for Kubernetes replaces it on the disk.
"""

import http.client
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from tokenmill.engines.kubernetes.slices import (
    Event,
    Slice,
    SliceList,
    Status,
    decode,
)
from tokenmill.settings import KubernetesSettings

PAGE = 500
PAGES_MAX = 64
PAGE_BYTES_MAX = 32 * 1024 * 1024
LINE_BYTES_MAX = 4 * 1024 * 1024
"""A slice has at most 1,000 endpoints of some hundred bytes each."""

CONNECT_S = 10.0
SILENCE_S = 15.0
"""Beyond the time after which the API ends a watch by itself."""

GONE = 410


class VersionGone(Exception):
    """The API does not know any more what happened since then: list anew."""


class ApiRefused(Exception):
    """The API answered, and not with what was asked for."""


class Place(Struct, frozen=True):
    """Where the API is, whose slices are wanted, and where the account's files are."""

    url: str
    namespace: str
    account: Path


def find_place(settings: KubernetesSettings, environment: Mapping[str, str]) -> Place:
    """The API of the cluster that this runs in, unless settings name one. Raises: ValueError."""
    url = settings.api_url
    if not url:
        host = environment.get("KUBERNETES_SERVICE_HOST", "")
        if not host:
            raise ValueError("this is no pod: set kubernetes.api_url")
        port = environment.get("KUBERNETES_SERVICE_PORT", "443")
        url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    namespace = settings.namespace
    if not namespace:
        try:
            namespace = (settings.account / "namespace").read_text().strip()
        except OSError as error:
            raise ValueError(f"set kubernetes.namespace: {error}") from error
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError("kubernetes.api_url has to be https://host:port")
    return Place(url.rstrip("/"), namespace, settings.account)


class SliceApi:
    """Questions about the slices that a selector names."""

    def __init__(self, place: Place, selector: str) -> None:
        self._place = place
        self._selector = selector

    def list(self) -> tuple[dict[str, Slice], str]:
        """All slices by name, and the version that a watch goes on from.

        Raises: OSError, http.client.HTTPException, ApiRefused, VersionGone, msgspec.MsgspecError.
        """
        found: dict[str, Slice] = {}
        more = ""
        for _ in range(PAGES_MAX):
            query = {"limit": str(PAGE)} | ({"continue": more} if more else {})
            with self._asked(query, CONNECT_S) as answer:
                text = answer.read(PAGE_BYTES_MAX + 1)
            if len(text) > PAGE_BYTES_MAX:
                raise ApiRefused(f"a page of slices has more than {PAGE_BYTES_MAX} bytes")
            page: SliceList = decode(text, SliceList)
            found |= {one.metadata.name: one for one in page.items}
            more = page.metadata.more
            if not more:
                return found, page.metadata.version
        raise ApiRefused(f"more than {PAGES_MAX * PAGE} slices: name fewer in kubernetes.selector")

    def watch(self, version: str, watch_s: int) -> Iterator[tuple[str, Slice]]:
        """Events since that version, until the API ends the watch. Raises: as `list`."""
        query = {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(watch_s),
        }
        with self._asked(query, watch_s + SILENCE_S) as answer:
            while line := answer.readline(LINE_BYTES_MAX):
                if not line.endswith(b"\n"):
                    raise ApiRefused("a watch broke off, or has a line without end")
                event: Event = decode(line, Event)
                if event.type == "ERROR":
                    raise _refusal(decode(bytes(event.object), Status))
                yield event.type, decode(bytes(event.object), Slice)

    @contextmanager
    def _asked(
        self, query: Mapping[str, str], timeout_s: float
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection(timeout_s)
        try:
            namespace = quote(self._place.namespace, safe="")
            path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
            target = f"{path}?{urlencode({'labelSelector': self._selector, **query})}"
            connection.request("GET", target, headers=self._headers())
            answer = connection.getresponse()
            if answer.status != 200:
                raise _refusal(_status(answer))
            yield answer
        finally:
            connection.close()

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        parts = urlsplit(self._place.url)
        host = parts.hostname or ""
        if parts.scheme == "http":  # `kubectl proxy`
            return http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
        authority = self._place.account / "ca.crt"
        trusting = ssl.create_default_context(cafile=authority if authority.exists() else None)
        return http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=trusting)

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": "tokenmill"}
        try:
            token = (self._place.account / "token").read_text().strip()
        except FileNotFoundError:
            return headers
        return headers | {"Authorization": f"Bearer {token}"}


def _status(answer: http.client.HTTPResponse) -> Status:
    try:
        said: Status = decode(answer.read(64 * 1024), Status)
    except msgspec.MsgspecError:
        said = Status()
    return Status(code=answer.status, message=said.message or answer.reason, reason=said.reason)


def _refusal(status: Status) -> Exception:
    if status.code == GONE or status.reason in ("Expired", "Gone"):
        return VersionGone(status.message)
    return ApiRefused(f"{status.code} {status.reason} {status.message}".strip())
