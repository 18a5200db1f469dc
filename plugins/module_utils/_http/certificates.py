# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the certificate that a server presents, to explain why a TLS connection refused it.

This happens only after a verified connection has failed, to word the error. The extra connection made here sends no
request, and no decision depends on what it returns.
"""

import base64
import contextlib
import datetime
import http.client
import ipaddress
import ssl
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple
from urllib.parse import SplitResult, unquote, urlsplit

_COMMON_NAME, _ORGANIZATION, _ALTERNATIVE_NAMES = b"\x55\x04\x03", b"\x55\x04\x0a", b"\x55\x1d\x11"  # RFC 5280, A
_UTC_TIME, _GENERALIZED_TIME, _DNS_NAME, _IP_ADDRESS, _EXTENSIONS = 0x17, 0x18, 0x82, 0x87, 0xA3


_Field = Tuple[int, int, int]  # tag, begin, end


class Certificate(NamedTuple):
    """The fields of a certificate that explain why it was refused."""

    starts: str  # for example 2026-11-23T14:39:00Z
    ends: str
    issuer: Optional[str]  # the issuer's common name, or else its organization
    names: Tuple[str, ...]  # host names and IP addresses that it is valid for


def look_up(url: str, proxy: Optional[str], timeout: float) -> Optional[Certificate]:
    """Fetch the certificate that the server of a URL presents. Returns a Certificate, or None if there is none to read.

    :param url: str, an https URL.
    :param proxy: str, URL of the proxy to connect through, or None.
    :param timeout: seconds without a byte.
    """
    place = urlsplit(url)
    way = urlsplit(proxy or url)
    if not place.hostname or not way.hostname or proxy and way.scheme != "http":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(OSError, ValueError, IndexError, http.client.HTTPException):
        connection = http.client.HTTPSConnection(
            way.hostname, way.port or (80 if proxy else 443), timeout=timeout, context=context
        )
        with contextlib.closing(connection):
            if proxy:
                connection.set_tunnel(place.hostname, place.port or 443, _authorization(way))
            connection.connect()
            return read_certificate(connection.sock.getpeercert(True) or b"")
    return None


def _authorization(proxy: SplitResult) -> Dict[str, str]:
    """Return the Proxy-Authorization header for a proxy's credentials (RFC 7617): dict, empty without credentials."""
    if proxy.username is None:
        return {}
    pair = "%s:%s" % (unquote(proxy.username), unquote(proxy.password or ""))
    return {"Proxy-Authorization": "Basic %s" % base64.b64encode(pair.encode("utf-8")).decode("ascii")}


def read_certificate(der: bytes) -> Certificate:
    """Parse a DER certificate (X.690, RFC 5280). Raises ValueError or IndexError if the bytes are not a certificate."""
    ((dummy, begin, end),) = _children(der, 0, len(der))
    fields = _children(der, *_children(der, begin, end)[0][1:])
    if fields[0][0] == 0xA0:  # the version, which v1 certificates omit
        del fields[0]
    if len(fields) < 6:
        raise ValueError("too few fields")
    starts, ends = [_time(tag, der[begin:end]) for tag, begin, end in _children(der, *fields[3][1:])]
    extensions = [field for field in fields[6:] if field[0] == _EXTENSIONS]
    return Certificate(starts, ends, _issuer(der, *fields[2][1:]), tuple(_names(der, extensions)))


def _children(data: bytes, begin: int, end: int) -> List[_Field]:
    """List the elements of a constructed DER value: list of (tag, begin, end)."""
    found = []
    while begin < end:
        tag, length, begin = data[begin], int.from_bytes(data[begin + 1 : begin + 2], "big"), begin + 2
        if length & 0x80:  # long form: this many bytes hold the length
            count = length & 0x7F
            length, begin = int.from_bytes(data[begin : begin + count], "big"), begin + count
        if begin + length > end:
            raise ValueError("longer than what it is in")
        found.append((tag, begin, begin + length))
        begin += length
    return found


def _time(tag: int, text: bytes) -> str:
    forms = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}
    if tag not in forms:
        raise ValueError("not a time")
    return datetime.datetime.strptime(text.decode("ascii"), forms[tag]).strftime("%Y-%m-%dT%H:%M:%SZ")


def _issuer(der: bytes, begin: int, end: int) -> Optional[str]:
    said: Dict[bytes, str] = {}
    for _tag, *part in _children(der, begin, end):
        for _tag, *pair in _children(der, *part):
            (dummy, *name), (dummy, *text) = _children(der, *pair)
            said[der[slice(*name)]] = der[slice(*text)].decode("utf-8", "replace")
    return said.get(_COMMON_NAME) or said.get(_ORGANIZATION)


def _names(der: bytes, extensions: Iterable[_Field]) -> Iterator[str]:
    for _tag, *outer in extensions:
        ((dummy, *sequence),) = _children(der, *outer)
        for _tag, *extension in _children(der, *sequence):
            (dummy, *name), *_critical, (dummy, *value) = _children(der, *extension)
            if der[slice(*name)] != _ALTERNATIVE_NAMES:
                continue
            ((dummy, *names),) = _children(der, *value)
            for tag, *one in _children(der, *names):
                text = der[slice(*one)]
                if tag == _DNS_NAME:
                    yield text.decode("ascii", "replace")
                elif tag == _IP_ADDRESS:
                    yield str(ipaddress.ip_address(text))
