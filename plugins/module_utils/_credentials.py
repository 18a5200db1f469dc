# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials: what is shown of them, to whom, and how they are kept out of texts.

It promises that they go to sites which the user named and to nobody else: not to the public site, not to where a site
redirects (another scheme, host or port), and not over plain http unless that stays on this machine.
"""

import base64

from ._model import PUBLIC_SITE
from ._urls import is_loopback, origin

SHORTEST_SECRET = 8     # characters of a header's value that counts as secret; masking shorter ones would mangle texts

NONE, SHOWN, WITHHELD = "none", "shown", "withheld"     # what a URL was shown of the credentials


def is_public(url):
    """Whether a URL is on the vendor's public site, which everybody may read and nobody needs to trust blindly."""
    return origin(url)[1] == origin(PUBLIC_SITE)[1]


def may_be_shown(url, sites, proxied=False):
    """Whether a URL may be shown credentials.

    :param sites: iterable of str, URLs of the sites that the user named.
    :param proxied: bool, it is asked through a proxy, which reads what goes over plain http.
    """
    scheme, host, _port = asked = origin(url)
    if is_public(url) or not any(asked == origin(site) for site in sites):
        return False
    return scheme == "https" or scheme == "http" and is_loopback(host) and not proxied


def headers_for(access):
    """The headers that carry the credentials: dict, empty when there are none."""
    headers = dict(access.headers)
    if access.token:
        headers["Authorization"] = "Bearer %s" % access.token       # RFC 6750, 2.1
    elif access.username:
        headers["Authorization"] = "Basic %s" % _basic(access)      # RFC 7617, 2.1: in UTF-8
    return headers


def secrets(access):
    """The texts that must not appear anywhere: tuple of str."""
    found = [access.password, access.token, access.username and _basic(access)]
    found += [value for _name, value in access.headers if len(value) >= SHORTEST_SECRET]
    return tuple(text for text in found if text)


def _basic(access):
    pair = "%s:%s" % (access.username, access.password or "")
    return base64.b64encode(pair.encode("utf-8")).decode("ascii")
