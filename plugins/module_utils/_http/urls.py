# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""URLs: which ones may be asked for, where a redirect may lead, whose they are, and how they are shown.

It promises that no shown URL has userinfo, query or fragment, and that no redirect leads to a weaker scheme.
"""

import ipaddress
import re
from typing import Optional, Tuple
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from .._errors import FetchError, RequestError


def redact_url(url: str) -> str:
    """A URL as it may be shown: without userinfo, query and fragment, which can carry secrets; escaped."""
    return ascii(re.sub(r"\A([^/]*//)[^/]*@", r"\1", re.split("[?#]", url, maxsplit=1)[0]))[1:-1]


_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(
    r"(?:\[[^][@]+\]|[^][@:]+)(?::[0-9]{0,5})?\Z"
)  # without userinfo; all readers agree on the host
_PLAIN = re.compile(r"[!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]+\Z")  # RFC 3986, 2
_PLAIN_PATH = re.compile(rb"[ !$&'()*+,./0-9:=@A-Z_a-z~-]*\Z")


def origin_of(url: str) -> Tuple[str, Optional[str], Optional[int]]:
    """Whose a URL is (RFC 6454, 4): (scheme, host, port), the port told or not. ValueError for a port that is none."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def is_loopback(host: Optional[str]) -> bool:
    """Whether a host, as urlsplit has it, is this machine: what is sent to it meets no network."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return False
    mapped: Optional[ipaddress.IPv4Address] = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_below(url: str, site: str) -> bool:
    """Whether a URL leads to the site or below its path, whoever reads the URL.

    Servers decode percent-encoding once or more, take a backslash for a slash, ignore what follows a semicolon
    ("..;", Tomcat), or strip dots and blanks. So below is what begins with the site's path to the letter, and goes on
    with nothing that any of them could take for a way out.
    """
    if origin_of(url) != origin_of(site) or not _PLAIN.match(url):
        return False
    path, top = urlsplit(url).path + "/", urlsplit(site).path.rstrip("/") + "/"
    return path.startswith(top) and not _may_climb(path[len(top) :])


def _may_climb(path: str) -> bool:
    """Whether a path, decoded once, has something in it that a server could take for ".."."""
    found = unquote_to_bytes(path)
    # No percent sign is plain: what is encoded twice is nobody's name for a file.
    return not _PLAIN_PATH.match(found) or any(part and not part.strip(b". ") for part in found.split(b"/"))


def check_url(url: str) -> None:
    """Refuse what cannot be fetched: RequestError."""
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
            )  # ValueError for a port that is none
    except ValueError:
        usable = False
    if not usable:
        raise RequestError(
            "cannot fetch %s: expected http(s)://host/path without user and password, or file:///path"
            % redact_url(url),
            url=redact_url(url),
        )


def resolve_redirect(url: str, location: str, what: str, unsigned: bool = False) -> str:
    """The URL that a redirect leads to; FetchError where it must not be followed.

    :param unsigned: bool, nobody but who answers says what the bytes have to be: then plain http stays on this machine.
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
