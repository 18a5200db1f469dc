# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxies: through which one a URL is asked for, as the environment has it.

It promises to ask the environment that it is given and nothing else: no system settings (which kill a forked process
on macOS), and not this process's own variables, since a task's ``environment`` is not that of the controller. Whatever
that says, this machine is asked directly: what is let pass for loopback, since no network is met, must meet none.
"""

import ipaddress
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment

from ._urls import is_loopback

_SUFFIX = "_proxy"


def choose_proxy(url, environ):
    """The proxy for a URL.

    :param url: str, http or https.
    :param environ: mapping of variables: ``https_proxy``, ``http_proxy``, ``all_proxy``, ``no_proxy``, in lower or upper
        case; lower case decides (curl(1), ENVIRONMENT), also when it is empty.
    :returns: str, the proxy's URL, which may have userinfo; None: ask directly.
    """
    found = {}
    for name in sorted(environ, key=str.islower):       # lower case last
        if name.lower().endswith(_SUFFIX):
            found[name.lower()[:-len(_SUFFIX)]] = environ[name].strip()
    parts = urlsplit(url)
    if is_loopback(parts.hostname.rstrip(".")):
        return None
    proxy = found.get(parts.scheme) or found.get("all")
    if not proxy or _is_excepted(parts, found.get("no", "")):
        return None
    return proxy if "://" in proxy else "http://%s" % proxy


def _is_excepted(parts, exceptions):
    """Whether no_proxy names the host: itself, a domain it is in, host and port, its network in CIDR form, or ``*``."""
    host = parts.hostname
    addressed = "%s:%d" % (host, parts.port) if parts.port else host
    if any(proxy_bypass_environment(name, {"no": exceptions}) for name in (host, addressed)):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in map(_network, exceptions.split(",")) if network)


def _network(text):
    """The network of an entry in CIDR form, None for any other entry."""
    try:
        return ipaddress.ip_network(text.strip(), strict=False) if "/" in text else None
    except ValueError:
        return None
