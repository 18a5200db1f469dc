# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens TCP connections to the first address of a host that answers (RFC 8305, Happy Eyeballs).

A name may have many addresses, and some may be dead, often all of one family. Instead of trying each for the whole
timeout, it starts the next attempt a moment after the previous one and keeps the first that connects.
"""

import errno
import selectors
import socket
import time
from typing import Any, List, Sequence, Tuple, Union

DELAY = 0.25  # seconds from one attempt to the next: RFC 8305, section 8
_MOST = 32  # addresses
# Errors of a host without this address family. They say less than the answer of another address.
_NO_WAY = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

_Address = Tuple[int, int, int, str, Any]  # as getaddrinfo() returns it
_Option = Tuple[int, int, Union[int, bytes]]  # arguments of setsockopt()


def open_connection(host: str, port: int, timeout: float, options: Sequence[_Option] = ()) -> socket.socket:
    """Return a connected socket with the timeout set.

    :param host: str, a name or an address.
    :param port: int.
    :param timeout: seconds for all addresses together.
    :param options: argument tuples for setsockopt().
    :raises: socket.gaierror, socket.timeout, OSError.
    """
    left = _interleave(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))[:_MOST]
    ends = time.monotonic() + timeout
    failure = OSError(errno.EADDRNOTAVAIL, "no address")
    begin_next = 0.0
    with selectors.DefaultSelector() as selector:
        try:
            while left or selector.get_map():
                now = time.monotonic()
                if now >= ends:
                    raise socket.timeout("timed out")
                if left and (now >= begin_next or not selector.get_map()):
                    try:
                        begun = _begin(left.pop(0), options)
                        selector.register(begun, selectors.EVENT_WRITE, begun)
                        begin_next = now + DELAY
                    except OSError as exc:
                        failure = _more_telling(failure, exc)
                    continue
                for key, _events in selector.select((min(ends, begin_next) if left else ends) - now):
                    made: socket.socket = key.data
                    selector.unregister(made)
                    number = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not number:
                        made.settimeout(timeout)
                        return made
                    made.close()
                    failure = _more_telling(failure, OSError(number, errno.errorcode.get(number)))
            raise failure
        finally:
            for key in list(selector.get_map().values()):
                key.data.close()


def _begin(address: _Address, options: Sequence[_Option]) -> socket.socket:
    """Return a socket that has started to connect. Raises OSError."""
    family, kind, protocol, _name, place = address
    made = socket.socket(family, kind, protocol)
    try:
        for option in options:
            made.setsockopt(*option)
        made.setblocking(False)
        number = made.connect_ex(place)
        if number not in (0, errno.EINPROGRESS):
            raise OSError(number, errno.errorcode.get(number))
    except BaseException:
        made.close()
        raise
    return made


def _more_telling(before: OSError, now: OSError) -> OSError:
    return before if now.errno in _NO_WAY and before.errno not in _NO_WAY else now


def _interleave(addresses: Sequence[_Address]) -> List[_Address]:
    """Alternate the address families; the first address stays first (RFC 8305, section 4)."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    found = []
    while first or others:
        found += first[:1] + others[:1]
        del first[:1], others[:1]
    return found
