"""wreq's clients: one for each connect timeout, which share a thread."""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from datetime import timedelta
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakSet

import wreq
from wreq.dns import DnsOptions
from wreq.http1 import Http1Options
from wreq.redirect import Policy
from wreq.runtime import Runtime
from wreq.tls import CertStore

from ..errors import APIConnectionError, ConfigurationError
from ._proxies import Proxy

if TYPE_CHECKING:
    from wreq.wreq import ClientConfig

__all__ = ["Clients", "load_certificates"]

#: The number of header fields of a response, and the bytes of its head.
MAX_FIELDS = 2**10
MAX_HEAD_SIZE = 2**17
#: The number of clients that are kept. Each has idle connections.
MAX_CLIENTS = 8
#: The longest connect timeout, in seconds, that `timedelta` and wreq can express: 30 years.
MAX_TIMEOUT = 1e9


class Pool:
    """A client of wreq, which has a pool of connections. It can be referred to weakly; wreq's cannot.

    Args:
        client: The client.
    """

    def __init__(self, client: wreq.Client) -> None:
        self.client = client
        #: The larger, the later it was used.
        self.last_use = 0


class Clients:
    """Creates clients when they are needed; usable in several threads, and in a forked process.

    Args:
        trust: The certificates to verify servers with, True for those that Python trusts, or False for no verification.
    """

    def __init__(self, trust: CertStore | bool) -> None:
        self._trust = trust
        self._proxies: dict[tuple[str, str], wreq.Proxy] = {}
        self._closed = False
        self._uses = count(1)
        self._begin()
        _ALL.add(self)

    def _begin(self) -> None:
        self._runtime: Runtime | None = None
        #: By connect timeout, for servers with TLS and without.
        self._pools: dict[tuple[float | None, bool], Pool] = {}
        #: Those too that were dropped while they waited for a response.
        self._in_use: WeakSet[Pool] = WeakSet()
        self._lock = Lock()

    @property
    def needs_closing(self) -> bool:
        """True if there are clients in this process."""
        return bool(self._pools)

    def get(self, connect_timeout: float | None, *, tls: bool) -> Pool:
        """Return a client, which must be kept while it waits for a response: `close` interrupts it.

        Args:
            connect_timeout: The maximum time to establish a connection, in seconds; None for no limit.
            tls: False if the client is not used for https: it takes milliseconds to load certificates.

        Raises:
            APIConnectionError: They are closed.
        """
        pool = self._pools.get((connect_timeout, tls)) or self._create(connect_timeout, tls=tls)
        pool.last_use = next(self._uses)
        return pool

    def proxy(self, proxy: Proxy) -> wreq.Proxy:
        """Return a proxy for wreq."""
        key = str(proxy.url), proxy.headers.get("proxy-authorization", "")
        native = self._proxies.get(key)
        if native is None:
            url, credentials = key
            native = wreq.Proxy.all(url, custom_http_auth=credentials) if credentials else wreq.Proxy.all(url)
            self._proxies[key] = native
        return native

    def close(self) -> None:
        """Cancel the requests that wait for a response, and forget the clients.

        Idle connections are closed, and the thread ends, with the last reference to a client.
        """
        with self._lock:
            self._closed = True
            pools = list(self._in_use)
            self._pools, self._runtime = {}, None
        for pool in pools:
            pool.client.close()

    def _create(self, connect_timeout: float | None, *, tls: bool) -> Pool:
        with self._lock:
            if self._closed:
                raise APIConnectionError("the transport is closed", request_sent=False)
            if self._runtime is None:
                self._runtime = Runtime(workers=1, work_steal=False, thread_name="handinger_async")
            options: ClientConfig = {
                "runtime": self._runtime,
                "http1_only": True,
                "http1_options": Http1Options(max_headers=MAX_FIELDS, max_buf_size=MAX_HEAD_SIZE),
                "redirect": Policy.none(),
                "referer": False,
                "gzip": False,
                "brotli": False,
                "deflate": False,
                "zstd": False,
                "no_proxy": True,
                "dns_options": DnsOptions(system_dns=True),
                "pool_idle_timeout": timedelta(seconds=15),
                "tcp_keepalive": timedelta(seconds=60),
            }
            if tls:
                if self._trust is True:
                    self._trust = _system_certificates()
                options["tls_verify"] = self._trust
                options["tls_verify_hostname"] = self._trust is not False
            if connect_timeout is not None:
                options["connect_timeout"] = timedelta(seconds=min(connect_timeout, MAX_TIMEOUT))
            pool = Pool(wreq.Client(**options))
            self._in_use.add(pool)
            if len(self._pools) >= MAX_CLIENTS:
                del self._pools[min(self._pools, key=lambda key: self._pools[key].last_use)]
            self._pools[connect_timeout, tls] = pool
            return pool

    def disinherit(self) -> None:
        """Forget the clients of the parent, in a forked process. A thread of the parent may have held the lock."""
        _INHERITED.append((list(self._in_use), self._runtime))
        self._begin()


#: All there are.
_ALL: WeakSet[Clients] = WeakSet()
#: Clients of the parent of this process. To drop one would wait for a thread that is not in this process.
_INHERITED: list[object] = []


def _disinherit() -> None:
    for clients in list(_ALL):
        clients.disinherit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disinherit)


def load_certificates(path: str | Path) -> CertStore:
    """Load the certificates to trust from a PEM file.

    Raises:
        ConfigurationError: The file cannot be read, or has no certificate.
    """
    reason = "it is not a PEM file of certificates"
    try:
        content = Path(path).read_bytes()
        if b"-----BEGIN CERTIFICATE-----" in content:
            return CertStore.from_pem_stack(content)
    except OSError as error:
        reason = str(error.strerror)
    except (wreq.exceptions.BuilderError, wreq.exceptions.TlsError, ValueError):
        pass
    raise ConfigurationError(f"ssl: cannot load {str(path)!r}: {reason}")


def _system_certificates() -> CertStore | bool:
    """Return the certificates that Python trusts; True, for those of wreq, if there are none."""
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    directories = os.environ.get(paths.openssl_capath_env)
    if directories is None and not context.cert_store_stats()["x509_ca"]:
        directories = paths.openssl_capath
    # OpenSSL reads a directory when it needs a certificate, whose name begins with a hash.
    for directory in filter(None, (directories or "").split(os.pathsep)):
        for path in Path(directory).glob("*.[0-9]*"):
            with suppress(OSError):
                context.load_verify_locations(path)
    certificates = context.get_ca_certs(binary_form=True)
    return CertStore.from_der_certs(certificates) if certificates else True
