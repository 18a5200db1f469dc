# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out who listens on a port of this machine: any local user may have been the first.

So plain http to loopback proves nothing by itself, unless the listening socket belongs to root or to this user.
"""

import errno
import os
import re
from typing import Optional, Set
from urllib.parse import urlsplit

from .._errors import FetchError, VerificationError, errno_text
from .urls import redact_url

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")  # proc(5)
_LISTENS = "0A"  # TCP_LISTEN
_ROW = re.compile(r"\s*[0-9]+: [0-9A-F]+:([0-9A-F]{4}) \S+ ([0-9A-F]{2}) \S+ \S+ \S+\s+([0-9]+) ")
_HINT = "use https, give checksum with policy signature or pinned, or have the site run by root or by the user who downloads"


def check_listener(url: str, what: str, why: str) -> None:
    """Refuse to use a port of this machine on which another user listens.

    :param url: str, http, with a loopback host.
    :param what: str, what is requested: ``SHA256SUMS``.
    :param why: str, what the listener could do, as the end of a sentence.
    :raises VerificationError: a user other than root and the current one listens on that port, on any address, or the
        system does not say who does.
    :raises FetchError: nothing listens there.
    """
    place, port = redact_url(url), urlsplit(url).port or 80
    owners = _owners(port)
    if owners is None:
        raise VerificationError(
            "%s from %s: this system does not tell who listens on port %d, and whoever does %s"
            % (what, place, port, why),
            url=place,
            hint=_HINT,
        )
    others = sorted(owners - {0, os.geteuid()})
    if others:
        raise VerificationError(
            "%s from %s: the user with the number %d listens on port %d, expected root or the user who downloads, since "
            "whoever does %s" % (what, place, others[0], port, why),
            url=place,
            hint=_HINT,
        )
    if not owners:
        raise FetchError(
            "%s from %s: %s" % (what, place, errno_text(errno.ECONNREFUSED)),
            retry=True,
            url=place,
            errno=errno.ECONNREFUSED,
            hint="nothing listens on port %d: start that site" % port,
        )


def _owners(port: int) -> Optional[Set[int]]:
    """Return the uids that listen on a port: set of int; None if the system does not say."""
    owners: Set[int] = set()
    for table in _TABLES:
        try:
            with open(table, encoding="ascii") as stream:
                rows = stream.readlines()[1:]
        except FileNotFoundError:
            if table == _TABLES[0]:
                return None
            continue  # a kernel without IPv6
        for found in filter(None, map(_ROW.match, rows)):
            if found.group(2) == _LISTENS and int(found.group(1), 16) == port:
                owners.add(int(found.group(3)))
    return owners
