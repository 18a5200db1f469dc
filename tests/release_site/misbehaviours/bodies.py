# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies that are cut, longer than announced, framed badly, coded, or simply wrong."""

import gzip as gzip_format


def truncate(at):
    """The whole Content-Length, but only so many bytes, then a clean close."""

    def behave(exchange):
        reply = exchange.honest()
        exchange.close()
        exchange.head(reply.status, dict(reply.headers, **{"Content-Length": str(len(reply.body))}))
        exchange.body(reply.body[:at])

    return behave


def overlong(extra=b"\0"):
    """The right Content-Length, the whole body, and more bytes behind it, then a clean close."""

    def behave(exchange):
        reply = exchange.honest()
        exchange.close()
        exchange.head(reply.status, dict(reply.headers, **{"Content-Length": str(len(reply.body))}))
        exchange.body(reply.body + extra)

    return behave


def no_length(at=None):
    """No Content-Length: the end of the connection ends the body. With ``at`` it ends too early: nothing shows it."""

    def behave(exchange):
        reply = exchange.honest()
        exchange.close()
        exchange.head(reply.status, reply.headers)
        exchange.body(reply.body[:at])

    return behave


def endless_body():
    """No Content-Length, and zero bytes after the right ones for as long as the client listens."""

    def behave(exchange):
        reply = exchange.honest()
        exchange.close()
        exchange.head(reply.status, reply.headers)
        exchange.body(reply.body)
        while exchange.request.method == "GET" and exchange.wait(0):
            exchange.body(bytes(65536))

    return behave


def chunk():
    """The chunked transfer coding, in order (RFC 9112, 7.1)."""

    def behave(exchange):
        reply = _begin_chunks(exchange)
        exchange.body(reply.body, wrap=_as_chunk)
        _end_chunks(exchange)

    return behave


def chunk_cut(at):
    """Chunked, with a clean close in the middle of a chunk, after so many bytes."""

    def behave(exchange):
        exchange.close()
        reply = _begin_chunks(exchange)
        if exchange.request.method == "GET":
            exchange.raw(b"%x\r\n" % len(reply.body))
        exchange.body(reply.body[:at])

    return behave


def chunk_nonsense(at):
    """Chunked; after so many bytes comes a chunk size that is no number."""

    def behave(exchange):
        exchange.close()
        reply = _begin_chunks(exchange)
        exchange.body(reply.body[:at], wrap=_as_chunk)
        if exchange.request.method == "GET":
            exchange.raw(b"many\r\n")

    return behave


def chunk_with_length(length=1):
    """Chunked and in order, with a Content-Length beside it, which does not count (RFC 9112, 6.3)."""

    def behave(exchange):
        reply = _begin_chunks(exchange, **{"Content-Length": str(length)})
        exchange.body(reply.body, wrap=_as_chunk)
        _end_chunks(exchange)

    return behave


def gzip():
    """The body compressed, Content-Encoding says so; asked for or not."""

    def behave(exchange):
        reply = exchange.honest()
        packed = gzip_format.compress(reply.body, mtime=0)
        exchange.reply(reply._replace(headers=dict(reply.headers, **{"Content-Encoding": "gzip"}), body=packed))

    return behave


def flip(at=-1):
    """One byte of the file is another, at this place of the whole (-1: the last). All headers are as ever."""

    def behave(exchange):
        body = bytearray(exchange.document.body if exchange.document else b"")
        if body:
            body[at] ^= 0xFF
        exchange.reply(exchange.honest(bytes(body) or None))

    return behave


def replace(body):
    """Other bytes in place of the file's, with its headers and validators."""

    def behave(exchange):
        exchange.reply(exchange.honest(body))

    return behave


def _begin_chunks(exchange, **more):
    reply = exchange.honest()
    exchange.head(reply.status, dict(reply.headers, **{"Transfer-Encoding": "chunked"}, **more))
    return reply


def _as_chunk(block):
    return b"%x\r\n%s\r\n" % (len(block), block)


def _end_chunks(exchange):
    if exchange.request.method == "GET":
        exchange.raw(b"0\r\n\r\n")
