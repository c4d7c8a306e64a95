"""Requests and responses as values, and the endpoint that turns one into a call: no socket, no event loop.

An API key never appears in a ``repr``: sensitive header values are `Secret` strings.
"""

from __future__ import annotations

import re
from collections.abc import ItemsView, Iterable, Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from platform import python_version
from typing import TypeVar, overload

import attrs
from yarl import URL

from ._drafts import maker
from .errors import ConfigurationError, shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn, Self

__all__ = [
    "DEFAULT_BASE_URL",
    "Endpoint",
    "Headers",
    "Request",
    "Response",
    "Secret",
    "is_plain",
    "new_request",
    "new_response",
    "to_headers",
]

T = TypeVar("T")

DEFAULT_BASE_URL = "https://v3.handinger.com"

#: RFC 9110, section 5.6.2: what a header's name is made of.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
#: RFC 9110, section 5.5: what would end a header, or the whole head, early.
_BREAKS = re.compile(r"[\r\n\0]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SENSITIVE = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key"})


class Secret(str):
    """A string that shows itself to whoever uses it, and to nobody who only looks.

    ``repr`` (so tracebacks with locals, logs of ``%r`` and debuggers too) gives ``'***'``; it refuses to be pickled.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not pickled")


class Headers(Mapping[str, str]):
    """Immutable header fields whose names are compared without case.

    Fields of one name are joined by ``", "``, as RFC 9110, section 5.3, says. ``a | b`` has the fields of both; where
    both name one, that of ``b`` alone. Values that let somebody in (Authorization, Set-Cookie and their like) are
    `Secret`; pickles hold ``***`` in their place.

    Args:
        fields: A mapping or pairs of names and values.

    Raises:
        ConfigurationError: A name is no token, or a value is no string or holds CR, LF or NUL.
    """

    __slots__ = ("_fields",)

    #: The name in lower case -> the name as it was given, and the value.
    _fields: dict[str, tuple[str, str]]

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        own: dict[str, tuple[str, str]] = {}
        self._fields = own
        given: Any = fields
        for name, value in given.items() if hasattr(given, "items") else given:
            if not isinstance(name, str):
                raise ConfigurationError(f"{shorten(repr(name))} is not a header name: it is no string")
            key = _key(name)
            if value.__class__ is not str or not value.isprintable():
                _check_value(name, value)
            if key in own:
                value = f"{own[key][1]}, {value}"
            own[key] = (name, Secret(value) if key in _SENSITIVE else value)

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()][1]

    @overload
    def get(self, name: str, /) -> str | None: ...

    @overload
    def get(self, name: str, /, default: str | T) -> str | T: ...

    def get(self, name: str, /, default: object = None) -> object:
        """Return the value of a field, or ``default`` if there is none of that name."""
        field = self._fields.get(name.lower())
        return default if field is None else field[1]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def items(self) -> ItemsView[str, str]:
        """Return the names, as they were given, with their values."""
        return self.as_dict().items()

    def as_dict(self) -> dict[str, str]:
        """Return a new dict of the names, as they were given, with their values."""
        return dict(self._fields.values())

    def __or__(self, other: Mapping[str, str]) -> Headers:
        merged = Headers.__new__(Headers)
        merged._fields = self._fields | (other if isinstance(other, Headers) else Headers(other))._fields
        return merged

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        mine = {key: value for key, (_, value) in self._fields.items()}
        return mine == {str(name).lower(): value for name, value in other.items()}

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({self.as_dict()!r})"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Headers], tuple[dict[str, str]]]:
        masked = {name: "***" if isinstance(value, Secret) else value for name, value in self.items()}
        return Headers, (masked,)


@lru_cache(256)  # the same few names come again and again
def _key(name: str) -> str:
    """Return what a header is found by: its name without case."""
    if not _TOKEN.fullmatch(name):
        raise ConfigurationError(f"{shorten(repr(name))} is not a header name (RFC 9110, section 5.6.2)")
    return name.lower()


def _check_value(name: str, value: object) -> None:
    """Refuse what could not be sent as a header; the value, which may be a secret, is not repeated."""
    if not isinstance(value, str):
        raise ConfigurationError(f"the value of header {shorten(name)} must be a string, not {type(value).__name__}")
    if _BREAKS.search(value):
        raise ConfigurationError(f"the value of header {shorten(name)} holds CR, LF or NUL")


def is_plain(text: str) -> bool:
    """Whether ``text`` is an identifier in ASCII, as methods are, and ids of the kind ``t_org_123_w_01HZY2ZJQ8``.

    Such a text is safe wherever it goes. To ask that first spares regular expressions, which take half as long as all
    else there is to do for a request.
    """
    return text.isascii() and text.isidentifier()


def _is_target(text: str) -> bool:
    """Whether a request line can carry ``text`` (RFC 9112, section 3.2), and it stays on the endpoint's host."""
    return text.startswith("/") and text.isascii() and text.isprintable() and " " not in text and "#" not in text


def to_headers(fields: Mapping[str, str] | Iterable[tuple[str, str]]) -> Headers:
    """Return header fields as `Headers`."""
    return fields if isinstance(fields, Headers) else Headers(fields)


@attrs.frozen(weakref_slot=False)
class Request:
    """What a client asks: independent of where the server is, and of who asks.

    Args:
        method: ``"GET"``, ``"POST"``, …
        target: The path and the query, percent-encoded: ``"/api/workers/w1?stream=true"``.
        headers: The header fields.
        body: The body; empty for none.
    """

    method: str
    target: str
    headers: Headers = attrs.field(factory=Headers, converter=to_headers)
    body: bytes = attrs.field(default=b"", repr=False)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


@attrs.frozen(weakref_slot=False)
class Response:
    """What a server answers, its body complete.

    Args:
        status: The status code.
        headers: The header fields.
        body: The body, decompressed.
    """

    status: int
    headers: Headers = attrs.field(factory=Headers, converter=to_headers)
    body: bytes = attrs.field(default=b"", repr=False)

    @property
    def reason(self) -> str:
        """The standard phrase for the status, such as ``"Not Found"``; ``""`` for a status that has none."""
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return ""

    @property
    def media_type(self) -> str:
        """The content type in lower case, without its parameters; ``""`` if the server gave none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def request_id(self) -> str | None:
        """What the server calls this exchange: ``x-request-id``, else ``cf-ray``."""
        return self.headers.get("x-request-id") or self.headers.get("cf-ray")


#: For every request: in a third of the time that the constructors take. The headers must be `Headers`.
new_request, new_response = maker(Request), maker(Response)


class Endpoint:
    """Where the service is and how to be let in: adds to a request what does not depend on the operation.

    Args:
        base_url: An absolute ``http`` or ``https`` URL; a path in it is put before every target.
        api_key: Sent as ``Authorization: Bearer``.

    Raises:
        ConfigurationError: The URL is not such a URL, or the key is empty or could not be sent.
    """

    __slots__ = ("_headers", "_prefix", "base_url")

    def __init__(self, base_url: str | URL, api_key: str) -> None:
        self.base_url = _check_base_url(base_url)
        self._prefix = str(self.base_url).rstrip("/")
        self._headers = Headers({"User-Agent": _user_agent(), "Authorization": _bearer(api_key)})

    def prepare(self, request: Request) -> tuple[URL, Request]:
        """Return the absolute URL to call, and the request with authentication and our own headers.

        Headers that the request has already win over ours.

        Args:
            request: As `handinger_async.codec.encode_request` gives it.

        Returns:
            The URL, percent-encoded as the target is, and the request to send there.

        Raises:
            ConfigurationError: The request cannot be sent as it is: its method is no token, its target is no
                percent-encoded path, or a header holds what UTF-8 cannot carry.
        """
        if not (is_plain(request.method) or _TOKEN.fullmatch(request.method)):
            raise ConfigurationError(f"{shorten(repr(request.method))} is not an HTTP method")
        if not _is_target(request.target):
            raise ConfigurationError(f"{shorten(repr(request.target))} is not a percent-encoded path with a query")
        headers = self._headers | request.headers
        for _, value in request.headers._fields.values():  # ours are ASCII
            if not value.isascii() and _SURROGATE.search(value):
                raise ConfigurationError("the value of a header holds half a surrogate pair")
        url = URL(self._prefix + request.target, encoded=True)
        return url, new_request(request.method, request.target, headers, request.body)

    def __reduce__(self) -> NoReturn:
        raise TypeError("an endpoint holds a key, which is not pickled")

    def __repr__(self) -> str:
        return f"Endpoint({str(self.base_url)!r}, api_key='***')"


def _check_base_url(base_url: object) -> URL:
    """Return the URL, or say what is wrong with it; a password in it is not repeated."""
    if not isinstance(base_url, str | URL):
        raise ConfigurationError(f"base_url must be a string, not {type(base_url).__name__}")
    if not str(base_url).isprintable() or " " in str(base_url):
        raise ConfigurationError("base_url holds white space or a control character")
    try:
        url = URL(base_url)
    except ValueError:
        raise ConfigurationError("base_url is not a URL") from None
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise ConfigurationError(f"base_url must be an absolute http or https URL such as {DEFAULT_BASE_URL!r}")
    if url.user is not None or url.password is not None:
        raise ConfigurationError("base_url must not hold a user or a password: give the key as api_key")
    if url.query_string or url.fragment:
        raise ConfigurationError("base_url must not have a query or a fragment")
    return url


def _bearer(api_key: object) -> Secret:
    """Return the value of the Authorization header; what is wrong with a key is said without repeating it."""
    if not isinstance(api_key, str):
        raise ConfigurationError(f"api_key must be a string, not {type(api_key).__name__}")
    if not api_key:
        raise ConfigurationError("api_key is empty")
    if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        raise ConfigurationError("api_key holds white space, a control character or a character outside ASCII")
    return Secret(f"Bearer {api_key}")


def _user_agent() -> str:
    from . import __version__

    return f"handinger-async/{__version__} Python/{python_version()}"
