"""Downloads from URLs: where the key goes, and redirects."""

from __future__ import annotations

from urllib.parse import urljoin

import attrs
from yarl import URL

from .._checks import check_relative_url, is_relative_url, origin_of, split_url
from ..errors import APIStatusError, ConfigurationError
from ..http import BINARY, Headers, Request, Response, make_endpoint
from ..transports import StreamedResponse
from .calls import Call, Settings

__all__ = ["DownloadCall", "locate"]

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: All that other servers than that of the base URL receive: headers of a session may be secrets of any name.
_HARMLESS = frozenset({"accept", "accept-encoding", "if-range", "range", "user-agent"})


def locate(settings: Settings, url: str | URL) -> tuple[Settings, Request]:
    """Return the request for a URL, and the settings to send it with.

    The key, and the headers and the query of the options, go to the origin of the base URL only.

    Args:
        settings: The settings of the session.
        url: Relative to the base URL, or absolute.

    Raises:
        ConfigurationError: It is not an http or https URL, or contains a user or a password.
    """
    if not isinstance(url, str | URL):
        raise ConfigurationError(f"url must be a string, not {type(url).__name__}")
    url = str(url)
    headers = Headers({"Accept": BINARY})
    base_url = settings.endpoint.base_url
    if is_relative_url(url):
        return settings, Request("GET", check_relative_url(url.partition("#")[0], "url"), headers)
    origin, target = split_url(f"{base_url.scheme}:{url}" if url.startswith("//") else url, "url")
    request = Request("GET", target, headers)
    _, prepared = settings.endpoint.prepare(request)
    if origin == origin_of(base_url):
        return attrs.evolve(settings, endpoint=make_endpoint(origin, prepared.headers)), request
    endpoint = make_endpoint(origin, _harmless(prepared.headers))
    options = attrs.evolve(settings.options, headers=_harmless(settings.options.headers), query={})
    return attrs.evolve(settings, endpoint=endpoint, key=None, options=options), request


class DownloadCall(Call):
    """A call that follows redirects of a GET, each attempt from the beginning: signed URLs expire.

    The key, and the headers of the session, stay at the origin that redirects.
    """

    __slots__ = ()

    async def _send(self, url: URL, request: Request) -> StreamedResponse:
        response = await super()._send(url, request)
        request = self._sent  # with the key
        followed = 0
        while request.method == "GET" and response.status in _REDIRECTS and "location" in response.headers:
            await response.aclose()
            followed += 1
            url, request = _follow(url, request, response, followed)
            timeouts = self.settings.options.timeouts
            response = await self.settings.pool.transport().open(url, request, connect_timeout=timeouts.connect)
        return response


def _follow(url: URL, request: Request, response: StreamedResponse, number: int) -> tuple[URL, Request]:
    """Return URL and request of a redirect.

    Raises:
        APIStatusError: It is not followed.
    """
    reason = "" if number <= _MAX_REDIRECTS else f"there are more than {_MAX_REDIRECTS}"
    origin, target = url, ""
    try:
        location = urljoin(str(url), response.headers["location"].strip())
        origin, target = split_url(location, "Location", without_user=True)
    except ValueError as error:  # ConfigurationError is one
        reason = reason or str(error)
    if reason:
        raise APIStatusError(
            f"the redirect is not followed: {reason}", response=Response(response.status, response.headers)
        )
    headers = request.headers if origin == origin_of(url) else _harmless(request.headers)
    return URL(str(origin).rstrip("/") + target, encoded=True), Request("GET", target, headers)


def _harmless(headers: Headers) -> Headers:
    return Headers({name: value for name, value in headers.items() if name.lower() in _HARMLESS})
