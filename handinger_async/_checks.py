"""Checks of arguments. Messages omit base URLs and API keys, which may be secrets."""

from __future__ import annotations

from math import isnan

from yarl import URL

from .errors import ConfigurationError

__all__ = ["DEFAULT_BASE_URL", "check_base_url", "is_number", "key_problem"]

DEFAULT_BASE_URL = "https://handinger.com"


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
    try:
        url.raw_host.encode("idna")  # as name resolution does
    except UnicodeError:
        raise ConfigurationError(f"{name} has a host name with an empty or a too long label") from None
    return url


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
