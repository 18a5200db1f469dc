# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers on a port of this machine: whoever was first to listen there, which may be any local user.

So plain http to loopback proves nothing by itself. It does where the listening socket belongs to root or to us.
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
    """Refuse to ask a port of this machine that somebody else listens on.

    :param url: str, http, its host is loopback.
    :param what: str, what is asked for there: ``SHA256SUMS``.
    :param why: str, what whoever answers could do: the end of a sentence.
    :raises VerificationError: another user than root and our own listens on that port, on whatever address, or this system does
        not tell.
    :raises FetchError: nobody listens there.
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
    strangers = sorted(owners - {0, os.geteuid()})
    if strangers:
        raise VerificationError(
            "%s from %s: the user with the number %d listens on port %d, expected root or the user who downloads, since "
            "whoever does %s" % (what, place, strangers[0], port, why),
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
    """The uids of those who listen on a port: set of int; None where the system does not tell."""
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
