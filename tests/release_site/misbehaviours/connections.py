# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trouble below HTTP, and in its first lines: connections that end, stall or crawl, and heads that are none."""


def close_before_reply():
    """The request is read, and the connection closed without a word."""

    def behave(exchange):
        exchange.close()

    return behave


def reset(at=None):
    """The head and so many bytes of the body, then a reset. None: a reset in place of any answer."""

    def behave(exchange):
        if at is not None:
            _send_start(exchange, at)
        exchange.reset()

    return behave


def stall(at):
    """The head and so many bytes of the body, then silence on an open connection."""

    def behave(exchange):
        _send_start(exchange, at)
        exchange.wait()

    return behave


def trickle(seconds, size=1, at=0):
    """The body in pieces of so many bytes, one each so many seconds, after ``at`` bytes at full speed."""

    def behave(exchange):
        body = _send_start(exchange, at)
        for start in range(at, len(body), size):
            if not exchange.wait(seconds):
                break
            exchange.body(body[start : start + size])

    return behave


def slow_head(seconds, size=1):
    """Status line and headers in pieces of so many bytes, one each so many seconds; then the body at once."""

    def behave(exchange):
        reply = exchange.honest()
        head = exchange.render_head(reply.status, dict(reply.headers, **{"Content-Length": str(len(reply.body))}))
        for start in range(0, len(head), size):
            if not exchange.wait(seconds):
                return
            exchange.raw(head[start : start + size])
        exchange.body(reply.body)

    return behave


def garbage_status(line=b"HTTP/NaN fine OK\r\n"):
    """A first line that is not HTTP, an empty one, and a close."""

    def behave(exchange):
        exchange.close()
        exchange.raw(line + b"\r\n")

    return behave


def endless_headers():
    """200, and headers for as long as the client listens."""

    def behave(exchange):
        exchange.close()
        exchange.raw(b"HTTP/1.1 200 OK\r\n")
        while exchange.wait(0):
            exchange.raw(b"X-More: and more\r\n" * 100)

    return behave


def long_header(size=1 << 20):
    """The right answer with one header of so many bytes."""

    def behave(exchange):
        reply = exchange.honest()
        exchange.reply(reply._replace(headers=dict(reply.headers, **{"X-Long": "x" * size})))

    return behave


def _send_start(exchange, at):
    """The right head and the first bytes of the body; returns the whole body."""
    reply = exchange.honest()
    exchange.head(reply.status, dict(reply.headers, **{"Content-Length": str(len(reply.body))}))
    exchange.body(reply.body[:at])
    return reply.body
