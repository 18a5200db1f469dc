# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks URLs and redirects, compares origins, and redacts URLs.

A redacted URL has no userinfo, query or fragment. No redirect leads to a weaker scheme.
"""

import ipaddress
import os
import re
from typing import Optional, Tuple
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from .._errors import FetchError, RequestError


def redact_url(url: str) -> str:
    """Return a URL for messages: escaped, without userinfo, query and fragment, which can carry secrets."""
    return ascii(re.sub(r"\A([^/]*//)[^/]*@", r"\1", re.split("[?#]", url, maxsplit=1)[0]))[1:-1]


_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(
    r"(?:\[[^][@]+\]|[^][@:]+)(?::[0-9]{0,5})?\Z"
)  # without userinfo; every parser reads the same host
_PLAIN = re.compile(r"[!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]+\Z")  # RFC 3986, 2
_PLAIN_PATH = re.compile(rb"[ !$&'()*+,./0-9:=@A-Z_a-z~-]*\Z")


def origin_of(url: str) -> Tuple[str, Optional[str], Optional[int]]:
    """Return the origin of a URL (RFC 6454, 4): (scheme, host, port), with the default port filled in.

    Raises ValueError for an invalid port.
    """
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def file_path(url: str) -> str:
    """Return the path that a file URL names (RFC 8089)."""
    return os.fsdecode(unquote_to_bytes(urlsplit(url).path))


def is_loopback(host: Optional[str]) -> bool:
    """Whether a host, as urlsplit returns it, is this machine, so that requests to it never reach a network."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return False
    mapped: Optional[ipaddress.IPv4Address] = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_below(url: str, site: str) -> bool:
    """Whether a URL is the site or below its path, however a server reads the URL.

    Servers decode percent-encoding once or more, read a backslash as a slash, ignore what follows a semicolon ("..;",
    Tomcat), or strip dots and spaces. So the URL must start with exactly the site's path, and the rest must contain
    nothing that any server could read as a way out.
    """
    if origin_of(url) != origin_of(site) or not _PLAIN.match(url):
        return False
    path, top = urlsplit(url).path + "/", urlsplit(site).path.rstrip("/") + "/"
    return path.startswith(top) and not _may_climb(path[len(top) :])


def _may_climb(path: str) -> bool:
    """Whether a path, decoded once, contains anything that a server could read as ".."."""
    found = unquote_to_bytes(path)
    # A percent sign is not allowed: no real file name is encoded twice.
    return not _PLAIN_PATH.match(found) or any(part and not part.strip(b". ") for part in found.split(b"/"))


def check_url(url: str) -> None:
    """Refuse a URL that cannot be fetched. Raises RequestError."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "file":
            usable = parts.netloc in ("", "localhost") and parts.path.startswith("/") and "%00" not in parts.path
        else:
            usable = bool(
                parts.scheme in ("http", "https")
                and parts.hostname
                and _AUTHORITY.match(parts.netloc)
                and parts.port != 0
            )  # ValueError for an invalid port
    except ValueError:
        usable = False
    if not usable:
        raise RequestError(
            "cannot fetch %s: expected http(s)://host/path without user and password, or file:///path"
            % redact_url(url),
            url=redact_url(url),
        )


def resolve_redirect(url: str, location: str, what: str, unsigned: bool = False) -> str:
    """Return the URL that a redirect leads to.

    :param url: str, the redirected URL.
    :param location: str, the Location header.
    :param what: str, what is downloaded, for messages.
    :param unsigned: bool, only the server says which bytes are right; then plain http is followed only to loopback.
    :raises FetchError: the redirect must not be followed.
    """
    plain = urlsplit(url).scheme == "http"
    try:
        target = urljoin(url, location)
        check_url(target)
        parts = urlsplit(target)
        followed = parts.scheme == "https" or (
            parts.scheme == "http" and plain and not (unsigned and not is_loopback(parts.hostname))
        )
    except (ValueError, RequestError):
        target, followed = location, False
    if not followed:
        raise FetchError(
            "%s from %s is redirected to %s, which is not followed: only %s without user and password is"
            % (what, redact_url(url), redact_url(target), "http(s)" if plain and not unsigned else "https"),
            url=redact_url(url),
        )
    return target
