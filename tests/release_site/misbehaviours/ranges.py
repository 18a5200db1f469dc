# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lies to a client that resumes: about where a part begins, how long the whole is, and whether it is the same file.

Those named ``range_*`` answer requests without Range as they should (``range_unasked`` the other way about).
"""

import copy
import dataclasses
import itertools
import re

from ..replies import Reply, honest_reply


def range_wrong_start(shift=1):
    """206 that begins so many bytes later than asked for, and says so."""

    def behave(exchange):
        reply = exchange.honest()
        if reply.status == 206:
            start, last, total = _span(reply)
            reply.headers["Content-Range"] = "bytes %d-%d/%d" % (start + shift, last, total)
            reply = reply._replace(body=reply.body[shift:])
        exchange.reply(reply)

    return behave


def range_wrong_total(more=1):
    """206 for the bytes asked for, of a whole that is so many bytes longer."""

    def behave(exchange):
        reply = exchange.honest()
        if reply.status == 206:
            start, last, total = _span(reply)
            reply.headers["Content-Range"] = "bytes %d-%d/%d" % (start, last, total + more)
        exchange.reply(reply)

    return behave


def range_without_header():
    """206 that does not say which part it is."""

    def behave(exchange):
        reply = exchange.honest()
        reply.headers.pop("Content-Range", None)
        exchange.reply(reply)

    return behave


def range_other_etag(etag='"another-file"'):
    """206 for the bytes asked for, of a file with another strong ETag, whatever If-Range said."""

    def behave(exchange):
        reply = _ignoring(exchange, "If-Range")
        if reply.status == 206:
            reply.headers["ETag"] = etag
        exchange.reply(reply)

    return behave


def range_ignored():
    """200 and the whole file, whatever was asked for."""

    def behave(exchange):
        exchange.reply(_ignoring(exchange, "Range"))

    return behave


def range_refused():
    """416 for any range."""

    def behave(exchange):
        reply = _ignoring(exchange, "Range")
        if "Range" in exchange.request.headers and reply.status == 200:
            reply = Reply(416, {"Content-Range": "bytes */%d" % len(reply.body)}, b"")
        exchange.reply(reply)

    return behave


def range_unasked(start=1):
    """206 from this byte on for a request that asked for the whole."""

    def behave(exchange):
        reply = exchange.honest()
        if reply.status == 200:
            total = len(reply.body)
            reply.headers["Content-Range"] = "bytes %d-%d/%d" % (start, total - 1, total)
            reply = reply._replace(status=206, body=reply.body[start:])
        exchange.reply(reply)

    return behave


def weak_etag():
    """The right answer, but its validator is only a weak one, which does not do for resuming (RFC 9110, 13.1.5)."""

    def behave(exchange):
        reply = exchange.honest()
        if "ETag" in reply.headers:
            reply.headers["ETag"] = "W/" + reply.headers["ETag"]
        exchange.reply(reply)

    return behave


def no_etag():
    """The right answer without ETag and Last-Modified."""

    def behave(exchange):
        reply = exchange.honest()
        for name in ("ETag", "Last-Modified"):
            reply.headers.pop(name, None)
        exchange.reply(reply)

    return behave


def changing_etag():
    """A new strong ETag each time, as from servers behind a balancer; so If-Range never holds and the whole is sent."""
    numbers = itertools.count(1)

    def behave(exchange):
        reply = _ignoring(exchange, "Range")
        reply.headers["ETag"] = '"server-%d"' % next(numbers)
        exchange.reply(reply)

    return behave


def _span(reply):
    """(start, last, total) as the reply's Content-Range has them."""
    return tuple(int(number) for number in re.findall(r"\d+", reply.headers["Content-Range"]))


def _ignoring(exchange, header):
    """The reply as if that header had not been in the request (whose record keeps it)."""
    headers = copy.copy(exchange.request.headers)
    del headers[header]
    return honest_reply(dataclasses.replace(exchange.request, headers=headers), exchange.document)
