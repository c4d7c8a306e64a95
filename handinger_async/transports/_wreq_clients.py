"""wreq's clients: one for each connect timeout, which share a thread."""

from __future__ import annotations

import os
import ssl
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import wreq
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
#: Clients of the parent of this process. To drop one would wait for a thread that is not in this process.
_INHERITED: list[object] = []


class Clients:
    """Creates clients when they are needed; usable in several threads, and in a forked process.

    Args:
        trust: The certificates to verify servers with, True for those that Python trusts, or False for no verification.
    """

    def __init__(self, trust: CertStore | bool) -> None:
        self._trust = trust
        self._pid = os.getpid()
        self._runtime: Runtime | None = None
        self._clients: dict[tuple[float | None, bool], wreq.Client] = {}
        self._proxies: dict[tuple[str, str], wreq.Proxy] = {}
        self._closed = False
        self._lock = Lock()

    @property
    def needs_closing(self) -> bool:
        """True if there are clients in this process."""
        return bool(self._clients) and self._pid == os.getpid()

    def get(self, connect_timeout: float | None, *, tls: bool) -> wreq.Client:
        """Return a client.

        Args:
            connect_timeout: The maximum time to establish a connection, in seconds; None for no limit.
            tls: False if the client is not used for https: it takes milliseconds to load certificates.

        Raises:
            APIConnectionError: They are closed.
        """
        if self._pid != os.getpid():
            self._disinherit()
        client = self._clients.get((connect_timeout, tls))
        return client or self._create(connect_timeout, tls=tls)

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
            clients, self._clients = self._clients, {}
            runtime, self._runtime = self._runtime, None
        if self._pid != os.getpid():
            _INHERITED.append((clients, runtime))
            return
        for client in clients.values():
            client.close()

    def _create(self, connect_timeout: float | None, *, tls: bool) -> wreq.Client:
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
                "pool_idle_timeout": timedelta(seconds=15),
                "tcp_keepalive": timedelta(seconds=60),
            }
            if tls:
                options["tls_verify"] = _system_certificates() if self._trust is True else self._trust
                options["tls_verify_hostname"] = self._trust is not False
            if connect_timeout is not None:
                options["connect_timeout"] = timedelta(seconds=connect_timeout)
            client = self._clients[connect_timeout, tls] = wreq.Client(**options)
            return client

    def _disinherit(self) -> None:
        """Forget the clients of the parent process."""
        with self._lock:
            if self._pid != os.getpid():
                _INHERITED.append((self._clients, self._runtime))
                self._clients, self._runtime = {}, None
                self._pid = os.getpid()


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
    """Return the certificates that Python trusts; True, for those of wreq, if OpenSSL finds them only by name."""
    certificates = ssl.create_default_context().get_ca_certs(binary_form=True)
    return CertStore.from_der_certs(certificates) if certificates else True
