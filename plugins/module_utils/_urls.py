# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""URLs: which ones may be asked for, where a redirect may lead, whose they are, and how they are shown.

It promises that no shown URL has userinfo, query or fragment, and that no redirect leads to a weaker scheme.
"""

import ipaddress
import re
from urllib.parse import urljoin, urlsplit

from ._errors import FetchError, RequestError


def shown(url):
    """A URL as it may be shown: without userinfo, query and fragment, which can carry secrets; escaped."""
    return ascii(re.sub(r"\A([^/]*//)[^/]*@", r"\1", re.split("[?#]", url, maxsplit=1)[0]))[1:-1]


_PORTS = {"http": 80, "https": 443}


def origin(url):
    """Whose a URL is (RFC 6454, 4): (scheme, host, port), the port told or not. ValueError for a port that is none."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def is_loopback(host):
    """Whether a host, as urlsplit has it, is this machine: what is sent to it meets no network."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(url):
    """Refuse what cannot be fetched: RequestError."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "file":
            usable = parts.netloc in ("", "localhost") and parts.path.startswith("/") and "%00" not in parts.path
        else:
            usable = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
            usable = usable and parts.port != 0     # ValueError for a port that is none
    except ValueError:
        usable = False
    if not usable:
        raise RequestError(
            "cannot fetch %s: expected http(s)://host/path without user and password, or file:///path" % shown(url),
            url=shown(url))


def follow(url, location, what):
    """The URL that a redirect leads to; FetchError where it must not be followed."""
    try:
        target = urljoin(url, location)
        check_url(target)
        allowed = ("https",) if urlsplit(url).scheme == "https" else ("http", "https")
        followed = urlsplit(target).scheme in allowed
    except (ValueError, RequestError):
        target, followed = location, False
    if not followed:
        raise FetchError(
            "%s from %s is redirected to %s, which is not followed: only %s without user and password is"
            % (what, shown(url), shown(target), "https" if url.startswith("https") else "http(s)"), url=shown(url))
    return target
