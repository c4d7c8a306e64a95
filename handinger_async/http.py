"""HTTP messages as values, and the endpoint that adds host and credentials to them. No socket, no event loop.

An API key never appears in a ``repr``: sensitive header values are `Secret` strings.
"""

from __future__ import annotations

import re
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from platform import python_version
from typing import Any, ClassVar, NoReturn, Protocol, Self, TypeVar, overload

import attrs
from yarl import URL

from ._checks import DEFAULT_BASE_URL, check_base_url, key_problem
from ._multipart import MultipartBody, Part
from ._values import by_value
from .errors import ConfigurationError, quoted, shorten

__all__ = ["DEFAULT_BASE_URL", "Endpoint", "Headers", "MultipartBody", "Part", "Request", "Response", "Secret"]

T = TypeVar("T")

# Media types.
JSON = "application/json"
EVENT_STREAM = "text/event-stream"
BINARY = "application/octet-stream"

#: A method or a header name (RFC 9110, section 5.6.2).
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
#: Characters that would end a header line (RFC 9110, section 5.5).
_BREAKS = r"[\r\n\0]"
#: Characters that HTTP clients refuse to send in a header value: control characters but tab, and lone surrogates.
_UNSENDABLE = r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]"
_SENSITIVE = frozenset(
    {"authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key", "x-handinger-token"}
)
#: CONNECT has another form of target and no response, and TRACE echoes the credentials.
_REFUSED_METHODS = frozenset({"CONNECT", "TRACE"})


class Secret(str):
    """A string whose ``repr`` is masked.

    Tracebacks with locals, logs with ``%r`` and debuggers show ``'***'``. It refuses to be pickled.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


class Headers(Mapping[str, str]):
    """Immutable header fields with case-insensitive names.

    Fields of one name are joined by ``", "`` (RFC 9110, section 5.3). ``a | b`` has the fields of both; ``b`` wins
    where both have one. Credentials (Authorization, Cookie, X-Handinger-Token and the like) are `Secret`; pickles hold
    ``***`` in their place.

    Args:
        fields: A mapping or pairs of names and values.

    Raises:
        ConfigurationError: A name is not a token, or a value is not a string or contains CR, LF or NUL, or the fields
            are neither a mapping nor pairs.
    """

    __slots__ = ("_fields",)

    #: Lower-case name -> name as given, value.
    _fields: dict[str, tuple[str, str]]

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        own: dict[str, tuple[str, str]] = {}
        self._fields = own
        given: Any = fields
        try:
            for name, value in given.items() if hasattr(given, "items") else given:
                if not isinstance(name, str):
                    raise ConfigurationError(f"{quoted(name)} is not a header name: it must be a string")
                key = _key(name)
                if (value.__class__ is not str or not value.isprintable()) and (problem := _value_problem(value)):
                    raise ConfigurationError(f"the value of header {shorten(name)} {problem}")
                if key in own:
                    value = f"{own[key][1]}, {value}"
                own[key] = (name, Secret(value) if key in _SENSITIVE else value)
        except (TypeError, ValueError) as error:
            fields = given = value = None  # type: ignore[assignment] # tracebacks may show local variables
            if isinstance(error, ConfigurationError):
                raise
            raise ConfigurationError("header fields must be a mapping, or pairs of a name and a value") from None

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()][1]

    @overload
    def get(self, name: str, /) -> str | None: ...

    @overload
    def get(self, name: str, /, default: str | T) -> str | T: ...

    def get(self, name: str, /, default: object = None) -> object:
        """Return the value of a field, or ``default`` if there is no such field."""
        field = self._fields.get(name.lower())
        return default if field is None else field[1]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def items(self) -> ItemsView[str, str]:
        """Return names, spelled as given, and values."""
        return self.as_dict().items()

    def as_dict(self) -> dict[str, str]:
        """Return a new dict of names, spelled as given, and values."""
        return dict(self._fields.values())

    def __or__(self, other: Mapping[str, str]) -> Headers:
        merged = Headers.__new__(Headers)
        merged._fields = self._fields | (other if isinstance(other, Headers) else Headers(other))._fields
        return merged

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Mapping):
            return NotImplemented
        mine = {key: value for key, (_, value) in self._fields.items()}
        return mine == {str(name).lower(): value for name, value in other.items()}

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({self.as_dict()!r})"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Headers], tuple[dict[str, str]]]:
        masked = {name: "***" if isinstance(value, Secret) else value for name, value in self.items()}
        return Headers, (masked,)


class ReceivedFields(Protocol):
    """The header fields of a response, as an HTTP client has them; aiohttp's multidicts are such."""

    def getall(self, name: str, default: tuple[()], /) -> Sequence[str]:
        """Return the values of all fields of this name, in any case."""
        ...

    def items(self) -> Iterable[tuple[str, str]]:
        """Return names and values."""
        ...

    def __contains__(self, name: object, /) -> bool:
        """Return True if there is a field of this name, in any case."""
        ...


class ReceivedHeaders(Headers):
    """The header fields of a response, which become `Headers` when more is asked for than the value of a field.

    Most calls read none or one of a dozen: see ``docs/explanation/performance.rst``.

    Args:
        received: The fields, which an HTTP parser has accepted.
    """

    __slots__ = ("_received",)

    def __init__(self, received: ReceivedFields) -> None:
        self._received = received

    def __getattr__(self, name: str) -> Any:
        if name != "_fields":
            raise AttributeError(name)
        self._fields = Headers(self._received.items())._fields
        return self._fields

    def get(self, name: str, /, default: object = None) -> Any:
        values = self._received.getall(name, ())
        if not values:
            return default
        return values[0] if len(values) == 1 and name.lower() not in _SENSITIVE else self[name]


@lru_cache(256)  # the same few names recur
def _key(name: str) -> str:
    """Return the lookup key of a header name."""
    if not re.fullmatch(_NAME, name):
        raise ConfigurationError(f"{quoted(name)} is not a header name (RFC 9110, section 5.6.2)")
    return name.lower()


def _value_problem(value: object) -> str:
    """Return why a header value is refused, as the end of a sentence; ``""`` if it is not. It may be a secret."""
    if not isinstance(value, str):
        return f"must be a string, not {type(value).__name__}"
    return "contains CR, LF or NUL" if re.search(_BREAKS, value) else ""


def is_sendable(value: str) -> bool:
    """Return True for header values that a request can carry."""
    return (value.isascii() and value.isprintable()) or not re.search(_UNSENDABLE, value)


def is_ascii_identifier(text: str) -> bool:
    """Return True for methods and usual ids, such as ``t_org_123_w_01HZY2ZJQ8``.

    Such a text is safe in a path and in a request line. Checking this first avoids the slower regular expressions.
    """
    return text.isascii() and text.isidentifier()


def _is_target(text: str) -> bool:
    """Return True for a path and query that a request line can carry (RFC 9112, section 3.2) and that names no host."""
    return text.startswith("/") and text.isascii() and text.isprintable() and " " not in text and "#" not in text


def hide(name: object, value: Any) -> Any:
    """Return a header value that was not checked, as `Secret` if it is a credential: tracebacks may show it."""
    if not isinstance(name, str) or name.lower() not in _SENSITIVE:
        return value
    if isinstance(value, bytes | bytearray):
        return type(value)()  # it will be refused for its type
    return Secret(value) if isinstance(value, str) else value


def to_headers(fields: Mapping[str, str] | Iterable[tuple[str, str]]) -> Headers:
    """Return header fields as `Headers`."""
    return fields if isinstance(fields, Headers) else Headers(fields)


@by_value
@attrs.frozen(eq=False, repr=False)
class Request:
    """An HTTP request without host and credentials.

    Args:
        method: ``"GET"``, ``"POST"``, …
        target: Path and query, percent-encoded: ``"/api/workers/w1?stream=true"``.
        headers: The header fields.
        body: The body, or a `MultipartBody` that is read while it is sent; empty for none.
    """

    method: str
    target: str
    headers: Headers = attrs.field(factory=Headers, converter=to_headers)
    body: bytes | MultipartBody = attrs.field(default=b"", repr=False)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def read_body(self) -> bytes:
        """Return the whole body. A `MultipartBody` reads its files, which may block; see `MultipartBody.chunks`."""
        return self.body.read() if isinstance(self.body, MultipartBody) else self.body


@by_value
@attrs.frozen(eq=False, repr=False)
class Response:
    """An HTTP response with its complete body.

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
        """The standard phrase of the status, such as ``"Not Found"``; ``""`` for an unregistered status."""
        from http import HTTPStatus  # slow to import, and rarely needed

        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return ""

    @property
    def media_type(self) -> str:
        """The content type in lower case, without parameters; ``""`` if there is none.

        A field that is sent twice, with one content type, is one. Different ones are joined by ``", "``.
        """
        value = self.headers.get("content-type", "")
        if "," not in value:
            return value.partition(";")[0].strip().lower()
        first, *others = (field.partition(";")[0].strip().lower() for field in value.split(","))
        found = [first, *(other for other in others if "/" in other)]  # the rest belongs to a quoted parameter
        return ", ".join(dict.fromkeys(filter(None, found)))

    @property
    def request_id(self) -> str | None:
        """The service's id for this request: ``x-request-id``, else ``cf-ray``."""
        return self.headers.get("x-request-id") or self.headers.get("cf-ray")


class Endpoint:
    """Base URL and API key. Turns a `Request` into an absolute URL and an authenticated request.

    Args:
        base_url: An absolute ``http`` or ``https`` URL; its path is prepended to every target.
        api_key: Sent as ``Authorization: Bearer``.

    Raises:
        ConfigurationError: The URL is not absolute http or https, or the key is empty or cannot be sent.
    """

    __slots__ = ("_headers", "_merged", "_prefix", "base_url")

    def __init__(self, base_url: str | URL, api_key: str) -> None:
        authorization, problem = authorize(api_key)
        del api_key
        if problem:
            raise ConfigurationError(f"api_key {problem}")
        self._set(check_base_url(base_url), authorization)

    def _set(self, base_url: URL, authorization: Headers) -> None:
        self.base_url: URL = base_url
        self._prefix = str(base_url).rstrip("/")
        self._headers = Headers({"User-Agent": _user_agent()}) | authorization
        #: The last headers of a request that held no secret, and the same with those of the endpoint. Most requests
        #: share one `Headers` object.
        self._merged: tuple[Headers, Headers] = Headers(), self._headers

    def prepare(self, request: Request) -> tuple[URL, Request]:
        """Return the absolute URL, and the request with credentials and ``User-Agent``.

        Headers of the request win.

        Args:
            request: The result of `handinger_async.codec.encode_request`.

        Returns:
            The URL, percent-encoded as the target is, and the request to send there.

        Raises:
            ConfigurationError: The request cannot be sent: the method is CONNECT, TRACE or no token, the target is not
                a percent-encoded path, or a header contains a control character or a lone surrogate.
        """
        method, target = request.method, request.target
        if not isinstance(method, str) or not (is_ascii_identifier(method) or re.fullmatch(_NAME, method)):
            raise ConfigurationError(f"{quoted(method)} is not an HTTP method")
        if method.upper() in _REFUSED_METHODS:
            raise ConfigurationError(f"{method} requests cannot be sent")
        if not isinstance(target, str) or not _is_target(target):
            raise ConfigurationError(f"{quoted(target)} is not a percent-encoded path with a query")
        given, headers = self._merged
        if given is not request.headers:
            headers = self._merge(request.headers)
        url = URL(self._prefix + target, encoded=True)
        return url, Request(method, target, headers, request.body)

    def _merge(self, given: Headers) -> Headers:
        """Return the header fields of the endpoint with those of a request; remember them if they hold no secret.

        Raises:
            ConfigurationError: A value contains a control character or a lone surrogate.
        """
        has_secret = False
        for name, value in given._fields.values():  # those of the endpoint are ASCII
            if not is_sendable(value):
                raise ConfigurationError(f"the value of header {name} contains a control character or a lone surrogate")
            has_secret = has_secret or isinstance(value, Secret)
        headers = self._headers | given
        if not has_secret:
            self._merged = given, headers
        return headers

    def __reduce__(self) -> NoReturn:
        raise TypeError("an endpoint holds an API key and cannot be pickled")

    def __repr__(self) -> str:
        return f"Endpoint({str(getattr(self, 'base_url', ''))!r}, api_key='***')"  # tracebacks may show a half-made one


def make_endpoint(base_url: URL, authorization: Headers) -> Endpoint:
    """Return an endpoint with a base URL that was checked, and the Authorization header, which may be absent."""
    endpoint = Endpoint.__new__(Endpoint)
    endpoint._set(base_url, authorization)  # noqa: SLF001 - its constructor takes a key
    return endpoint


def authorize(api_key: object) -> tuple[Headers, str]:
    """Return the Authorization header and ``""``, or no header and the reason; see `key_problem`."""
    problem = key_problem(api_key)
    return Headers({} if problem else {"Authorization": f"Bearer {api_key}"}), problem


def _user_agent() -> str:
    from . import __version__

    return f"handinger-async/{__version__} Python/{python_version()}"
