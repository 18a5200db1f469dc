# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that are good HTTP, and not what the client came for: statuses, redirects, other content, odd headers."""

import email.utils
import time

from ..replies import Reply, honest_reply

_PORTAL = b"""<!DOCTYPE html>
<html><head><title>Welcome to Guest WiFi</title></head>
<body><form action="/login"><input name="room"><button>Accept terms</button></form></body></html>
"""


def status(code, headers=None, body=b""):
    """Nothing but this status (with these headers, this body)."""

    def behave(exchange):
        exchange.reply(Reply(code, headers or {}, body))

    return behave


def retry_later(code=429, seconds=1, date=False):
    """A status that asks to come back: Retry-After in seconds, or as a date (RFC 9110, 10.2.3)."""

    def behave(exchange):
        moment = email.utils.formatdate(time.time() + seconds, usegmt=True) if date else str(seconds)
        exchange.reply(Reply(code, {"Retry-After": moment}, b""))

    return behave


def html_200(body=_PORTAL):
    """A captive portal: 200, and its own page."""

    def behave(exchange):
        exchange.reply(Reply(200, {"Content-Type": "text/html; charset=utf-8"}, body))

    return behave


def empty():
    """200 with the right headers and a body of no bytes, announced as such."""

    def behave(exchange):
        exchange.reply(exchange.honest()._replace(body=b""))

    return behave


def swap(path):
    """What lies at another path (no leading slash), with its headers."""

    def behave(exchange):
        exchange.reply(honest_reply(exchange.request, exchange.files.get(path)))

    return behave


def demand(header, value, code=401, headers=None):
    """This status unless a request header has this value; the right answer if it has."""

    def behave(exchange):
        if exchange.request.headers.get(header) == value:
            exchange.reply(exchange.honest())
        else:
            exchange.reply(Reply(code, headers or {"WWW-Authenticate": 'Basic realm="releases"'}, b""))

    return behave


def redirect(location, code=302):
    """To another place: ``{path}`` in it becomes the path that was asked for. None: a redirect without a Location."""

    def behave(exchange):
        place = {} if location is None else {"Location": location.replace("{path}", exchange.request.path)}
        exchange.reply(Reply(code, place, b""))

    return behave


def redirect_loop(code=302):
    """To the very same URL."""
    return redirect("{path}", code)


def redirect_chain(hops, code=302):
    """So many redirects to the same path, distinguished by the query, then the right answer."""

    def behave(exchange):
        done = int(exchange.request.query.partition("hop=")[2] or 0)
        if done < hops:
            exchange.reply(Reply(code, {"Location": "%s?hop=%d" % (exchange.request.path, done + 1)}, b""))
        else:
            exchange.reply(exchange.honest())

    return behave


def delay(seconds, then=None):
    """Nothing for so long, then the right answer, or another behaviour."""

    def behave(exchange):
        if exchange.wait(seconds):
            if then:
                then(exchange)
            else:
                exchange.reply(exchange.honest())

    return behave


def early_hints():
    """103 Early Hints (RFC 8297) before the right answer: some clients take it for the answer."""

    def behave(exchange):
        exchange.raw(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
        exchange.reply(exchange.honest())

    return behave


def announce(length):
    """A Content-Length that has nothing to do with the body (a number, or any text); then the body, a clean close."""

    def behave(exchange):
        reply = exchange.honest()
        exchange.close()
        exchange.head(reply.status, dict(reply.headers, **{"Content-Length": str(length)}))
        exchange.body(reply.body)

    return behave


def two_lengths(other=1):
    """Two headers Content-Length, the right one and another: a message to refuse (RFC 9112, 6.3)."""

    def behave(exchange):
        reply = exchange.honest()
        exchange.close()
        right = {"Content-Length": str(len(reply.body))}
        exchange.head(reply.status, dict(reply.headers, **right), [("Content-Length", str(other))])
        exchange.body(reply.body)

    return behave
