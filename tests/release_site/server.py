# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small threading HTTP/1.1 server on loopback: connections, requests, and a stop that really stops.

It knows no files: it reads requests and has each of them answered.
"""

import contextlib
import http.client
import selectors
import socket
import ssl
import threading
import urllib.parse

from .exchange import Request

_PATIENCE = 60  # seconds for a thread to end
_LINE_LIMIT = 65536  # bytes


class Server:
    """Listens from ``start`` to ``stop``, and may then be started again on the same port.

    ``connections`` is how many were accepted; ``broken`` has the errors (TLS alerts among them) of those that ended
    otherwise than by closing.
    """

    def __init__(self, answer, hosts=("127.0.0.1",), port=0, tls=None):
        """
        :param answer: callable(request, connection): answers, and returns what Exchange calls ``ending``.
        :param hosts: addresses to listen on, all with one port; the first is the one in the URL.
        :param port: int, 0 for any free one.
        :param tls: ssl.SSLContext, or None for plain HTTP.
        """
        self.port = port
        self.connections = 0
        self.broken = []
        self._crashed = []  # names of threads that ended with any other error, which Python has printed
        self._answer = answer
        self._hosts = hosts
        self._tls = tls
        self._accepting = None  # the thread that does
        self._serving = {}  # connection: its thread, until it is seen to have ended
        self._stopping = None  # a pair of sockets; the first is readable when the site stops

    @property
    def url(self):
        host = self._hosts[0]
        return "%s://%s:%d" % ("https" if self._tls else "http", "[%s]" % host if ":" in host else host, self.port)

    def start(self):
        """Bind and listen. OSError when the port is taken."""
        listeners = []
        with contextlib.ExitStack() as undo:
            for host in self._hosts:
                listeners.append(undo.enter_context(_listen(host, self.port)))
                self.port = listeners[0].getsockname()[1]
            undo.pop_all()
        self._stopping = socket.socketpair()
        self._accepting = threading.Thread(target=self._accept, args=(listeners,), daemon=True)
        self._accepting.start()

    def stop(self):
        """Close the port and every connection, and wait until all threads are through.

        RuntimeError when a behaviour does not end, or failed since the start: a test must not pass on that.
        """
        if self._stopping is None:
            return
        reader, writer = self._stopping
        writer.close()
        self._accepting.join(_PATIENCE)
        for connection, thread in self._serving.items():
            with contextlib.suppress(OSError):  # the client was quicker
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            thread.join(_PATIENCE)
            if thread.is_alive():
                raise RuntimeError("a behaviour went on for %d s after the stop of %s" % (_PATIENCE, self.url))
        reader.close()
        self._serving, self._stopping = {}, None
        crashed, self._crashed = self._crashed, []
        if crashed:
            raise RuntimeError("a behaviour failed, see the traceback of %s" % ", ".join(crashed))

    def _accept(self, listeners):
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
            for listener in listeners:
                selector.register(stack.enter_context(listener), selectors.EVENT_READ)
            selector.register(self._stopping[0], selectors.EVENT_READ)
            while True:
                for key, _events in selector.select():
                    if key.fileobj is self._stopping[0]:
                        return
                    self._welcome(key.fileobj.accept()[0])

    def _welcome(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.connections += 1
        thread = threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True)
        thread.start()
        self._serving = {other: busy for other, busy in self._serving.items() if busy.is_alive()}
        self._serving[connection] = thread

    def _serve(self, connection, number):
        crashed = True
        try:
            if self._tls:
                connection.do_handshake()
            ending = "answered"
            with connection.makefile("rb") as reader:
                while ending == "answered":
                    ending = self._converse(connection, reader, number)
            if self._tls and ending == "closed":
                _say_goodbye(connection)
            crashed = False
        except (OSError, http.client.HTTPException) as error:
            self.broken.append(error)
            crashed = False
        finally:
            connection.close()
            if crashed:
                self._crashed.append(threading.current_thread().name)

    def _converse(self, connection, reader, number):
        """Read one request and have it answered.

        :returns: str, what becomes of the connection: ``answered`` when another request may follow.
        """
        request = _read_request(reader, number)
        if request is None:
            return "closed"
        request.outcome = self._answer(request, connection)
        return request.outcome


def _listen(host, port):
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _read_request(reader, number):
    """The Request that comes next, or None at the end; ConnectionError when it is not HTTP."""
    line = reader.readline(_LINE_LIMIT)
    if not line:
        return None
    words = line.decode("latin-1").split()
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise ConnectionError("not a request: %r" % line[:100])
    headers = http.client.parse_headers(reader)
    method, target, version = words
    whole, _mark, query = target.partition("?")
    path = urllib.parse.urlsplit(whole).path if "://" in whole else whole
    persistent = version != "HTTP/1.0" and headers.get("Connection", "").lower() != "close"
    return Request(method, target, urllib.parse.unquote(path), query, headers, persistent, number)


def _say_goodbye(connection):
    """Tell a TLS client that the end is meant (close_notify), and do not wait for its own."""
    connection.setblocking(False)
    with contextlib.suppress(ssl.SSLWantReadError):
        connection.unwrap()
