# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request and the means to answer it, well or badly.

A behaviour is a callable that takes an Exchange and sends what it likes through it. What is counted as sent was handed
to the network; it is counted before it goes, so that a client which has the bytes finds them counted.
"""

import email.utils
import http.client
import selectors
import socket
import struct
from dataclasses import dataclass
from email.message import Message
from typing import Optional

from .replies import honest_reply, make_document

_BLOCK = 64 << 10


@dataclass
class Request:
    """The record of a request: what was asked, and what came of it."""

    method: str
    target: str  # as the client wrote it: a proxy is asked for whole URLs
    path: str  # without host and query, decoded
    query: str
    headers: Message  # names are looked up without regard to case
    persistent: bool  # the client would send another one on this connection
    connection: int  # which connection since the site was made, from 1
    status: Optional[int] = None  # of the answer, once it was sent
    sent: int = 0  # bytes of the body handed to the network
    behaviour: str = "honest"  # name of the behaviour that answered
    outcome: Optional[str] = None  # answered, closed or reset (both by us); None: under way, or broken off


class Exchange:
    """A request under way. ``ending`` says what happens to the connection afterwards."""

    def __init__(self, request, connection, files):
        """
        :param connection: the socket to the client.
        :param files: dict of path (no leading slash) and Document.
        """
        self.request = request
        self.files = files
        self.ending = "answered"
        self._connection = connection

    @property
    def document(self):
        """The Document that was asked for, or None."""
        return self.files.get(self.request.path.lstrip("/"))

    def honest(self, body=None):
        """The right Reply to this request.

        :param body: bytes that take the place of the file's; its validators stay, as if nothing had happened.
        """
        document = self.document
        if body is not None:
            document = (document or make_document(self.request.path, body))._replace(body=body)
        return honest_reply(self.request, document)

    def reply(self, reply):
        """Send a whole Reply, framed as it should be."""
        self.head(reply.status, dict(reply.headers, **{"Content-Length": str(len(reply.body))}))
        self.body(reply.body)

    def head(self, status, headers, repeated=()):
        """Send a status line and headers.

        :param headers: dict.
        :param repeated: pairs of name and value, for a name that is in ``headers`` already.
        """
        self.raw(self.render_head(status, headers, repeated))

    def render_head(self, status, headers, repeated=()):
        """The bytes that ``head`` sends; a connection that the client wants closed is marked so."""
        lines = ["HTTP/1.1 %d %s" % (status, http.client.responses.get(status, ""))]
        pairs = [("Server", "release-site"), ("Date", email.utils.formatdate(usegmt=True))]
        pairs += list(headers.items()) + list(repeated)
        if not self.request.persistent and self.ending == "answered":
            self.close()
        if self.ending != "answered":
            pairs.append(("Connection", "close"))
        lines += ["%s: %s" % pair for pair in pairs]
        self.request.status = status
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def body(self, data, wrap=None):
        """Send bytes of the body: nothing for HEAD.

        :param wrap: callable that makes of a block of the body what goes on the wire (chunked coding).
        """
        if self.request.method == "HEAD":
            return
        view = memoryview(data)
        for start in range(0, len(view), _BLOCK):
            block = view[start : start + _BLOCK]
            self.request.sent += len(block)
            self._connection.sendall(wrap(block) if wrap else block)

    def raw(self, data):
        """Send bytes that are no part of the body."""
        self._connection.sendall(data)

    def wait(self, seconds=None):
        """Pause, for ever if no number is given.

        :returns: True after that time, False at once when the client left or the site stops (which shuts the
            connection down): end the answer then.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            if not selector.select(seconds):
                return True
        self.close()
        return False

    def close(self):
        """The connection is to end after this answer, in good order."""
        self.ending = "closed"

    def reset(self):
        """The connection is to end after this answer with a reset: SO_LINGER of zero (RFC 9293, 3.10.4; socket(7))."""
        self.ending = "reset"
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
