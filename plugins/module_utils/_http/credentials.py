# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides which requests carry credentials, and lists the secrets to redact from texts.

Credentials go only with requests that start at a site that the user named and have not left it since: the same scheme,
host and port, and below its path. They never go to the public site, nor over plain http, except on loopback.
"""

import base64
from typing import Dict, Iterable, Mapping, Optional, Tuple
from urllib.parse import unquote

from .._records import PUBLIC_SITE, ConnectionOptions, Params
from .urls import is_below, is_loopback, origin_of

SHORTEST_SECRET = 8  # characters: a shorter header value is not masked, which would garble texts

_SECRET = ("headers", "url_headers", "url_password", "url_token")

NONE, SENT, WITHHELD = "none", "shown", "withheld"  # whether a URL got the credentials


def is_public(url: str) -> bool:
    """Whether a URL is on releases.hashicorp.com, which needs neither credentials nor disabled verification."""
    return (origin_of(url)[1] or "").rstrip(".") == origin_of(PUBLIC_SITE)[1]


def may_send_credentials(url: str, site: str) -> bool:
    """Whether a URL may get the credentials for a site that the user named.

    Ask for every redirect. After the first False, never ask again.
    """
    scheme, host, _port = origin_of(url)
    if is_public(url) or not is_below(url, site):
        return False
    return scheme == "https" or scheme == "http" and is_loopback(host)  # no proxy sees loopback: see proxies.py


def choose_site(url: str, sites: Iterable[str]) -> Optional[str]:
    """Return the named site whose credentials a request that starts at a URL may carry, or None."""
    return max((site for site in sites if may_send_credentials(url, site)), key=len, default=None)


def headers_for(access: ConnectionOptions) -> Dict[str, str]:
    """Return the headers that carry the credentials: dict, empty without credentials."""
    headers = dict(access.headers)
    if access.token:
        headers["Authorization"] = "Bearer %s" % access.token  # RFC 6750, 2.1
    elif access.username:
        headers["Authorization"] = "Basic %s" % _basic(access)  # RFC 7617, 2.1: in UTF-8
    return headers


def secrets(access: ConnectionOptions) -> Tuple[str, ...]:
    """Return the texts to redact everywhere: tuple of str."""
    found = [access.password, access.token, access.username and _basic(access)]
    found += [value for _name, value in access.headers if len(value) >= SHORTEST_SECRET]
    return tuple(text for text in found if text)


def proxy_secrets(environ: Mapping[str, str]) -> Tuple[str, ...]:
    """Return the secrets in proxy URLs, to redact everywhere: tuple of str.

    :param environ: mapping of environment variables.
    """
    found = []
    for name, value in environ.items():
        user, at, _host = (value.partition("://")[2] or value).rpartition("@")
        if name.lower().endswith("_proxy") and at:
            password = user.partition(":")[2]
            found += [
                password,
                unquote(password),
                base64.b64encode(unquote(user).encode("utf-8", "replace")).decode("ascii"),
            ]
    return tuple(text for text in found if text)


def secrets_of(params: Params, environ: Mapping[str, str]) -> Tuple[str, ...]:
    """Return the secrets of a task, to remove from its results: tuple of str.

    It leaves out texts whose removal would garble messages: short ones, and values that another option shows anyway.

    :param params: dict, the module's parameters.
    :param environ: mapping of environment variables.
    """
    headers = params["url_headers"] or {}
    access = ConnectionOptions(
        username=params["url_username"],
        password=params["url_password"],
        token=params["url_token"],
        headers=tuple((name, str(value).strip()) for name, value in headers.items()),
    )
    others = " ".join(str(value) for name, value in params.items() if name not in _SECRET).lower()
    return tuple(
        text
        for text in secrets(access) + proxy_secrets(environ)
        if len(text) >= SHORTEST_SECRET and text.lower() not in others
    )


def _basic(access: ConnectionOptions) -> str:
    pair = "%s:%s" % (access.username, access.password or "")
    return base64.b64encode(pair.encode("utf-8")).decode("ascii")
