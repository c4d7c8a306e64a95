"""Transports that fail a clause of `handinger_async.testing.conformance.requests`."""

import asyncio

import attrs
from yarl import URL

from ..h11_transport import H11Transport
from .registry import breaks


@breaks("target_arrives_as_given")
class NormalizesTargets(H11Transport):
    """Decodes what need not be percent-encoded, as yarl does unless it is told not to."""

    async def open(self, url, request, **kwargs):
        return await super().open(url, attrs.evolve(request, target=str(URL(request.target))), **kwargs)


@breaks("method_headers_and_body_arrive_as_given")
class SendsItsOwnUserAgent(H11Transport):
    """Sends its own User-Agent instead of the given one."""

    def fields(self, url, request):
        fields = super().fields(url, request)
        return [(name, b"h11" if name.lower() == "user-agent" else value) for name, value in fields]


@breaks("method_headers_and_body_arrive_as_given")
class SendsPatchAsPost(H11Transport):
    """Sends a PATCH as a POST, as clients do for proxies that know only the older methods."""

    async def open(self, url, request, **kwargs):
        method = {"PATCH": "POST"}.get(request.method, request.method)
        return await super().open(url, attrs.evolve(request, method=method), **kwargs)


@breaks("method_headers_and_body_arrive_as_given")
class TakesBodiesForText(H11Transport):
    """Encodes a body in UTF-8 as if its bytes were characters."""

    async def open(self, url, request, **kwargs):
        if isinstance(request.body, bytes):
            request = attrs.evolve(request, body=request.body.decode("latin-1").encode())
        return await super().open(url, request, **kwargs)


@breaks("headers_outside_ascii_are_sent_in_utf8")
class SendsASCIIAlone(H11Transport):
    def encode(self, value):
        return value.encode("ascii")


@breaks("headers_outside_ascii_are_sent_in_utf8")
class SendsLatin1IfPossible(H11Transport):
    def encode(self, value):
        try:
            return value.encode("latin-1")
        except UnicodeError:
            return value.encode()


class MakesUpAContentType(H11Transport):
    method = "POST"
    body = False

    def fields(self, url, request):
        fields = super().fields(url, request)
        made_up = request.method == self.method and bool(request.body) == self.body
        if made_up and "content-type" not in request.headers:
            fields.append(("Content-Type", b"application/octet-stream"))
        return fields


@breaks("no_content_type_is_made_up")
class MakesUpAContentTypeForPatch(MakesUpAContentType):
    method = "PATCH"


@breaks("no_content_type_is_made_up")
class MakesUpAContentTypeForOptions(MakesUpAContentType):
    method = "OPTIONS"


@breaks("no_content_type_is_made_up")
class MakesUpAContentTypeForBodies(MakesUpAContentType):
    body = True


class KeepsCookies(H11Transport):
    hosts = ()
    cookie = None

    def headers(self, fields):
        headers = super().headers(fields)
        self.cookie = headers.get("set-cookie", "").partition(";")[0] or self.cookie
        return headers

    def fields(self, url, request):
        fields = super().fields(url, request)
        if self.cookie and url.host in self.hosts:
            fields.append(("Cookie", self.cookie))
        return fields


@breaks("no_cookies_are_kept")
class KeepsCookiesOfAddresses(KeepsCookies):
    hosts = ("127.0.0.1",)


@breaks("no_cookies_are_kept")
class KeepsCookiesOfNames(KeepsCookies):
    hosts = ("localhost",)


@breaks("host_names_the_port")
class LeavesOutThePort(H11Transport):
    def authority(self, url):
        return url.host


@breaks("many_requests_at_a_time")
class SendsTenRequestsAtATime(H11Transport):
    """Queues the eleventh request, as a client with a small pool does."""

    def __init__(self, handler=None):
        super().__init__(handler)
        self.pool_size = asyncio.Semaphore(10)

    async def open(self, *args, **kwargs):
        async with self.pool_size:
            return await super().open(*args, **kwargs)
