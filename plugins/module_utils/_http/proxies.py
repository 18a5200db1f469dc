# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chooses the proxy for a URL from the environment.

It reads only the environment that it is given. It does not read system settings (which kill a forked process on macOS)
or this process's own variables: a task's ``environment`` is not that of the controller. Requests to loopback never use
a proxy, whatever the variables say: loopback is allowed more because such a request never meets a network.
"""

import ipaddress
import re
from typing import Dict, Mapping, NamedTuple, Optional, Union
from urllib.parse import SplitResult, urlsplit
from urllib.request import proxy_bypass_environment

from .._errors import RequestError
from .urls import is_loopback, redact_url

_SUFFIX = "_proxy"
_ENDS_HOST = re.compile(r"[\\/?#\[\]\s]")  # ends the userinfo or the host, for some programs or for all
_SCHEME = re.compile(r"(?:https?|socks(?:4a?|5h?))\Z", re.IGNORECASE)
# Host and port, and nothing after them: anything else could be part of a badly written user and password.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::([0-9]{1,5}))?/?\Z")


class Proxy(NamedTuple):
    """A proxy to use."""

    url: str  # may have userinfo
    variable: str  # the variable that named it

    def __str__(self) -> str:
        return "proxy %s (%s)" % (redact_url(self.url), self.variable)


def choose_proxy(url: str, environ: Mapping[str, str]) -> Optional[Proxy]:
    """Return the proxy for a URL.

    :param url: str, http or https.
    :param environ: mapping of variables: ``https_proxy``, ``http_proxy``, ``all_proxy``, ``no_proxy``, in lower or
        upper case; lower case wins (curl(1), ENVIRONMENT), even when it is empty.
    :returns: Proxy; None: connect directly.
    :raises RequestError: programs disagree on how to read the proxy's URL.
    """
    found: Dict[str, Proxy] = {}
    for name in sorted(environ, key=str.islower):  # lower case last
        if name.lower().endswith(_SUFFIX):
            found[name.lower()[: -len(_SUFFIX)]] = Proxy(environ[name].strip(), name)
    parts = urlsplit(url)
    if is_loopback((parts.hostname or "").rstrip(".")):
        return None
    unset = Proxy("", "")
    proxy = next((each for each in (found.get(parts.scheme, unset), found.get("all", unset)) if each.url), None)
    if not proxy or _is_excepted(parts, found.get("no", unset).url):
        return None
    proxy = proxy._replace(url=proxy.url if "://" in proxy.url else "http://%s" % proxy.url)
    _check(proxy)
    return proxy


def _check(proxy: Proxy) -> None:
    """Refuse a proxy URL whose host is ambiguous. Raises RequestError, which shows nothing that could be a password."""
    scheme, _slashes, rest = proxy.url.partition("://")
    user, at, host = rest.rpartition("@")
    found = _HOST.match(host) if _SCHEME.match(scheme) else None
    usable = found and 0 < int(found.group(1) or 1) < 65536
    if at and (_ENDS_HOST.search(user) or not usable):
        raise RequestError(
            "%s is not the URL of a proxy: its user or password has characters that end it in a URL" % proxy.variable,
            hint="percent-encode them: %5C for a backslash (DOMAIN%5Cuser), %40 for @, %23 for #, %2F for /, %3F for ?",
        )
    if not usable:
        raise RequestError("%s is not the URL of a proxy" % proxy.variable, hint="write it as http://host:port")


def _is_excepted(parts: SplitResult, exceptions: str) -> bool:
    """Whether no_proxy names the host: itself, its domain, host and port, its network in CIDR form, or ``*``."""
    host = parts.hostname or ""
    addressed = "%s:%d" % (host, parts.port) if parts.port else host
    if any(proxy_bypass_environment(name, {"no": exceptions}) for name in (host, addressed)):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in map(_network, exceptions.split(",")) if network)


def _network(text: str) -> Union[ipaddress.IPv4Network, ipaddress.IPv6Network, None]:
    """Parse an entry in CIDR form; None for any other entry."""
    try:
        return ipaddress.ip_network(text.strip(), strict=False) if "/" in text else None
    except ValueError:
        return None
