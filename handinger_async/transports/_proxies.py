"""Proxy selection and authentication."""

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
        url: The proxy's URL, without credentials.
        headers: The Proxy-Authorization header, if any.
    """

    url: URL
    headers: Headers


def check_proxy(proxy: object, name: str) -> Proxy:
    """Parse the URL of a proxy. The error message never contains its credentials.

    Args:
        proxy: The URL, with or without a user and password.
        name: The name of the setting, for the error message.

    Returns:
        The proxy, with the credentials moved to its headers.

    Raises:
        ConfigurationError: It is not an absolute http or https URL.
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
    """Return the proxy for ``url`` according to HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, or None.

    Raises:
        ConfigurationError: The proxy's URL is invalid.
    """
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy is None or urllib.request.proxy_bypass(f"{url.host}:{url.port}"):
        return None
    return check_proxy(proxy, "the proxy in the environment")
