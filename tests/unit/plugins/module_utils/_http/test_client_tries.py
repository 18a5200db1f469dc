# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tried again, how often and when: broken connections, statuses that pass, Retry-After."""

import fcntl
import re
import select
import socket
import struct
import termios
import threading
import types

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._http import client, transport_errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._records import ConnectionOptions
from support.system import PATIENCE, listening, wait_until
from support.transfers import BODY, CAP, FAR, NAME, Transfer

pytestmark = pytest.mark.usefixtures("bare_environment")


BROKEN = [
    (
        "truncate",
        (100000,),
        "was cut short: [12]00000 of [0-9]+ bytes came|broke off after [12]00000 bytes: the body ended too early",
    ),
    ("truncate", (0,), "was cut short: 0 of [0-9]+ bytes came|broke off after 0 bytes: the body ended too early"),
    ("chunk_cut", (100000,), "broke off after [0-9]+ bytes: the body ended too early"),
    ("chunk_nonsense", (100000,), "broke off after [0-9]+ bytes: "),
    ("reset", (), r"Connection reset by peer \(ECONNRESET\)"),
    ("reset", (100000,), r"broke off after [0-9]+ bytes: Connection reset by peer \(ECONNRESET\)"),
    ("close_before_reply", (), "RemoteDisconnected: 'Remote end closed connection without response'|ECONNRESET"),
    ("garbage_status", (), "the answer is not HTTP/1.1"),
    ("garbage_status", (b"HTTP/2 200",), "the answer is not HTTP/1.1"),
    ("stall", (100000,), "broke off after [0-9]+ bytes: no answer for %d s" % PATIENCE),
    ("delay", (3600,), ": no answer for %d s" % PATIENCE),
]


@pytest.fixture
def impatient(file_site, monkeypatch):
    """The client's timeout strikes as soon as it has read all that there is while the site makes a pause.

    :returns: list, of the timeouts in seconds that would have struck.
    """
    from release_site.exchange import Exchange

    wait, recv_into = Exchange.wait, socket.socket.recv_into
    pausing, struck = threading.Event(), []

    def pause(exchange, seconds=None):
        sent = exchange._connection
        wait_until(lambda: struct.unpack("i", fcntl.ioctl(sent, termios.TIOCOUTQ, bytes(4))) == (0,))  # it has arrived
        pausing.set()
        return wait(exchange, seconds)

    def receive(sock, *arguments):
        if sock.getsockname()[1] != file_site.server.port:  # the client's end of the connection
            while not select.select([sock], [], [], 0.001)[0]:
                if pausing.is_set():
                    pausing.clear()
                    struck.append(sock.gettimeout())
                    raise socket.timeout("timed out")
        return recv_into(sock, *arguments)

    monkeypatch.setattr(Exchange, "wait", pause)
    monkeypatch.setattr(socket.socket, "recv_into", receive, raising=False)
    return struck


@pytest.mark.parametrize("name, arguments, message", BROKEN)
def test_broken_once(file_site, misbehaviours, impatient, name, arguments, message):
    file_site.misbehave("*", getattr(misbehaviours, name)(*arguments), times=1)
    transfer = Transfer(file_site, retries=4).succeeded()
    assert file_site.counts(NAME).requests == 2 and impatient == [PATIENCE] * (name in ("stall", "delay"))
    expected = r"try 2 of 4 in 0\.0 s: archive from %s.*(%s)" % (re.escape(transfer.url), message)
    assert re.match(expected, transfer.lines[0])
    again = file_site.requests[1]
    if name.startswith("chunk"):  # no size was announced, so no rest can be asked for
        assert again.headers["Range"] is None and transfer.sink.calls.count(("restart",)) <= 1
    else:
        assert ("restart",) not in transfer.sink.calls and transfer.downloaded == 640000
        assert again.headers["Range"] == ("bytes=%d-" % (640000 - again.sent) if again.sent < 640000 else None)


@pytest.mark.parametrize("name, arguments, message", BROKEN)
def test_broken_for_good(file_site, misbehaviours, impatient, name, arguments, message):
    file_site.misbehave("*", getattr(misbehaviours, name)(*arguments))
    file_site.put(NAME, BODY + BODY)  # two tries do not bring it all
    transfer = Transfer(file_site, retries=2, cap=2 * CAP).failed("", retry=True)
    assert re.search(message, str(transfer.error))
    assert transfer.error.hint
    assert file_site.counts(NAME).requests == 2


def test_the_timeout_is_that_of_the_connection(file_site, misbehaviours):
    file_site.misbehave("*", misbehaviours.delay(3600))
    Transfer(file_site, timeout=0.2).failed(": no answer for 0.2 s", retry=True)


def test_bytes_of_failed_tries_are_counted(file_site, misbehaviours):
    def cut_without_etag(exchange):  # nothing can be resumed without one
        reply = exchange.honest()
        reply.headers.pop("ETag")
        exchange.close()
        exchange.head(200, dict(reply.headers, **{"Content-Length": str(len(reply.body))}))
        exchange.body(reply.body[:100000])

    file_site.misbehave("*", cut_without_etag, times=2)
    transfer = Transfer(file_site, retries=3).succeeded()
    assert transfer.downloaded == 2 * 100000 + 640000
    assert transfer.sink.calls.count(("restart",)) == 2
    assert [line[:10] for line in transfer.lines] == ["try 2 of 3", "try 3 of 3", "archive re"]


def test_a_read_is_tried_again_from_the_start(file_site, misbehaviours):
    file_site.misbehave("*", misbehaviours.truncate(100000), times=1)
    with client.Fetcher(10, 2) as fetcher:
        assert fetcher.read("%s/%s" % (file_site.url, NAME), CAP, "x") == BODY


@pytest.mark.parametrize("by", ["http", "https", "proxy", "tunnel"])
def test_a_dead_address_of_a_host_does_not_cost_the_timeout(file_site, secure, monkeypatch, by):
    """With the first address a downloader waits for an hour; the other answers."""
    running, bundle = secure
    tunnelled = by in ("https", "tunnel")
    port = (running if by == "https" else file_site).server.port
    resolved = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments: resolved)
    if by in ("proxy", "tunnel"):
        monkeypatch.setenv("http%s_proxy" % ("s" * tunnelled), "http://proxy.example:%d" % port)
    with listening("127.0.0.2", port, True):
        if by == "tunnel":  # the site answers 405 to CONNECT
            Transfer("https://far.test", timeout=3600).failed("the proxy answers HTTP 405")
        elif by == "proxy":
            Transfer("http://far.test", timeout=3600).succeeded()
        else:
            Transfer("%s://%s:%d" % (by, FAR, port), timeout=3600, access=ConnectionOptions(ca_path=bundle)).succeeded()


def test_a_wait_for_an_answer_is_reported(file_site, monkeypatch):
    shown = threading.Event()

    def behave(exchange):
        assert shown.wait(PATIENCE)
        exchange.reply(exchange.honest())

    lines = []

    def show(line):
        lines.append(line)
        shown.set()

    monkeypatch.setattr(client, "SILENCE", 0.01)
    file_site.misbehave("*", behave)
    Transfer(file_site, show=show).succeeded()
    assert lines == ["waiting for an answer of 127.0.0.1 for archive"]
    shown.clear()
    file_site.behave()
    monkeypatch.setattr(client, "SILENCE", PATIENCE)
    Transfer(file_site, show=show).succeeded()
    assert not shown.is_set()


def test_nobody_listens(file_site):
    file_site.stop()
    transfer = Transfer(file_site, retries=3).failed("Connection refused (ECONNREFUSED)", retry=True)
    assert len(transfer.lines) == 2


def test_a_name_that_is_not_resolved():
    with client.Fetcher(10, 1) as fetcher, pytest.raises(_errors.FetchError) as caught:
        fetcher.read("http://releases.invalid/x", CAP, "SHA256SUMS")
    assert "SHA256SUMS from http://releases.invalid/x: the host name is not resolved: " in str(caught.value)
    assert caught.value.retry


def test_the_failure_of_one_site_is_not_reported_for_the_next(file_site, misbehaviours):
    file_site.misbehave("*", misbehaviours.chunk_cut(100000))
    with client.Fetcher(10, 1) as fetcher:
        try:
            fetcher.read("http://127.0.0.1:9/x", CAP, "x")
        except _errors.FetchError as first:
            assert "ECONNREFUSED" in str(first)
            Transfer(file_site).failed("the body ended too early", retry=True)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 507])
def test_statuses_that_pass(file_site, misbehaviours, status):
    file_site.misbehave("*", misbehaviours.status(status), times=1)
    transfer = Transfer(file_site, retries=2).succeeded()
    assert "archive from %s: HTTP %d " % (transfer.url, status) in transfer.lines[0]
    file_site.misbehave("*", misbehaviours.status(status))
    Transfer(file_site, retries=2).failed("HTTP %d" % status, retry=True, status=status)
    assert file_site.counts(NAME).requests == 4


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 407, 410, 418, 451, 201, 204, 300, 304, 305])
def test_statuses_that_do_not(file_site, misbehaviours, status):
    file_site.misbehave("*", misbehaviours.status(status))
    transfer = Transfer(file_site, retries=4).failed("HTTP %d" % status, status=status)
    assert file_site.counts(NAME).requests == 1
    assert transfer.sink.calls == [] and transfer.lines == []
    assert (transfer.error.hint != _errors.FetchError.way_out) == (status in (401, 403, 404, 407))


def test_backoff_grows_and_is_capped(monkeypatch):
    monkeypatch.setattr(transport_errors, "BACKOFF", 1.0)
    failure = _errors.FetchError("x")
    for attempt, most in ((1, 1), (2, 2), (3, 4), (4, 8), (6, 30), (2000, 30)):
        pauses = [transport_errors.retry_delay(attempt, failure) for dummy in range(200)]
        assert most / 2.0 <= min(pauses) < max(pauses) <= most


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("0", 0),
        ("7", 7),
        ("120", 120),
        ("121", 120),
        ("9" * 1000, 120),
        ("Fri, 31 Dec 2100 23:59:59 GMT", 120),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Friday, 31-Dec-49 23:59:59 GMT", 120),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("\u0661", None),
        ("Fri, 99 Foo 99999 99:99:99 GMT", None),
        ("7\n", None),
        ("1-Jan- 00:00 GMT", None),
    ],
)
def test_retry_after(text, seconds):
    assert transport_errors.error_for_status(503, text, "http://x/", "x").after == seconds


def test_retry_after_a_date(monkeypatch):
    from email.utils import formatdate

    now = 1795444000
    monkeypatch.setattr(transport_errors, "time", types.SimpleNamespace(time=lambda: now))
    assert transport_errors.error_for_status(429, formatdate(now + 100, usegmt=True), "http://x/", "x").after == 100


@pytest.mark.parametrize("date", [False, True])
def test_retry_after_is_honoured_and_capped(file_site, misbehaviours, clock, date):
    file_site.misbehave("*", misbehaviours.retry_later(429, seconds=3600, date=date), times=1)
    transfer = Transfer(file_site, retries=2).succeeded()
    assert transfer.lines[0].startswith("try 2 of 2 in 120.0 s: ")
    assert clock.slept == [120]
