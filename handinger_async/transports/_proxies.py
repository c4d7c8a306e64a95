"""Proxy selection and authentication.

Error messages name the setting, and never show its value, which may contain a password. Nor do tracebacks with local
variables: a function that raises has no such value.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from yarl import URL

from .._checks import has_valid_labels
from ..errors import ConfigurationError
from ..http import Headers

__all__ = ["Proxies", "Proxy", "check_environment", "parse_proxy", "proxy_from_environment"]

#: Servers of all schemes.
_SERVERS = (URL("http://server.invalid"), URL("https://server.invalid"))


class Proxy(NamedTuple):
    """A proxy.

    Args:
        url: The proxy's URL, without credentials.
        headers: The Proxy-Authorization header, if any.
    """

    url: URL
    headers: Headers


class Proxies:
    """Finds the proxy of a request, and remembers it for each server.

    Args:
        proxy: The proxy of all requests; None for none.
        trust_env: Read the proxies from the environment instead.
    """

    def __init__(self, proxy: Proxy | None, *, trust_env: bool) -> None:
        self._proxy = proxy
        self._trust_env = trust_env
        #: By scheme and authority.
        self._found: dict[tuple[str, str], Proxy | None] = {}

    def find(self, url: URL) -> Proxy | None:
        """Return the proxy for ``url``, or None.

        Raises:
            ConfigurationError: The proxy's URL in the environment is invalid.
        """
        if not self._trust_env:
            return self._proxy
        origin = url.scheme, url.raw_authority  # url.origin() would stay in the cache of the URL
        try:
            return self._found[origin]
        except KeyError:
            proxy = self._found[origin] = proxy_from_environment(url)
            return proxy


def parse_proxy(proxy: object) -> tuple[Proxy | None, str]:
    """Parse the URL of a proxy, and move its credentials to a header.

    Args:
        proxy: An absolute http or https URL, with or without a user and password.

    Returns:
        The proxy, and ``""``; or None, and the reason, to be put after the name of the setting.
    """
    if isinstance(proxy, str | URL) and re.match(r"socks\w*://", str(proxy), re.IGNORECASE):
        return None, "is a SOCKS proxy: pass AiohttpTransport an aiohttp session with a connector that supports them"
    with suppress(ValueError, TypeError):
        url = URL(proxy)  # type: ignore[arg-type]
        if url.scheme in ("http", "https") and url.raw_host and has_valid_labels(url.raw_host):
            if url.user is None and url.password is None:
                return Proxy(url, Headers()), ""
            token = b64encode(f"{url.user or ''}:{url.password or ''}".encode()).decode()
            return Proxy(url.with_user(None), Headers({"Proxy-Authorization": f"Basic {token}"})), ""
    return None, "must be the absolute http or https URL of a proxy, such as http://127.0.0.1:3128"


def proxy_from_environment(url: URL) -> Proxy | None:
    """Return the proxy for ``url`` according to HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, or None.

    Raises:
        ConfigurationError: The proxy's URL is invalid.
    """
    proxy, problem = _from_environment(url)
    if problem:
        raise ConfigurationError(problem)
    return proxy


def check_environment(url: URL | None = None) -> None:
    """Refuse environment variables with which no request could be sent.

    Args:
        url: The server; None if it is not known yet.

    Raises:
        ConfigurationError: The proxy's URL is invalid.
    """
    if "_proxy" in " ".join(os.environ).lower():  # urllib.request is slow to import
        problems = [_from_environment(server)[1] for server in ([url] if url else _SERVERS)]
        if all(problems) and (url or "no" not in _settings()):
            raise ConfigurationError(problems[0])


def _settings() -> dict[str, str]:
    """Return the proxies by scheme; NO_PROXY is ``"no"``."""
    import urllib.request

    return urllib.request.getproxies()


def _from_environment(url: URL) -> tuple[Proxy | None, str]:
    """Return the proxy for ``url``, or None, and the reason if it cannot be used."""
    settings = _settings()
    scheme = next((scheme for scheme in (url.scheme, "all") if settings.get(scheme, "").strip()), None)
    if scheme is None or _is_excluded(url, settings.get("no")):
        return None, ""
    value = settings[scheme].strip()
    proxy, problem = parse_proxy(value if "://" in value else f"http://{value}")
    return proxy, problem and f"{_name(scheme)} {problem}"


def _name(scheme: str) -> str:
    """Return the name of the environment variable for ``scheme``; one in lower case wins."""
    names = [name for name in os.environ if name.lower() == f"{scheme}_proxy"]
    return f"the environment variable {max(names)}" if names else "the proxy in the system's settings"


def _is_excluded(url: URL, no_proxy: str | None) -> bool:
    """Return True if requests to ``url`` use no proxy."""
    if no_proxy is None:
        import urllib.request

        # The settings of the system, on macOS and Windows.
        return bool(urllib.request.proxy_bypass(f"{url.host}:{url.port}"))
    return any(_matches(url, entry) for entry in re.split(r"[\s,]+", no_proxy.lower()))


def _matches(url: URL, entry: str) -> bool:
    """Compare a server with an entry of NO_PROXY: a host, a domain, an address, a network or ``*``."""
    name, bracket, port = entry.removeprefix("[").partition("]")
    if not bracket and entry.count(":") == 1:  # more are an IPv6 address
        name, _, port = entry.partition(":")
    if port.removeprefix(":") not in ("", str(url.port)):
        return False
    if name == "*":
        return True
    with suppress(ValueError):  # one of them is a name
        return ip_address(str(url.host)) in ip_network(name, strict=False)
    hosts = [str(host).rstrip(".") for host in (url.host, url.raw_host)]  # the latter is Punycode
    domain = name.removeprefix("*").strip(".")
    return any(f".{host}".endswith(f".{domain}") for host in hosts)
