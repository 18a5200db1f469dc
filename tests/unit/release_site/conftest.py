# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that hides nothing: it sends a request over a bare socket and keeps every byte that comes back."""

import http.client
import io
import socket
from typing import NamedTuple

import pytest
from support.system import PATIENCE

ARCHIVE = "/terraform/1.13.4/terraform_1.13.4_linux_amd64.zip"


class Answer(NamedTuple):
    """All that came over the connection until it ended, and how it ended."""

    raw: bytes
    ending: str  # closed, reset, left (the limit was reached)

    @property
    def status(self):
        return int(self.raw.split()[1])

    @property
    def headers(self):
        return http.client.parse_headers(io.BytesIO(self.raw.partition(b"\r\n")[2]))

    @property
    def body(self):
        return self.raw.partition(b"\r\n\r\n")[2]


@pytest.fixture
def path():
    """An archive that ``site`` has."""
    return ARCHIVE


@pytest.fixture
def whole(site):
    """Its bytes."""
    return site.files[ARCHIVE[1:]].body


@pytest.fixture
def pauses(monkeypatch):
    """The pauses of behaviours, which are noted and not made: the client is said to have left in the first one.

    :returns: list of pairs: seconds, or None for ever; bytes of the body sent so far.
    """
    exchange, noted = pytest.importorskip("release_site.exchange"), []

    def wait(self, seconds=None):
        noted.append((seconds, self.request.sent))
        self.close()
        return False

    monkeypatch.setattr(exchange.Exchange, "wait", wait)
    return noted


@pytest.fixture
def ask(site):
    """A callable that asks ``site`` for a path and gives an Answer; by default it wants the connection closed after it.

    ``limit`` is a number of bytes after which it has enough.
    """

    def send(path=ARCHIVE, method="GET", limit=None, connection="close", **headers):
        lines = ["%s %s HTTP/1.1" % (method, path), "Host: demo"]
        lines += ["%s: %s" % (name.replace("_", "-"), value) for name, value in headers.items()]
        if connection:
            lines.append("Connection: " + connection)
        host, port = site.url.split("//")[1].split(":")
        received = b""
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
            client.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
            try:
                while limit is None or len(received) < limit:
                    block = client.recv(65536)
                    if not block:
                        return Answer(received, "closed")
                    received += block
            except ConnectionResetError:
                return Answer(received, "reset")
        return Answer(received, "left")

    return send
