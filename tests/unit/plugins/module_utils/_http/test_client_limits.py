# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not tried again: what is too slow or too large, odd heads, web pages in place of files."""

import errno
import resource
import ssl
import threading
import zlib

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._http import client, transport_errors
from support.system import PATIENCE, as_plain_user
from support.transfers import BODY, NAME, SECRET, Sink, Transfer

pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest.fixture
def ticking(file_site, clock):
    """Each look at the clock takes some seconds, and lets the site send a byte more: callable.

    :param seconds: number.
    :param at: int, so many bytes are sent at full speed before that; None: the site is honest.
    """
    ticks = threading.Semaphore(0)

    def start(seconds, at=None):
        def look():
            ticks.release()
            clock.now += seconds
            return clock.now

        def drip(exchange):
            body = exchange.document.body
            exchange.head(200, {"Content-Length": str(len(body))})
            exchange.body(body[:at])
            for place in range(at, len(body)):
                while not ticks.acquire(blocking=False):
                    if not exchange.wait(0.001):
                        return
                exchange.body(body[place : place + 1])

        clock.monotonic = look
        if at is not None:
            file_site.misbehave("*", drip)

    return start


def test_a_trickle(file_site, ticking):
    ticking(1, at=100)
    transfer = Transfer(file_site, retries=4).failed("trickled: ")
    assert " in 30 s, less than 1024 a second" in str(transfer.error)
    assert file_site.counts(NAME).requests == 1


def test_a_trickle_after_a_good_start(file_site, ticking):
    ticking(1, at=600000)
    transfer = Transfer(file_site, retries=4).failed("trickled: ")
    assert " in 30 s, " in str(transfer.error), "the good start is still counted"


def test_slow_enough_is_good_enough(file_site, misbehaviours, ticking, monkeypatch):
    file_site.misbehave("*", misbehaviours.trickle(0, size=64000))
    monkeypatch.setattr(client, "LOW_SPEED_TIME", 0.015)
    ticking(0.01)  # of 640,000 bytes come 256 KiB at once at most: at least one check
    Transfer(file_site).succeeded()


def test_a_slow_sink_is_not_a_slow_network(file_site, clock):
    class SlowSink(Sink):
        def write(self, block):
            super().write(block)
            if len(self.calls) < 5:
                clock.now += 400

    Transfer(file_site, sink=SlowSink()).succeeded()


def test_the_deadline_ends_a_body(file_site, ticking, monkeypatch):
    monkeypatch.setattr(client, "LOW_SPEED_TIME", 3600)
    ticking(100, at=0)
    Transfer(file_site, retries=4).failed("was not complete after 1800 s: ")
    assert file_site.counts(NAME).requests == 1


FRAMES = {  # what is sent at once, and what is repeated byte by byte after it
    "a size": (b"", b"0"),
    "an extension": (b"10", b";x"),
    "an extension of the last chunk": (b"10\r\n" + bytes(16) + b"\r\n0", b";x"),
    "a trailer": (b"10\r\n" + bytes(16) + b"\r\n0\r\n", b"X-T: x"),
    "trailers": (b"10\r\n" + bytes(16) + b"\r\n0\r\n", b"X: y\r\n"),
}


@pytest.mark.parametrize("frame", sorted(FRAMES))
@pytest.mark.parametrize(
    "seconds, lowest_time, message", [(1, 30, "trickled: "), (100, 3600, "was not complete after 1800 s: ")]
)
def test_what_frames_a_body_is_held_to_the_pace_too(
    file_site, clock, monkeypatch, frame, seconds, lowest_time, message
):
    """http.client reads these lines to their ends. The site sends a byte when the clock was looked at, and no other."""
    ticks, (start, repeated) = threading.Semaphore(0), FRAMES[frame]

    def look():
        ticks.release()
        clock.now += seconds
        return clock.now

    def drip(exchange):
        exchange.close()
        exchange.head(200, {"Transfer-Encoding": "chunked"})
        exchange.raw(start)
        for place in range(60000):  # http.client takes lines of 64 KiB
            while not ticks.acquire(blocking=False):
                if not exchange.wait(0.001):
                    return
            exchange.raw(repeated[place % len(repeated) :][:1])

    clock.monotonic = look
    monkeypatch.setattr(client, "LOW_SPEED_TIME", lowest_time)
    file_site.misbehave("*", drip)
    Transfer(file_site).failed(message)


def gzipped(data):
    """Without the time that gzip.compress() puts there: each worker's cases have to have the same names."""
    compressor = zlib.compressobj(wbits=31)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX-Half-a-he"])
def test_the_deadline_ends_the_wait_for_an_answer(file_site, clock, head):
    """All of it is over when the site has begun to be silent."""
    silent, looks = threading.Event(), []

    def fall_silent(exchange):
        exchange.raw(head)
        silent.set()
        exchange.wait()

    def look():
        looks.append(None)
        if len(looks) == 1:  # when it begins
            return 0
        assert silent.wait(PATIENCE)
        return 1800

    clock.monotonic = look
    file_site.misbehave("*", fall_silent)
    Transfer(file_site, retries=4).failed("was not answered within 1800 s")
    assert file_site.counts(NAME).requests == 1


@pytest.mark.parametrize("deadline, tries", [(119, 1), (230, 2)])
def test_the_deadline_spans_all_tries(file_site, misbehaviours, clock, deadline, tries):
    file_site.misbehave("*", misbehaviours.retry_later(503, seconds=119))
    transfer = Transfer(file_site, retries=4, deadline=deadline).failed("HTTP 503", retry=True, status=503)
    assert file_site.counts(NAME).requests == tries and clock.slept == [119] * (tries - 1)
    assert len(transfer.lines) == tries - 1


def test_no_thread_to_be_had_names_the_limit(file_site):
    Transfer(file_site).succeeded()  # and with it all modules are loaded, which the user may not be able to read

    def attempt():
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        error = Transfer(file_site, retries=4).error
        return str(error), error.errno, error.hint, error.retry, error.next_site, error.url

    message, number, hint, *ways_on, url = as_plain_user(attempt)
    assert (
        "archive from %s: no thread is to be had for the request (ulimit -u 1" % url in message
        and SECRET not in message
    )
    assert number == errno.EAGAIN and "--pids-limit" in hint and ways_on == [False, False]


def test_endless_headers(file_site, misbehaviours):
    file_site.misbehave("*", misbehaviours.endless_headers())
    assert "got more than 100 headers" in str(Transfer(file_site).error)
    file_site.behave()
    file_site.misbehave("*", misbehaviours.long_header())
    assert "LineTooLong" in str(Transfer(file_site).error)


def test_an_announced_size_above_the_cap(file_site):
    transfer = Transfer(file_site, retries=4, cap=639999).failed("announces 640000 bytes: at most 639999 are accepted")
    assert transfer.sink.calls == [] and transfer.downloaded == 0
    assert file_site.counts(NAME).requests == 1
    Transfer(file_site, cap=640000).succeeded()


@pytest.mark.parametrize("name", ["chunk", "no_length", "endless_body"])
def test_a_size_above_the_cap_that_was_not_announced(file_site, misbehaviours, name):
    file_site.misbehave("*", getattr(misbehaviours, name)())
    transfer = Transfer(file_site, retries=4, cap=639999).failed(
        "goes on after 639999 bytes: at most 639999 are accepted"
    )
    assert len(transfer.sink.data) <= 639999
    assert file_site.counts(NAME).requests == 1
    if name != "endless_body":
        Transfer(file_site, cap=640000).succeeded()


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("gzip", (), "was compressed on the way (Content-Encoding gzip)"),
        ("announce", ("many",), "came with a Content-Length that is no number"),
        ("announce", ("-1",), "came with a Content-Length that is no number"),
        ("announce", ("0x10",), "came with a Content-Length that is no number"),
        ("announce", ("9" * 30,), "came with a Content-Length that is no number"),
    ],
)
def test_heads_that_are_refused(file_site, misbehaviours, name, arguments, message):
    file_site.misbehave("*", getattr(misbehaviours, name)(*arguments))
    transfer = Transfer(file_site, retries=4).failed(message)
    assert transfer.sink.calls == []
    assert file_site.counts(NAME).requests == 1 and (name != "gzip" or "send this file as it is" in transfer.error.hint)


def test_two_lengths_are_refused(file_site, misbehaviours):
    file_site.misbehave("*", misbehaviours.two_lengths())
    transfer = Transfer(file_site)
    assert transfer.received is None and transfer.sink.calls == []


# how the files of a site begin
FILES = (
    b"PK\3\4 a zip",
    b"\x89\x02\x33 a signature",
    b"-----BEGIN PGP SIGNATURE-----",
    b"0" * 64 + b"  a.zip\n",
    b'\r\n{"name": 1}',
)


@pytest.mark.parametrize(
    "label", ["Identity", "gzip", "br", "zstd", "aws-chunked", "aws-chunked,gzip", "utf-8", "UTF-8, x", ""]
)
@pytest.mark.parametrize("body", FILES)
def test_a_label_on_bytes_as_they_are_means_nothing(file_site, misbehaviours, label, body):
    headers = {"Content-Encoding": label, "Content-Type": "text/html"}
    file_site.misbehave("*", misbehaviours.status(200, headers, body))
    transfer = Transfer(file_site)
    assert transfer.received and bytes(transfer.sink.data) == body and read(file_site) == body


def test_a_label_that_http_does_not_know_means_nothing(file_site, misbehaviours):
    file_site.misbehave("*", misbehaviours.status(200, {"Content-Encoding": "aws-chunked"}, BODY))
    Transfer(file_site).succeeded()


def test_a_file_that_comes_byte_by_byte_is_known_all_the_same(file_site, misbehaviours):
    file_site.put(NAME, FILES[3])

    def drip(exchange):
        exchange.head(200, {"Content-Encoding": "gzip", "Content-Type": "text/html"})
        exchange.close()
        for place in range(len(FILES[3])):
            exchange.body(FILES[3][place : place + 1])

    file_site.misbehave("*", drip)
    assert read(file_site) == FILES[3]


def read(site, cap=1000):
    with client.Fetcher(10, 1) as fetcher:
        return fetcher.read("%s/%s?token=%s" % (site.url, NAME, SECRET), cap, "index")


@pytest.mark.parametrize(
    "label, pack",
    [
        ("gzip", gzipped),
        ("X-GZIP", gzipped),
        ("deflate", zlib.compress),
        ("aws-chunked, gzip", gzipped),
        ("gzip", lambda data: gzipped(data[:2]) + gzipped(data[2:])),
    ],
)
def test_a_document_that_was_compressed_on_the_way_is_decoded(file_site, misbehaviours, label, pack):
    document = b'["an index"]' * 80
    file_site.misbehave("*", misbehaviours.status(200, {"Content-Encoding": label}, pack(document)))
    assert read(file_site) == document
    with pytest.raises(_errors.FetchError) as caught:
        read(file_site, len(document) - 1)
    assert "goes on after 959 bytes, uncompressed: at most 959 are accepted" in str(caught.value)


@pytest.mark.parametrize(
    "label, body, message",
    [
        (
            "gzip",
            gzipped(b"x" * 90)[:-9],
            "came with Content-Encoding gzip and cannot be decoded ('it ends too early')",
        ),
        (
            "deflate",
            zlib.compress(b"") * 101,
            "came with Content-Encoding deflate and cannot be decoded ('it has more than 100 members')",
        ),
        ("gzip", b"neither nor", "came with Content-Encoding gzip and cannot be decoded ("),
        ("br", b"\x1b\x00 brotli", "was compressed on the way (Content-Encoding br)"),
        ("gzip, br", gzipped(b"x"), "was compressed on the way (Content-Encoding gzip, br)"),
        ("gzip", gzipped(b"<!DOCTYPE html>"), "is a web page: "),
    ],
)
def test_a_document_that_cannot_be_decoded(file_site, misbehaviours, label, body, message):
    file_site.misbehave("*", misbehaviours.status(200, {"Content-Encoding": label}, body))
    with pytest.raises(_errors.FetchError) as caught:
        read(file_site)
    assert message in str(caught.value) and SECRET not in str(caught.value) and caught.value.hint


def test_an_answer_before_the_answer_is_not_understood(file_site, misbehaviours):
    file_site.misbehave("*", misbehaviours.early_hints())  # http.client skips 100 alone; nobody sends 103 unasked
    Transfer(file_site, retries=4).failed("HTTP 103", status=103)


def test_a_captive_portal(file_site, misbehaviours):
    file_site.misbehave("*", misbehaviours.html_200())
    message = "is a web page: HTTP 200, Content-Type text/html, "
    transfer = Transfer(file_site, retries=4).failed(message, status=200)
    assert "Content-Type text/html, beginning with <!DOCTYPE html" in str(transfer.error)
    assert "login page" in transfer.error.hint
    assert transfer.sink.calls == [] and file_site.counts(NAME).requests == 1


EVIL = "all-is-well"
HEAD = "HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        EVIL,
        "HTTP/1.1 %s\r\n\r\n" % EVIL,
        "HTTP/%s 200 OK\r\n\r\n" % EVIL,
        "HTTP/1.1 500 %s\r\n\r\n" % EVIL,
        HEAD + "Content-Length: %s\r\n\r\n" % EVIL,
        HEAD + "Content-Type: text/html; %s\r\n\r\n<p>x" % EVIL,
        HEAD + "Content-Type: text/%s\r\n\r\n<p>x" % EVIL.upper().replace("-", "_"),
        HEAD + "Content-Type: %s\r\n\r\n<html>" % EVIL,
        HEAD + "\r\n<%s>" % EVIL,
        HEAD + "\r\n<p>%s" % EVIL,
        HEAD + "Content-Encoding: %s\r\n\r\n<html>" % EVIL,
        HEAD + "Transfer-Encoding: chunked\r\n\r\n%s\r\n" % EVIL,
        HEAD + "Transfer-Encoding: chunked\r\n\r\n5;%s\r\n<html\r\n" % EVIL,
        HEAD + "X-%s: %s\r\n" % (EVIL, EVIL) * 120 + "\r\n",
        HEAD + "Content-Length: 5\r\nContent-Length: %s\r\n\r\n<html" % EVIL,
        "SSH-2.0-%s\r\n" % EVIL,
        "220 %s\r\n" % EVIL,
        "HTTP/1.1 302 Found\r\nLocation: ftp:%s\r\n\r\n" % EVIL,
        "HTTP/1.1 429 x\r\nRetry-After: %s\r\n\r\n" % EVIL,
        HEAD + 'Content-Length: 9\r\nETag: "%s"\r\n\r\n<' % EVIL,
    ],
)
def test_a_site_puts_no_words_of_its_own_on_the_screen(file_site, answer):
    def send(exchange):
        exchange.close()
        exchange.raw(answer.encode("latin-1"))

    file_site.misbehave("*", send)
    error = Transfer(file_site, retries=1).error
    reported = "%s %s" % (error, error.hint)
    assert EVIL.rsplit("-", maxsplit=1)[-1] not in reported.lower().replace(" redirected to ftp:" + EVIL, ""), reported


@pytest.mark.parametrize(
    "kind, body",
    [
        ("application/zip", b"<html>"),
        ("text/plain", b" \r\n<!doctype html>"),
        ("text/plain", b"\xef\xbb\xbf<?xml version='1.0'?>"),
        ("Text/HTML", b"nothing to see"),
        ("application/xhtml+xml", b"x"),
        ("text/html;charset=x", b"P\3\4"),
    ],
)
def test_what_a_web_page_is(file_site, misbehaviours, kind, body):
    file_site.misbehave("*", misbehaviours.status(200, {"Content-Type": kind}, body))
    assert Transfer(file_site).failed("is a web page", status=200).sink.calls == []


def test_a_portal_behind_a_redirect_is_named(file_site, misbehaviours):
    place = file_site.url.replace("127.0.0.1", "localhost") + "/login"
    file_site.misbehave(NAME, misbehaviours.redirect(place + "?back=" + SECRET))
    file_site.misbehave("login", misbehaviours.html_200())
    Transfer(file_site).failed("is a web page", status=200, place=place)


@pytest.mark.parametrize(
    "behaviour, arguments",
    [
        ("status", (426, {"Upgrade": "h2c"})),
        ("status", (505,)),
        ("garbage_status", (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",)),
        ("garbage_status", (b"HTTP/2 200 OK",)),
        ("garbage_status", (b"SSH-2.0-OpenSSH_9.2",)),
    ],
)
def test_what_does_not_speak_http_1_is_named(file_site, misbehaviours, behaviour, arguments):
    file_site.misbehave("*", getattr(misbehaviours, behaviour)(*arguments))
    error = Transfer(file_site).error
    assert "does not speak HTTP/1.1" in error.hint and "BadStatusLine" not in str(error)


def test_tls_that_agrees_on_http_2_alone():
    failure = ssl.SSLError(1, "[SSL: TLSV1_ALERT_NO_APPLICATION_PROTOCOL] tlsv1 alert no application protocol")
    failure.reason = "TLSV1_ALERT_NO_APPLICATION_PROTOCOL"
    assert "does not speak HTTP/1.1" in transport_errors.describe_transport_error(failure, 1)[2]
