"""Checks of arguments. Messages omit base URLs and API keys, which may be secrets."""

from __future__ import annotations

import re
from math import isnan
from urllib.parse import quote

from yarl import URL

from ._json import dumps
from .errors import ConfigurationError, shorten

__all__ = [
    "DEFAULT_BASE_URL",
    "check_base_url",
    "check_relative_url",
    "encode_json",
    "has_surrogate",
    "has_valid_labels",
    "is_number",
    "is_relative_url",
    "key_problem",
    "origin_of",
    "split_url",
]

DEFAULT_BASE_URL = "https://handinger.com"

_SURROGATE = r"[\ud800-\udfff]"


def encode_json(value: object, name: str) -> bytes:
    """Encode an argument as JSON. ``name`` names it in messages.

    Raises:
        ConfigurationError: It has no form in JSON, or is nested too deeply.
    """
    try:
        return dumps(value)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name} cannot be encoded as JSON: {shorten(str(error))}") from None


def has_surrogate(text: str) -> bool:
    """Return True if a text has a lone surrogate, which UTF-8 cannot encode."""
    return re.search(_SURROGATE, text) is not None


def check_base_url(base_url: object, name: str = "base_url") -> URL:
    """Return a base URL as a `URL`.

    Args:
        base_url: The URL.
        name: Names its source for the message.

    Raises:
        ConfigurationError: It is not an absolute http or https URL of a host that can be looked up.
    """
    if not isinstance(base_url, str | URL):
        raise ConfigurationError(f"{name} must be a string, not {type(base_url).__name__}")
    if not str(base_url).isprintable() or " " in str(base_url):
        raise ConfigurationError(f"{name} contains white space or a control character")
    try:
        url = URL(base_url)
    except ValueError:
        raise ConfigurationError(f"{name} is not a URL") from None
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise ConfigurationError(f"{name} must be an absolute http or https URL such as {DEFAULT_BASE_URL!r}")
    if url.user is not None or url.password is not None:
        raise ConfigurationError(f"{name} must not contain a user or a password: pass the key as api_key")
    if url.query_string or url.fragment:
        raise ConfigurationError(f"{name} must not have a query or a fragment")
    if not has_valid_labels(url.raw_host):
        raise ConfigurationError(f"{name} has a host name with an empty or a too long label")
    return url


def has_valid_labels(host: str) -> bool:
    """Return True for a host name that name resolution encodes: none of its labels is empty or too long."""
    *labels, last = host.split(".")  # empty after the dot of the root
    return all(0 < len(label) < 64 for label in labels) and len(last) < 64


def check_relative_url(path: object, name: str = "path") -> str:
    """Return a relative path, percent-encoded where necessary.

    Raises:
        ConfigurationError: It is malformed, or could lead to another host.
    """
    if not isinstance(path, str) or not path:
        raise ConfigurationError(f"{name} must be a non-empty string")
    target = path if path.startswith("/") else f"/{path}"
    if target.startswith("//") or not is_relative_url(path.removeprefix("/")):
        raise ConfigurationError(f"{name} must be relative to the base URL: the key goes to no other host")
    if not path.isprintable() or "\\" in path or "#" in path:
        raise ConfigurationError(f"{name} contains a control character, a backslash or '#'")
    if any(segment.lower().replace("%2e", ".") in (".", "..") for segment in target.partition("?")[0].split("/")):
        raise ConfigurationError(f"{name} contains a segment '.' or '..'")
    return _encode(target)


def is_relative_url(url: str) -> bool:
    """Return True for a URL without scheme and host."""
    return not url.startswith("//") and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", url)


def origin_of(url: URL) -> URL:
    """Return the origin of an absolute URL, equal for equal origins: without a default port."""
    return url.with_port(None).origin() if url.is_default_port() else url.origin()


def split_url(url: str, name: str = "url", *, without_user: bool = False) -> tuple[URL, str]:
    """Return the origin of an absolute URL, and its path and query, percent-encoded where necessary.

    Args:
        url: The URL.
        name: Names it in messages.
        without_user: Drop user and password, instead of refusing them.

    Raises:
        ConfigurationError: It is not an absolute http or https URL.
    """
    if not url.isprintable() or "\\" in url:
        raise ConfigurationError(f"{name} contains a control character or a backslash")
    scheme, _, rest = url.partition("#")[0].partition("://")
    end = min((index for index in map(rest.find, "/?") if index >= 0), default=len(rest))
    host, target = rest[:end], rest[end:]
    if without_user:
        host = host.rpartition("@")[2]
    origin = origin_of(check_base_url(f"{scheme}://{host}", name))
    return origin, _encode(target if target.startswith("/") else f"/{target}")


def _encode(target: str) -> str:
    return quote(target, safe="/?%!$&'()*+,;=:@~")


def key_problem(api_key: object) -> str:
    """Return the reason why an API key cannot be sent, as the end of a sentence; ``""`` if it can.

    Returned and not raised: a traceback with local variables would show the key. Callers delete it before they raise.
    """
    if not isinstance(api_key, str):
        return f"must be a string, not {type(api_key).__name__}"
    if not api_key:
        return "is empty"
    if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        return "contains white space, a control character or a character outside ASCII"
    return ""


def is_number(value: object) -> bool:
    """Return True for numbers that can be added to a time: ints beyond a double, NaN and bools cannot."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and not isnan(float(value))
    except OverflowError:
        return False
