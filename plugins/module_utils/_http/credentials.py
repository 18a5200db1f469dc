# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials: what is shown of them, to whom, and how they are kept out of texts.

It promises that they go only with requests that began at a site which the user named and have not left it since: its
scheme, host and port, and its path. They do not go to the public site, and not over plain http unless that stays on this
machine.
"""

import base64
from typing import Dict, Iterable, Mapping, Optional, Tuple
from urllib.parse import unquote

from .._records import PUBLIC_SITE, ConnectionOptions, Params
from .urls import is_below, is_loopback, origin_of

SHORTEST_SECRET = 8  # characters of a header's value that counts as secret; masking shorter ones would mangle texts

_SECRET = ("headers", "url_headers", "url_password", "url_token")

NONE, SENT, WITHHELD = "none", "shown", "withheld"  # what a URL was shown of the credentials


def is_public(url: str) -> bool:
    """Whether a URL is on the vendor's public site, which everybody may read and nobody needs to trust blindly."""
    return (origin_of(url)[1] or "").rstrip(".") == origin_of(PUBLIC_SITE)[1]


def may_send_credentials(url: str, site: str) -> bool:
    """Whether a URL may be shown the credentials for a site that the user named.

    A request that was redirected is asked this at every step, and never again after the first no.
    """
    scheme, host, _port = origin_of(url)
    if is_public(url) or not is_below(url, site):
        return False
    return scheme == "https" or scheme == "http" and is_loopback(host)  # which no proxy ever sees: see _proxies


def choose_site(url: str, sites: Iterable[str]) -> Optional[str]:
    """The site, of those that the user named, whose credentials a request that begins at a URL may carry; None: of none."""
    return max((site for site in sites if may_send_credentials(url, site)), key=len, default=None)


def headers_for(access: ConnectionOptions) -> Dict[str, str]:
    """The headers that carry the credentials: dict, empty when there are none."""
    headers = dict(access.headers)
    if access.token:
        headers["Authorization"] = "Bearer %s" % access.token  # RFC 6750, 2.1
    elif access.username:
        headers["Authorization"] = "Basic %s" % _basic(access)  # RFC 7617, 2.1: in UTF-8
    return headers


def secrets(access: ConnectionOptions) -> Tuple[str, ...]:
    """The texts that must not appear anywhere: tuple of str."""
    found = [access.password, access.token, access.username and _basic(access)]
    found += [value for _name, value in access.headers if len(value) >= SHORTEST_SECRET]
    return tuple(text for text in found if text)


def proxy_secrets(environ: Mapping[str, str]) -> Tuple[str, ...]:
    """The texts of the proxies' URLs that must not appear anywhere: tuple of str.

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
    """The texts of a task that nothing may have that comes of it: tuple of str.

    Not those that would mangle what is told: short ones, and what another option shows anyway.

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
