# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections: requests, set up to trust whom it should, and to take nothing from the environment unasked.

It is handed requests and urllib3 rather than importing them: a host that fetches nothing needs neither, and only
_fetch knows that they may be missing.
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
    """A session of requests for sites of one kind.

    :param requests, urllib3: the modules.
    :param access: Access.
    :param environ: mapping of the environment variables that tell of trust.
    :param with_certificate: bool, show the client certificate.
    :param verified: bool, check the other side's certificate.
    :raises RequestError: certificates that cannot be read.
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
        # whom it trusts, for messages
        self.store = "%s %s" % choice if choice else "the system's trust store and the one of requests"
        self._stores = environ.get("SSL_CERT_DIR", "").split(os.pathsep)  # OpenSSL reads that of the process alone
        self._verified = verified
        self._session = requests.Session()
        self._session.trust_env = False  # or an entry in netrc would replace our Authorization header
        self._session.headers.update({"Accept-Encoding": "identity", "User-Agent": access.http_agent})
        # Always a path for those that are verified: for True, some releases of requests (2.32.0 to 2.32.2) put a context
        # of their own in the place of ours.
        self._session.verify = (self._bundle or requests.certs.where()) if verified else False
        self._session.mount("http://", _make_adapter(requests, urllib3))
        self._certified = access if with_certificate else None
        self._context: Optional[ssl.SSLContext] = None  # until something is asked by https
        if not verified:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the user asked for it, and is told

    def prepare(self, url: str, proxy: Optional[str]) -> None:
        """Read the certificates, which takes a tenth of a second, unless that was done or it is all plain http.

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
        """Ask for a URL, for which ``prepare`` was called.

        :param headers: dict, beside the usual ones.
        :param timeout: int, seconds without a byte.
        :param proxy: str, URL, or None.
        :returns: requests.Response, its body still to be read, a redirect not followed. Raises what requests raises.
        """
        adapter = self._session.get_adapter(url)
        scheme = urlsplit(url).scheme
        if proxy and "https" in (scheme, urlsplit(proxy).scheme):
            self._open_tunnel(adapter, proxy)
        # By the adapter: the session would swallow the body of a redirect, however long it is.
        request = self._session.prepare_request(self._requests.Request("GET", url, headers=headers))
        return adapter.send(
            request,
            stream=True,
            timeout=(timeout, timeout),
            verify=self._session.verify,
            proxies={scheme: proxy} if proxy else {},
        )

    def _open_tunnel(self, adapter: Any, proxy: str) -> None:
        """Have the way through a proxy made with our context; the adapter keeps it."""
        own = {"ssl_context": self._context}
        if urlsplit(proxy).scheme == "https":
            own["proxy_ssl_context"] = self._make_context()  # the client certificate is not for the proxy
        adapter.proxy_manager_for(proxy, **own)

    def _make_context(self) -> ssl.SSLContext:
        """A new ssl.SSLContext that trusts the system's store and that of requests, or the user's choice alone."""
        # Not ssl's own: older urllib3 compares the names of hosts itself.
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
    """An HTTPAdapter that leaves what to trust to the context, which has read it, and connections to dial().

    requests reads the certificates for each connection, and urllib3 tries the addresses of a host one after the other.
    """
    pools = _make_pools(urllib3)
    usual = requests.adapters.HTTPAdapter

    class Trusting:
        """What is changed of the one of requests: where the certificates are, and how connections are made."""

        def init_poolmanager(self: Any, *args: Any, **how: Any) -> None:
            usual.init_poolmanager(self, *args, **how)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self: Any, proxy: str, **how: Any) -> Any:
            manager = usual.proxy_manager_for(self, proxy, **how)
            if urlsplit(proxy).scheme in pools:  # others, of SOCKS, connect in their own way
                manager.pool_classes_by_scheme = pools
            return manager

        def cert_verify(self: Any, conn: Any, url: str, verify: Any, cert: Any) -> None:
            usual.cert_verify(self, conn, url, verify, cert)
            conn.ca_certs = conn.ca_cert_dir = None

    return type("Adapter", (Trusting, usual), {})()


def _make_pools(urllib3: ModuleType) -> Dict[str, type]:
    """The classes of urllib3 that keep connections, with dial() as the way to make one: dict by scheme."""

    class Dialing:
        """What is added to a connection."""

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
