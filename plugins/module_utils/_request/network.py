# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""P0 for network options: checks them and turns them into ConnectionOptions.

No message shows the value of a password, a token or a header.
"""

import re
from typing import Sequence, Tuple

from .._errors import RequestError
from .._http import credentials
from .._http.urls import origin_of
from .._records import ConnectionOptions, Params

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?\Z")  # RFC 9110, 5.5
_TOKEN = re.compile(r"[\x21-\x7e]+\Z")
# Headers that the download sets itself, or that would change its meaning.
_OURS = (
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "if-range",
    "proxy-authorization",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)


def parse_connection_options(given: Params) -> ConnectionOptions:
    """Check the options for connections to sites.

    :param given: dict of the module's options, blank ones None, paths absolute.
    :returns: ConnectionOptions.
    :raises RequestError: an option is not valid; the message names it.
    """
    access = ConnectionOptions(
        username=given["url_username"],
        password=given["url_password"],
        token=given["url_token"],
        headers=_headers(given["url_headers"] or {}),
        ca_path=given["ca_path"],
        client_cert=given["client_cert"],
        client_key=given["client_key"],
        validate_certs=given["validate_certs"],
        use_proxy=given["use_proxy"],
        http_agent=given["http_agent"],
    )
    if access.password and not access.username:
        raise RequestError("url_password is given without url_username", hint="set both, or url_token alone")
    if access.token and access.username:
        raise RequestError("url_token and url_username are both given: a site takes one of them", hint="leave one out")
    if (access.token or access.username) and any(name.lower() == "authorization" for name, _value in access.headers):
        raise RequestError("url_headers has Authorization beside url_token or url_username", hint="leave one out")
    if access.username and re.search(r"[:\x00-\x1f\x7f]", access.username):
        raise RequestError(
            "url_username has a colon or a control character in it (RFC 7617, 2)", hint="write the user's name alone"
        )
    if access.password and re.search(r"[\x00-\x1f\x7f]", access.password):
        raise RequestError("url_password has a control character in it (RFC 7617, 2)", hint="look for a line end in it")
    if access.token and not _TOKEN.match(access.token):
        raise RequestError(
            "url_token has blanks or characters that are not printable ASCII in it",
            hint="give the token alone, without Bearer",
        )
    if access.client_key and not access.client_cert:
        raise RequestError("client_key is given without client_cert", hint="set client_cert, too")
    if not _VALUE.match(access.http_agent):
        raise RequestError(
            "http_agent has control characters or characters beyond Latin-1 in it", hint="write it as name/version"
        )
    return access


def check_sites(access: ConnectionOptions, sites: Sequence[str]) -> None:
    """Refuse unverified TLS to the public site, and credentials that no site may get.

    :param access: ConnectionOptions.
    :param sites: tuple of str, the sites that will be asked.
    :raises RequestError: for either.
    """
    for site in sites:
        if not access.validate_certs and credentials.is_public(site):
            raise RequestError(
                "validate_certs false is refused for %s" % site,
                url=site,
                hint="for a proxy that inspects TLS, name its CA in ca_path",
            )
    shown = [site for site in sites if credentials.may_send_credentials(site, site)]
    by_tls = [site for site in shown if origin_of(site)[0] == "https"]
    for given, takers in ((credentials.headers_for(access), shown), (access.client_cert, by_tls)):
        if given and not takers:
            raise RequestError(
                "credentials are given, but none of the sites may be shown them: %s" % ", ".join(sites),
                url=sites[0],
                hint="name a site of your own, by https; they are not for the public site, plain http and file URLs",
            )


def _headers(given: Params) -> Tuple[Tuple[str, str], ...]:
    """Return url_headers as pairs of text, without entries that are null."""
    headers = []
    for name, value in given.items():
        if value is None:
            continue
        name, value = str(name), str(value).strip()
        if not _NAME.match(name):
            raise RequestError(
                "url_headers: %s is not the name of a header" % ascii(name[:60]),
                hint="write name: value, such as X-Api-Key: ...",
            )
        if name.lower() in _OURS:
            raise RequestError(
                "url_headers: %s is a header that the download itself decides on" % name, hint="leave it out"
            )
        if not _VALUE.match(value):
            raise RequestError(
                "url_headers: the value of %s is blank, or has line ends, other control characters or "
                "characters beyond Latin-1 in it" % name,
                hint="write one line",
            )
        headers.append((name, value))
    return tuple(headers)
