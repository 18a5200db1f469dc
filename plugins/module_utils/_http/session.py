# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets up sessions of requests: whom they trust, and nothing else from the environment.

The modules requests and urllib3 are parameters, not imports: a host that downloads nothing needs neither, and only
client.py handles their absence.
"""

import os
import socket
import ssl
from types import ModuleType
from typing import Any, Dict, Mapping, Optional
from urllib.parse import urlsplit

from .._errors import RequestError, os_error_context
from .._records import ConnectionOptions
from .dialing import open_connection
from .tls import find_bundle, load_client_certificate


class Session:
    """A session of requests for one kind of site.

    :param requests, urllib3: the modules.
    :param access: ConnectionOptions.
    :param environ: mapping of environment variables for TLS trust.
    :param with_certificate: bool, present the client certificate.
    :param verified: bool, verify the server's certificate.
    :raises RequestError: certificates cannot be read.
    """

    def __init__(
        self,
        requests: ModuleType,
        urllib3: ModuleType,
        access: ConnectionOptions,
        environ: Mapping[str, str],
        with_certificate: bool,
        verified: bool,
    ) -> None:
        self._requests = requests
        self._urllib3 = urllib3
        choice = find_bundle(access, environ) if verified else None
        self._bundle = choice and choice[1]
        # the trusted certificates, for messages
        self.store = "%s %s" % choice if choice else "the system's trust store and the one of requests"
        self._stores = environ.get("SSL_CERT_DIR", "").split(os.pathsep)  # OpenSSL reads only the process's own
        self._verified = verified
        self._session = requests.Session()
        self._session.trust_env = False  # otherwise an entry in netrc would replace our Authorization header
        self._session.headers.update({"Accept-Encoding": "identity", "User-Agent": access.http_agent})
        # With verification, always pass a path: for True, requests 2.32.0 to 2.32.2 replace our context with their own.
        self._session.verify = (self._bundle or requests.certs.where()) if verified else False
        self._session.mount("http://", _make_adapter(requests, urllib3))
        self._certified = access if with_certificate else None
        self._context: Optional[ssl.SSLContext] = None  # until the first https request
        if not verified:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the user chose this and is warned

    def prepare(self, url: str, proxy: Optional[str]) -> None:
        """Load the certificates, once and only if https is involved: it takes a tenth of a second.

        :param url: str, the URL to request next.
        :param proxy: str, URL, or None.
        :raises RequestError: the client certificate cannot be used.
        """
        if self._context is None and "https" in (urlsplit(url).scheme, urlsplit(proxy or "").scheme):
            context = self._make_context()
            if self._certified:
                load_client_certificate(context, self._certified)
            self._session.mount("https://", _make_adapter(self._requests, self._urllib3))
            self._session.get_adapter("https://").init_poolmanager(10, 10, ssl_context=context)
            self._context = context

    def close(self) -> None:
        self._session.close()

    def get(self, url: str, headers: Mapping[str, str], timeout: float, proxy: Optional[str]) -> Any:
        """Request a URL. Call ``prepare`` for it first.

        :param url: str, http or https.
        :param headers: dict, in addition to the default ones.
        :param timeout: int, seconds without a byte.
        :param proxy: str, URL, or None.
        :returns: requests.Response, its body not read yet, a redirect not followed. Raises what requests raises.
        """
        adapter = self._session.get_adapter(url)
        scheme = urlsplit(url).scheme
        if proxy and "https" in (scheme, urlsplit(proxy).scheme):
            self._open_tunnel(adapter, proxy)
        # Use the adapter: the session would read the whole body of a redirect, however long it is.
        request = self._session.prepare_request(self._requests.Request("GET", url, headers=headers))
        return adapter.send(
            request,
            stream=True,
            timeout=(timeout, timeout),
            verify=self._session.verify,
            proxies={scheme: proxy} if proxy else {},
        )

    def _open_tunnel(self, adapter: Any, proxy: str) -> None:
        """Make the adapter use our context for connections through a proxy; the adapter keeps them."""
        own = {"ssl_context": self._context}
        if urlsplit(proxy).scheme == "https":
            own["proxy_ssl_context"] = self._make_context()  # the proxy does not get the client certificate
        adapter.proxy_manager_for(proxy, **own)

    def _make_context(self) -> ssl.SSLContext:
        """Return an ssl.SSLContext that trusts the system's store and that of requests, or only the user's choice."""
        # Do not use ssl's default context: older urllib3 compares host names itself.
        context: ssl.SSLContext = self._urllib3.util.ssl_.create_urllib3_context(
            cert_reqs=None if self._verified else ssl.CERT_NONE
        )
        if self._verified:
            if not self._bundle:
                context.load_default_certs()
                for store in filter(os.path.isdir, self._stores):
                    context.load_verify_locations(capath=store)
            store = self._session.verify
            with os_error_context(
                "read the certificates",
                store,
                RequestError,
                hint="reinstall certifi, which requests has them from, or name a bundle by ca_path",
            ):
                context.load_verify_locations(**{"capath" if os.path.isdir(store) else "cafile": store})
        return context


def _make_adapter(requests: ModuleType, urllib3: ModuleType) -> Any:
    """Return an HTTPAdapter that leaves TLS trust to our context, and connecting to open_connection().

    requests alone would load the certificates for each connection, and urllib3 would try a host's addresses one by one.
    """
    pools = _make_pools(urllib3)
    usual = requests.adapters.HTTPAdapter

    class Trusting:
        """Overrides of requests' adapter: where the certificates are, and how connections are made."""

        def init_poolmanager(self: Any, *args: Any, **how: Any) -> None:
            usual.init_poolmanager(self, *args, **how)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self: Any, proxy: str, **how: Any) -> Any:
            manager = usual.proxy_manager_for(self, proxy, **how)
            if urlsplit(proxy).scheme in pools:  # other schemes (SOCKS) connect in their own way
                manager.pool_classes_by_scheme = pools
            return manager

        def cert_verify(self: Any, conn: Any, url: str, verify: Any, cert: Any) -> None:
            # To a proxy that speaks TLS, requests would set the mode of plain HTTP when the URL is one: no verification.
            usual.cert_verify(self, conn, "https://" if conn.scheme == "https" else url, verify, cert)
            conn.ca_certs = conn.ca_cert_dir = None

    return type("Adapter", (Trusting, usual), {})()


def _make_pools(urllib3: ModuleType) -> Dict[str, type]:
    """Return urllib3's connection pool classes, changed to connect with open_connection(): dict by scheme."""

    class Dialing:
        """Override of urllib3's connection."""

        def _new_conn(self: Any) -> socket.socket:
            try:
                return open_connection(self.host.strip("[]"), self.port, self.timeout, self.socket_options or ())
            except socket.timeout as exc:
                raise urllib3.exceptions.ConnectTimeoutError(self, "timed out") from exc
            except OSError as exc:
                raise urllib3.exceptions.NewConnectionError(self, "not connected") from exc

    pools = {}
    for scheme, pool in (("http", urllib3.HTTPConnectionPool), ("https", urllib3.HTTPSConnectionPool)):
        connection = type("Connection", (Dialing, pool.ConnectionCls), {})
        pools[scheme] = type("Pool", (pool,), {"ConnectionCls": connection})
    return pools
