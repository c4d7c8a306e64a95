"""Which proxy to go through, and how to be let through it."""

from __future__ import annotations

import urllib.request
from base64 import b64encode
from contextlib import suppress
from typing import NamedTuple

from yarl import URL

from ..errors import ConfigurationError
from ..http import Headers

__all__ = ["Proxy", "check_proxy", "proxy_from_environment"]


class Proxy(NamedTuple):
    """A proxy.

    Args:
        url: Where it is, without a user or a password.
        headers: What lets us through.
    """

    url: URL
    headers: Headers


def check_proxy(proxy: object, name: str) -> Proxy:
    """Take apart the URL of a proxy, or say what is wrong with it; a password in it is not repeated.

    Args:
        proxy: The URL, which may hold a user and a password.
        name: What to call it.

    Raises:
        ConfigurationError: It is no such URL.
    """
    with suppress(ValueError, TypeError):
        url = URL(proxy)  # type: ignore[arg-type]
        if url.scheme in ("http", "https") and url.raw_host:
            if url.user is None and url.password is None:
                return Proxy(url, Headers())
            token = b64encode(f"{url.user or ''}:{url.password or ''}".encode()).decode()
            return Proxy(url.with_user(None), Headers({"Proxy-Authorization": f"Basic {token}"}))
    raise ConfigurationError(f"{name} must be an absolute http or https URL")


def proxy_from_environment(url: URL) -> Proxy | None:
    """Return the proxy that the environment names for ``url``: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY.

    Raises:
        ConfigurationError: It names one that cannot be used.
    """
    known = urllib.request.getproxies()
    proxy = known.get(url.scheme) or known.get("all")
    if proxy is None or urllib.request.proxy_bypass(f"{url.host}:{url.port}"):
        return None
    return check_proxy(proxy, "the proxy in the environment")
