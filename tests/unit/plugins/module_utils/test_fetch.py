# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from a real server that misbehaves, over real sockets; and from local files."""

import contextlib
import errno
import hashlib
import os
import re
import select
import socket
import socketserver
import subprocess
import sys
import threading
import time
from urllib.parse import quote

import pytest

from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors, _faults, _fetch, _urls

NAME = "some/file.bin"
BODY = bytes(bytearray(range(256))) * 2500      # 640,000 bytes: several reads
SHA256 = hashlib.sha256(BODY).hexdigest()
SECRET = "s3cret-in-the-query"
CAP = 1 << 20


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    """No proxy and no trust store of this machine decides; and retries do not wait long."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(_faults, "BACKOFF", 0.01)


@pytest.fixture
def served(site):
    """The site with one file."""
    site.put(NAME, BODY)
    return site


@pytest.fixture
def misbehaviours(served):
    from release_site import misbehaviours
    return misbehaviours


class Sink:
    """Keeps what it is given, and the order of the calls."""

    def __init__(self, failure=None, at=None):
        self.calls = []
        self.data = bytearray()
        self.failure = failure
        self.at = at

    def _called(self, name, *arguments):
        self.calls.append((name,) + arguments)
        if name == self.at:
            raise self.failure

    def reserve(self, size):
        self._called("reserve", size)

    def write(self, block):
        self._called("write")
        self.data += block

    def restart(self):
        self._called("restart")
        del self.data[:]


class Transfer:
    """A download of ``served``'s file, with all that was said meanwhile."""

    def __init__(self, site, retries=1, timeout=10, cap=CAP, sink=None, query="?token=" + SECRET, path=NAME, **how):
        self.url = "%s/%s" % (site if isinstance(site, str) else site.url, path)
        self.lines = []
        self.sink = sink or Sink()
        self.error = self.received = None
        with _fetch.Fetcher(timeout, retries, self._say, **how) as fetcher:
            try:
                self.received = fetcher.download(self.url + query, self.sink, cap, "archive")
            except _errors.FetchError as error:
                self.error = error
            self.downloaded = fetcher.downloaded

    def _say(self, line, warning=False):
        assert line.isprintable() and SECRET not in line
        self.lines.append(line)

    def succeeded(self):
        assert self.error is None
        assert self.received == _fetch.Received(len(BODY), SHA256)
        assert bytes(self.sink.data) == BODY
        assert self.lines[-1] == "archive received: 640000 bytes, sha256 %s, from %s" % (SHA256, self.url)
        return self

    def failed(self, message, retry=False, status=None, place=None):
        assert self.received is None
        error, place = self.error, place or self.url
        assert message in str(error)
        assert place in str(error)
        assert (error.retry, error.next_site, error.status, error.url) == (retry, True, status, place)
        assert str(error).isprintable() and len(str(error)) < 400
        assert SECRET not in str(error)
        return self


def paths(site):
    return [request.path for request in site.requests]


# What works.

def test_download(served):
    transfer = Transfer(served).succeeded()
    assert transfer.sink.calls[0] == ("reserve", 640000)
    assert set(transfer.sink.calls[1:]) == {("write",)} and len(transfer.sink.calls) > 2
    assert len(transfer.lines) == 1
    assert transfer.downloaded == 640000
    (request,) = served.requests
    assert request.headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in request.headers
    assert request.query == "token=" + SECRET


def test_read(served):
    lines = []
    with _fetch.Fetcher(10, 1, lambda line, warning=False: lines.append(line)) as fetcher:
        url = "%s/%s" % (served.url, NAME)
        assert fetcher.read(url, CAP, "SHA256SUMS") == BODY
        assert fetcher.read(url, CAP, "signature") == BODY
        assert fetcher.downloaded == 2 * 640000
    assert lines == ["%s received: 640000 bytes from %s" % (what, url) for what in ("SHA256SUMS", "signature")]


def test_a_fetcher_may_be_silent_and_used_again(served):
    fetcher = _fetch.Fetcher(10, 1)
    for dummy in range(2):
        with fetcher:
            assert fetcher.read("%s/%s" % (served.url, NAME), CAP, "x") == BODY
        assert not fetcher._connections


@pytest.mark.parametrize("name, arguments", [
    ("chunk", ()), ("chunk_with_length", ()), ("no_length", ()), ("overlong", ()), ("overlong", (300000 * b"x",)),
    ("delay", (0.2,)),
    ("trickle", (0.001, 20000)), ("slow_head", (0.001,)), ("no_etag", ()),
])
def test_unusual_but_right(served, misbehaviours, name, arguments):
    served.misbehave("*", getattr(misbehaviours, name)(*arguments))
    transfer = Transfer(served).succeeded()
    announced = ("reserve", 640000) in transfer.sink.calls
    assert announced == (name not in ("chunk", "chunk_with_length", "no_length"))


def test_an_empty_file(served):
    served.put(NAME, b"")
    transfer = Transfer(served)
    assert transfer.received == _fetch.Received(0, hashlib.sha256(b"").hexdigest())


def test_ipv6(signing_key):
    from release_site import Site
    try:
        running = Site(key=signing_key, hosts=("::1",))
        running.put(NAME, BODY)
        running.start()
    except OSError as exc:
        pytest.skip("no IPv6 here: %s" % exc)
    try:
        assert "[::1]" in Transfer(running).succeeded().url
    finally:
        running.stop()


# What is tried again.

BROKEN = [
    ("truncate", (100000,),
     "was cut short: 100000 of 640000 bytes came|broke off after 100000 bytes: the body ended too early"),
    ("truncate", (0,), "was cut short: 0 of 640000 bytes came|broke off after 0 bytes: the body ended too early"),
    ("chunk_cut", (100000,), "broke off after [0-9]+ bytes: the body ended too early"),
    ("chunk_nonsense", (100000,), "broke off after [0-9]+ bytes: "),
    ("reset", (), r"Connection reset by peer \(ECONNRESET\)"),
    ("reset", (100000,), r"broke off after [0-9]+ bytes: Connection reset by peer \(ECONNRESET\)"),
    ("close_before_reply", (), "RemoteDisconnected: 'Remote end closed connection without response'|ECONNRESET"),
    ("garbage_status", (), "BadStatusLine"),
    ("stall", (100000,), "broke off after [0-9]+ bytes: no answer for 1 s"),
    ("delay", (60,), ": no answer for 1 s"),
]


@pytest.mark.parametrize("name, arguments, message", BROKEN)
def test_broken_once(served, misbehaviours, name, arguments, message):
    served.misbehave("*", getattr(misbehaviours, name)(*arguments), times=1)
    transfer = Transfer(served, retries=4, timeout=1).succeeded()
    assert served.counts(NAME).requests == 2
    assert len(transfer.lines) == 2
    expected = r"try 2 of 4 in 0\.0 s: archive from %s.*(%s)" % (re.escape(transfer.url), message)
    assert re.match(expected, transfer.lines[0])
    assert transfer.sink.calls.count(("restart",)) == 1
    assert transfer.downloaded >= 640000


@pytest.mark.parametrize("name, arguments, message", BROKEN)
def test_broken_for_good(served, misbehaviours, name, arguments, message):
    served.misbehave("*", getattr(misbehaviours, name)(*arguments))
    transfer = Transfer(served, retries=2, timeout=1).failed("", retry=True)
    assert re.search(message, str(transfer.error))
    assert transfer.error.hint
    assert served.counts(NAME).requests == 2


def test_bytes_of_failed_tries_are_counted(served, misbehaviours):
    served.misbehave("*", misbehaviours.truncate(100000), times=2)
    transfer = Transfer(served, retries=3).succeeded()
    assert transfer.downloaded == 2 * 100000 + 640000
    assert transfer.sink.calls.count(("restart",)) == 2
    assert [line[:10] for line in transfer.lines] == ["try 2 of 3", "try 3 of 3", "archive re"]


def test_a_read_is_tried_again_from_the_start(served, misbehaviours):
    served.misbehave("*", misbehaviours.truncate(100000), times=1)
    with _fetch.Fetcher(10, 2) as fetcher:
        assert fetcher.read("%s/%s" % (served.url, NAME), CAP, "x") == BODY


def test_nobody_listens(served):
    served.stop()
    transfer = Transfer(served, retries=3).failed("Connection refused (ECONNREFUSED)", retry=True)
    assert len(transfer.lines) == 2


def test_a_name_that_is_not_resolved():
    with _fetch.Fetcher(10, 1) as fetcher, pytest.raises(_errors.FetchError) as caught:
        fetcher.read("http://releases.invalid/x", CAP, "SHA256SUMS")
    assert "SHA256SUMS from http://releases.invalid/x: the host name is not resolved: " in str(caught.value)
    assert caught.value.retry


def test_the_failure_of_one_site_is_not_told_of_the_next(served, misbehaviours):
    served.misbehave("*", misbehaviours.chunk_cut(100000))
    with _fetch.Fetcher(10, 1) as fetcher:
        try:
            fetcher.read("http://127.0.0.1:9/x", CAP, "x")
        except _errors.FetchError as first:
            assert "ECONNREFUSED" in str(first)
            Transfer(served).failed("the body ended too early", retry=True)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 507])
def test_statuses_that_pass(served, misbehaviours, status):
    served.misbehave("*", misbehaviours.status(status), times=1)
    transfer = Transfer(served, retries=2).succeeded()
    assert "archive from %s: HTTP %d " % (transfer.url, status) in transfer.lines[0]
    served.misbehave("*", misbehaviours.status(status))
    Transfer(served, retries=2).failed("HTTP %d" % status, retry=True, status=status)
    assert served.counts(NAME).requests == 4


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 407, 410, 418, 451, 201, 204, 300, 304, 305])
def test_statuses_that_do_not(served, misbehaviours, status):
    served.misbehave("*", misbehaviours.status(status))
    transfer = Transfer(served, retries=4).failed("HTTP %d" % status, status=status)
    assert served.counts(NAME).requests == 1
    assert transfer.sink.calls == [] and transfer.lines == []
    assert bool(transfer.error.hint) == (status in (401, 403, 404, 407))


def test_a_part_is_not_the_whole(served, misbehaviours):
    served.misbehave("*", misbehaviours.range_unasked())
    Transfer(served, retries=2).failed("HTTP 206 Partial Content", status=206)


def test_backoff_grows_and_is_capped(monkeypatch):
    monkeypatch.setattr(_faults, "BACKOFF", 1.0)
    failure = _errors.FetchError("x")
    for attempt, most in ((1, 1), (2, 2), (3, 4), (4, 8), (6, 30), (2000, 30)):
        pauses = [_faults.choose_pause(attempt, failure) for dummy in range(200)]
        assert most / 2.0 <= min(pauses) < max(pauses) <= most


@pytest.mark.parametrize("text, seconds", [
    ("0", 0), ("7", 7), ("120", 120), ("121", 120), ("9" * 1000, 120), ("Fri, 31 Dec 2100 23:59:59 GMT", 120),
    ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("Friday, 31-Dec-49 23:59:59 GMT", 120),
    ("Fri, 31 Dec 99999 23:59:59 GMT", None), ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", None),
    ("", None), ("soon", None), ("-1", None), ("1.5", None), (u"\u0661", None),
    ("Fri, 99 Foo 99999 99:99:99 GMT", None), ("7\n", None),
])
def test_retry_after(text, seconds):
    assert _faults.refuse_status(503, text, "http://x/", "x").after == seconds


def test_retry_after_a_date():
    from email.utils import formatdate
    asked = _faults.refuse_status(429, formatdate(time.time() + 100, usegmt=True), "http://x/", "x").after
    assert 50 < asked <= 100


@pytest.mark.parametrize("date", [False, True])
def test_retry_after_is_honoured_and_capped(served, misbehaviours, monkeypatch, date):
    monkeypatch.setattr(_faults, "RETRY_AFTER_CAP", 0.2)
    served.misbehave("*", misbehaviours.retry_later(429, seconds=3600, date=date), times=1)
    began = time.monotonic()
    transfer = Transfer(served, retries=2).succeeded()
    assert transfer.lines[0].startswith("try 2 of 2 in 0.2 s: ")
    assert time.monotonic() - began >= 0.2


# What is not tried again.

def test_a_trickle(served, misbehaviours, monkeypatch):
    monkeypatch.setattr(_fetch, "LOW_SPEED_TIME", 0.5)
    served.misbehave("*", misbehaviours.trickle(0.02, at=100))
    transfer = Transfer(served, retries=4).failed("trickled: ")
    assert "less than 1024 a second" in str(transfer.error)
    assert served.counts(NAME).requests == 1


def test_a_trickle_after_a_good_start(served, misbehaviours, monkeypatch):
    monkeypatch.setattr(_fetch, "LOW_SPEED_TIME", 0.5)
    served.misbehave("*", misbehaviours.trickle(0.02, at=600000))
    Transfer(served, retries=4).failed("trickled: ")


def test_slow_enough_is_good_enough(served, misbehaviours, monkeypatch):
    monkeypatch.setattr(_fetch, "LOW_SPEED_TIME", 0.2)
    served.misbehave("*", misbehaviours.trickle(0.05, size=64000))
    Transfer(served).succeeded()


def test_a_slow_sink_is_not_a_slow_network(served, monkeypatch):
    class SlowSink(Sink):
        def write(self, block):
            super().write(block)
            if len(self.calls) < 5:
                time.sleep(1.1)

    monkeypatch.setattr(_fetch, "LOW_SPEED_TIME", 1)
    monkeypatch.setattr(_fetch, "LOW_SPEED", 1 << 40)
    Transfer(served, sink=SlowSink()).succeeded()


def test_the_deadline_ends_a_body(served, misbehaviours):
    served.misbehave("*", misbehaviours.trickle(0.02, size=100))
    Transfer(served, retries=4, deadline=0.5).failed("was not complete after 0.5 s: ")
    assert served.counts(NAME).requests == 1


@pytest.mark.parametrize("name, arguments", [("slow_head", (0.1,)), ("delay", (60,))])
def test_the_deadline_ends_the_wait_for_an_answer(served, misbehaviours, name, arguments):
    served.misbehave("*", getattr(misbehaviours, name)(*arguments))
    Transfer(served, retries=4, deadline=0.5).failed("was not answered within 0.5 s")
    assert served.counts(NAME).requests == 1


def test_the_deadline_spans_all_tries(served, misbehaviours):
    served.misbehave("*", misbehaviours.retry_later(503, seconds=60))
    transfer = Transfer(served, retries=4, deadline=5).failed("HTTP 503", retry=True, status=503)
    assert served.counts(NAME).requests == 1 and transfer.lines == []


def test_endless_headers(served, misbehaviours):
    served.misbehave("*", misbehaviours.endless_headers())
    assert "got more than 100 headers" in str(Transfer(served).error)
    served.behave()
    served.misbehave("*", misbehaviours.long_header())
    assert "LineTooLong" in str(Transfer(served).error)


def test_an_announced_size_above_the_cap(served):
    transfer = Transfer(served, retries=4, cap=639999).failed("announces 640000 bytes: at most 639999 are accepted")
    assert transfer.sink.calls == [] and transfer.downloaded == 0
    assert served.counts(NAME).requests == 1
    Transfer(served, cap=640000).succeeded()


@pytest.mark.parametrize("name", ["chunk", "no_length", "endless_body"])
def test_a_size_above_the_cap_that_was_not_announced(served, misbehaviours, name):
    served.misbehave("*", getattr(misbehaviours, name)())
    transfer = Transfer(served, retries=4, cap=639999).failed("goes on after 639999 bytes: at most 639999 are accepted")
    assert len(transfer.sink.data) <= 639999
    assert served.counts(NAME).requests == 1
    if name != "endless_body":
        Transfer(served, cap=640000).succeeded()


@pytest.mark.parametrize("name, arguments, message", [
    ("gzip", (), "came with Content-Encoding 'gzip'"),
    ("announce", ("many",), "came with Content-Length 'many'"),
    ("announce", ("-1",), "came with Content-Length '-1'"),
    ("announce", ("0x10",), "came with Content-Length '0x10'"),
    ("announce", ("9" * 30,), "came with Content-Length '999"),
])
def test_heads_that_are_refused(served, misbehaviours, name, arguments, message):
    served.misbehave("*", getattr(misbehaviours, name)(*arguments))
    transfer = Transfer(served, retries=4).failed(message)
    assert transfer.sink.calls == []
    assert served.counts(NAME).requests == 1


def test_two_lengths_are_refused(served, misbehaviours):
    served.misbehave("*", misbehaviours.two_lengths())
    transfer = Transfer(served)
    assert transfer.received is None and transfer.sink.calls == []


def test_identity_is_no_encoding(served, misbehaviours):
    served.misbehave("*", misbehaviours.status(200, {"Content-Encoding": "Identity"}, BODY))
    Transfer(served).succeeded()


def test_an_answer_before_the_answer_is_not_understood(served, misbehaviours):
    served.misbehave("*", misbehaviours.early_hints())      # http.client skips 100 alone; nobody sends 103 unasked
    Transfer(served, retries=4).failed("HTTP 103", status=103)


# Web pages.

def test_a_captive_portal(served, misbehaviours):
    served.misbehave("*", misbehaviours.html_200())
    message = "is a web page: HTTP 200, Content-Type 'text/html; charset=utf-8', "
    transfer = Transfer(served, retries=4).failed(message, status=200)
    assert r"beginning with '<!DOCTYPE html>\n<html>" in str(transfer.error)
    assert "login page" in transfer.error.hint
    assert transfer.sink.calls == [] and served.counts(NAME).requests == 1


@pytest.mark.parametrize("kind, body", [
    ("application/zip", b"<html>"), ("text/plain", b" \r\n<!doctype html>"),
    ("text/plain", b"\xef\xbb\xbf<?xml version='1.0'?>"),
    ("Text/HTML", b"nothing to see"), ("application/xhtml+xml", b"x"), ("text/html;charset=x", b"PK\3\4"),
])
def test_what_a_web_page_is(served, misbehaviours, kind, body):
    served.misbehave("*", misbehaviours.status(200, {"Content-Type": kind}, body))
    assert Transfer(served).failed("is a web page", status=200).sink.calls == []


def test_a_portal_behind_a_redirect_is_named(served, misbehaviours):
    place = served.url.replace("127.0.0.1", "localhost") + "/login"
    served.misbehave(NAME, misbehaviours.redirect(place + "?back=" + SECRET))
    served.misbehave("login", misbehaviours.html_200())
    Transfer(served).failed("is a web page", status=200, place=place)


# Redirects.

@pytest.mark.parametrize("location, status", [
    ("/other", 301), ("other", 302), ("{host}/other?x=1#y", 303), ("//{name}/other", 307), ("../other", 308),
])
def test_redirects_are_followed(served, misbehaviours, location, status):
    served.put("other", BODY)
    served.put("some/other", BODY)
    location = location.replace("{host}", served.url).replace("{name}", served.url.partition("//")[2])
    served.misbehave(NAME, misbehaviours.redirect(location, status))
    Transfer(served).succeeded()
    assert len(served.requests) == 2 and paths(served)[1].endswith("other")


def test_five_redirects_and_no_more(served, misbehaviours):
    served.misbehave("*", misbehaviours.redirect_chain(5))
    Transfer(served).succeeded()
    assert len(served.requests) == 6
    served.behave()
    served.misbehave("*", misbehaviours.redirect_chain(6))
    transfer = Transfer(served, retries=4)
    assert transfer.error.retry is False
    assert "archive is redirected more than 5 times, the last time to %s" % transfer.url in str(transfer.error)
    assert len(served.requests) == 12


def test_the_body_of_a_redirect_is_not_read(served):
    def endless(exchange):
        exchange.close()
        exchange.head(302, {"Location": "/other"})
        while exchange.wait(0):
            exchange.body(bytes(65536))

    served.put("other", BODY)
    served.misbehave(NAME, endless)
    Transfer(served, deadline=20).succeeded()


def test_a_redirect_loop(served, misbehaviours):
    served.misbehave("*", misbehaviours.redirect_loop())
    assert "redirected more than 5 times" in str(Transfer(served).error)


@pytest.mark.parametrize("location", [
    "file:///etc/passwd", "file://localhost/etc/passwd", "ftp://example.com/x", "gopher://x/", "data:,x",
    "javascript:x",
    "http://user:%s@127.0.0.1/x" % SECRET, "http://user@127.0.0.1/x", "http://[::1/x", "http://127.0.0.1:99999/x",
    "http://127.0.0.1:x/",
])
def test_redirects_that_are_not_followed(served, misbehaviours, location):
    served.misbehave(NAME, misbehaviours.redirect(location))
    Transfer(served, retries=4).failed("which is not followed: only http(s) without user and password is")
    assert len(served.requests) == 1


def test_a_redirect_without_a_place(served, misbehaviours):
    served.misbehave(NAME, misbehaviours.redirect(None))
    Transfer(served, retries=4).failed("HTTP 302 Found", status=302)


def test_a_redirect_to_something_missing_shows_no_secret(served, misbehaviours):
    served.misbehave(NAME, misbehaviours.redirect("/gone?signature=%s#%s" % (SECRET, SECRET)))
    Transfer(served).failed("HTTP 404", status=404, place=served.url + "/gone")


# TLS.

@pytest.fixture
def secure(signing_key, tmp_path):
    """A site that speaks TLS, and the file with its authority."""
    from release_site import Site
    with Site(key=signing_key, tls=True) as running:
        running.put(NAME, BODY)
        bundle = tmp_path / "ca.pem"
        bundle.write_text(running.ca_pem)
        yield running, str(bundle)


def trust(monkeypatch, tmp_path, bundle, way):
    """Have the authority trusted: by a variable, by the system's store, or by certifi."""
    if way == "system":
        asked = subprocess.run(
            ["openssl", "x509", "-noout", "-subject_hash", "-in", bundle], stdout=subprocess.PIPE, check=True)
        store = tmp_path / "store"
        store.mkdir()
        os.symlink(bundle, str(store / (asked.stdout.decode().strip() + ".0")))
        monkeypatch.setenv("SSL_CERT_DIR", str(store))
    elif way == "certifi":
        monkeypatch.setattr(pytest.importorskip("requests").certs, "where", lambda: bundle)
    else:
        monkeypatch.setenv(way, bundle)


@pytest.mark.parametrize("way", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "system", "certifi"])
def test_a_trusted_authority(secure, monkeypatch, tmp_path, way):
    running, bundle = secure
    trust(monkeypatch, tmp_path, bundle, way)
    Transfer(running).succeeded()


def test_an_unknown_authority(secure):
    running, dummy = secure
    transfer = Transfer(running, retries=4).failed("TLS: ")
    assert re.search("self.signed|unable to get|CERTIFICATE_VERIFY_FAILED", str(transfer.error))
    assert "trust store" in transfer.error.hint
    assert running.server.connections == 1


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_bundle_takes_the_place_of_the_other_stores(secure, monkeypatch, tmp_path, variable):
    running, bundle = secure
    trust(monkeypatch, tmp_path, bundle, "certifi")
    trust(monkeypatch, tmp_path, bundle, "system")
    from release_site.certificates import Authority
    other = tmp_path / "other.pem"
    other.write_text(Authority("Other").pem)
    monkeypatch.setenv(variable, str(other))
    Transfer(running).failed("TLS: ")


def test_a_bundle_that_is_missing(secure, monkeypatch):
    running, bundle = secure
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle + ".missing")
    transfer = Transfer(running)
    assert "names %s.missing, which is not there" % bundle in str(transfer.error)
    assert transfer.error.path == bundle + ".missing"


@pytest.mark.parametrize("details", [dict(days=(-10, -1)), dict(names=("example.com",))])
def test_a_certificate_that_is_wrong(signing_key, monkeypatch, tmp_path, details):
    from release_site import Site
    from release_site.certificates import Authority
    authority = Authority()
    bundle = tmp_path / "ca.pem"
    bundle.write_text(authority.pem)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with Site(key=signing_key, tls=authority.server_context(**details)) as running:
        running.put(NAME, BODY)
        Transfer(running, retries=4).failed("TLS: ")
        assert running.server.connections == 1


def test_plain_http_behind_https(served):
    assert ": TLS: " in str(Transfer(served.url.replace("http:", "https:")).error)


def test_redirects_between_the_schemes(served, secure, misbehaviours, monkeypatch):
    running, bundle = secure
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    served.misbehave(NAME, misbehaviours.redirect(running.url + "/" + NAME))
    Transfer(served).succeeded()
    running.misbehave(NAME, misbehaviours.redirect(served.url + "/" + NAME))
    asked = len(served.requests)
    Transfer(running, retries=4).failed("which is not followed: only https without user and password is")
    assert len(served.requests) == asked


# Proxies.

def test_a_proxy_from_the_environment(served, monkeypatch):
    monkeypatch.setenv("http_proxy", served.url)
    Transfer("http://releases.invalid").succeeded()
    (request,) = served.requests
    assert request.target == "http://releases.invalid/%s?token=%s" % (NAME, SECRET)


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "127.0.0.0/8", "localhost, 127.0.0.1"])
def test_no_proxy(served, monkeypatch, no_proxy):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", no_proxy)
    Transfer(served).succeeded()


def test_a_proxy_that_is_not_there(served, monkeypatch):
    served.stop()
    monkeypatch.setenv("http_proxy", served.url.replace("//", "//user:%s@" % SECRET))
    transfer = Transfer("http://releases.invalid", retries=2)
    transfer.failed("proxy: Connection refused (ECONNREFUSED)", retry=True)
    assert "https_proxy" in transfer.error.hint


def test_a_proxy_that_refuses(served, misbehaviours, monkeypatch):
    served.misbehave("*", misbehaviours.status(407))
    monkeypatch.setenv("http_proxy", served.url)
    transfer = Transfer("http://releases.invalid", retries=2).failed("HTTP 407", status=407)
    assert "password" in transfer.error.hint


def test_a_proxy_that_refuses_to_connect(served, monkeypatch):
    monkeypatch.setenv("https_proxy", served.url)   # it answers 405 to CONNECT
    Transfer("https://releases.invalid", retries=2).failed("the proxy answers HTTP 405")
    assert [request.method for request in served.requests] == ["CONNECT"]


class Tunnel(socketserver.BaseRequestHandler):
    """An HTTP proxy that knows CONNECT alone and always leads to one place."""

    def handle(self):
        request = b""
        while b"\r\n\r\n" not in request:
            request += self.request.recv(4096)
        self.server.asked.append(request.split(b"\r\n")[0])
        with contextlib.closing(socket.create_connection(self.server.leads_to)) as site:
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                for readable in select.select([site, self.request], [], [])[0]:
                    data = readable.recv(65536)
                    if not data:
                        return
                    (site if readable is self.request else self.request).sendall(data)


@pytest.mark.parametrize("way", ["REQUESTS_CA_BUNDLE", "system", "certifi"])
def test_https_through_a_proxy(secure, monkeypatch, tmp_path, way):
    running, bundle = secure
    trust(monkeypatch, tmp_path, bundle, way)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as proxy:
        proxy.daemon_threads, proxy.asked, proxy.leads_to = True, [], ("127.0.0.1", running.server.port)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        monkeypatch.setenv("HTTPS_PROXY", "127.0.0.1:%d" % proxy.server_address[1])     # some write no scheme
        Transfer(running).succeeded()
        proxy.shutdown()
    assert proxy.asked == [b"CONNECT 127.0.0.1:%d HTTP/1.1" % running.server.port] or \
        proxy.asked == [b"CONNECT 127.0.0.1:%d HTTP/1.0" % running.server.port]


def test_netrc_is_not_read(served, monkeypatch, tmp_path):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\ndefault login user password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    Transfer(served).succeeded()
    assert "Authorization" not in served.requests[0].headers


# The sink.

class OwnFetchError(_errors.FetchError):
    pass


@pytest.mark.parametrize("at", ["reserve", "write"])
@pytest.mark.parametrize("kind", [
    lambda: OSError(errno.ENOSPC, "full"), lambda: _errors.InstallError("no", errno=errno.ENOSPC),
    lambda: ValueError("no"),
    lambda: ConnectionResetError(errno.ECONNRESET, "no"), lambda: socket.timeout("no"),
    lambda: __import__("requests").ConnectionError("no"),
    lambda: __import__("urllib3").exceptions.ProtocolError("no"),
    lambda: __import__("http.client").client.IncompleteRead(b""),
], ids=range(8))
def test_errors_of_the_sink_pass_untouched(served, kind, at):
    failure = kind()
    sink = Sink(failure, at)
    with pytest.raises(type(failure)) as caught:
        Transfer(served, retries=4, sink=sink)
    assert caught.value is failure
    assert served.counts(NAME).requests == 1
    assert ("restart",) not in sink.calls


def test_an_error_while_starting_again_passes_untouched(served, misbehaviours):
    served.misbehave("*", misbehaviours.status(503))
    failure = OSError(errno.EIO, "broken")
    with pytest.raises(OSError) as caught:
        Transfer(served, retries=4, sink=Sink(failure, "restart"))
    assert caught.value is failure


# Local files.

@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a b%c").mkdir()
    (tmp_path / "a b%c" / "file.bin").write_bytes(BODY)
    return tmp_path


def file_url(path, host=""):
    return "file://%s%s" % (host, quote(str(path)))


@pytest.mark.parametrize("host", ["", "localhost"])
def test_a_file(folder, host):
    url = file_url(folder / "a b%c", host)
    transfer = Transfer(url, query="", path="file.bin")
    transfer.succeeded()
    assert transfer.sink.calls[0] == ("reserve", 640000)
    assert transfer.downloaded == 0


def test_a_file_needs_no_requests(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "requests", None)
    with _fetch.Fetcher(10, 1) as fetcher:
        assert fetcher.read(file_url(folder / "a b%c" / "file.bin"), CAP, "x") == BODY


@pytest.mark.parametrize("missing", ["requests", "urllib3"])
def test_no_requests_here(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with _fetch.Fetcher(10, 4) as fetcher, pytest.raises(_errors.MissingDependency) as caught:
        fetcher.read("https://releases.example.com/x?" + SECRET, CAP, "x")
    assert "requests is not installed for %s on this side" % sys.executable in str(caught.value)
    assert SECRET not in str(caught.value)
    for way in ("python3-requests", "pip", "download: controller", "archive"):
        assert way in caught.value.hint


@pytest.mark.parametrize("name", ["missing", "missing/missing", "a b%c/file.bin/missing"])
def test_a_file_that_is_not_there_is_like_404(folder, name):
    with _fetch.Fetcher(10, 4) as fetcher, pytest.raises(_errors.FetchError) as caught:
        fetcher.read(file_url(folder / name), CAP, "SHA256SUMS")
    error = caught.value
    assert (error.status, error.retry, error.next_site) == (404, False, True)
    assert error.errno in (errno.ENOENT, errno.ENOTDIR)
    assert error.path == str(folder / name)
    assert error.hint


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_what_is_no_regular_file(folder, kind):
    path = folder / "odd"
    if kind == "fifo":
        os.mkfifo(str(path))
    else:
        path.mkdir()
    with _fetch.Fetcher(10, 4) as fetcher, pytest.raises(_errors.FetchError) as caught:
        fetcher.read(file_url(path), CAP, "SHA256SUMS")
    assert caught.value.status is None
    assert "Is a directory (EISDIR)" in str(caught.value) or "not a regular file (mode 10" in str(caught.value)


def test_a_file_that_may_not_be_read(folder):
    path = folder / "secret"
    path.write_bytes(b"x")
    path.chmod(0)
    if os.access(str(path), os.R_OK):
        pytest.skip("root reads everything")
    with _fetch.Fetcher(10, 4) as fetcher, pytest.raises(_errors.FetchError) as caught:
        fetcher.read(file_url(path), CAP, "SHA256SUMS")
    assert caught.value.errno == errno.EACCES and caught.value.status is None


def test_a_file_above_the_cap(folder):
    with _fetch.Fetcher(10, 4) as fetcher, pytest.raises(_errors.FetchError) as caught:
        fetcher.read(file_url(folder / "a b%c" / "file.bin"), 639999, "x")
    assert "announces 640000 bytes: at most 639999" in str(caught.value)


def test_a_file_that_shrinks_meanwhile(folder):
    path = folder / "a b%c" / "file.bin"

    class Shrink(Sink):
        def write(self, block):
            super().write(block)
            os.truncate(str(path), 300000)

    transfer = Transfer(file_url(folder / "a b%c"), query="", path="file.bin", sink=Shrink())
    assert "was cut short: " in str(transfer.error)


def test_a_file_that_grows_meanwhile(folder):
    path = folder / "a b%c" / "file.bin"

    class Grow(Sink):
        def write(self, block):
            super().write(block)
            with open(str(path), "ab") as file:
                file.write(b"more")

    Transfer(file_url(folder / "a b%c"), query="", path="file.bin", sink=Grow()).succeeded()


# URLs.

@pytest.mark.parametrize("url", [
    "", "x", "/etc/passwd", "ftp://example.com/x", "HTTPX://x/", "http:///x", "http://", "http:x",
    "https://user@example.com/x",
    "https://user:%s@example.com/x" % SECRET, "http://example.com:port/", "http://example.com:99999/", "http://[::1/x",
    "file:relative", "file://example.com/x", "file://user@localhost/x", "file:", "file:///a%00b",
])
def test_what_cannot_be_fetched(url):
    with _fetch.Fetcher(1, 1) as fetcher, pytest.raises(_errors.RequestError) as caught:
        fetcher.read(url, CAP, "x")
    assert "cannot fetch " in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("host", ["exa mple.com", 64 * "x" + ".example.com", "exa%mple.com", u"\u2024.example.com"])
def test_hosts_that_only_the_transport_refuses(host):
    pytest.importorskip("requests")
    lines = []
    with _fetch.Fetcher(1, 3, lambda line, warning=False: lines.append(line)) as fetcher:
        with pytest.raises((_errors.FetchError, _errors.RequestError)) as caught:
            fetcher.read("http://%s/x?%s" % (host, SECRET), CAP, "x")
    assert SECRET not in str(caught.value) and str(caught.value).isprintable()
    assert not getattr(caught.value, "retry", False) or "not resolved" in str(caught.value)


@pytest.mark.parametrize("text", ["http://x/%s", "user:%s@x", "no route to x?%s"])
def test_a_text_that_could_hold_a_url_is_left_out(text):
    assert _faults.explain(ValueError(text % SECRET), 30)[:2] == ("ValueError", False)


@pytest.mark.parametrize("url, shown", [
    ("https://example.com/a/b?c=d#e", "https://example.com/a/b"),
    ("https://example.com/a#b?c", "https://example.com/a"),
    ("https://user:word@example.com:8443/a@b", "https://example.com:8443/a@b"),
    ("https://user:w@rd@example.com/a", "https://example.com/a"),
    ("http://[::1]:80/a", "http://[::1]:80/a"),
    ("file:///a%20b", "file:///a%20b"),
    (u"http://example.com/\x1b\u20ac\n", r"http://example.com/\x1b\u20ac\n"),
    ("//user:word@example.com/a?b", "//example.com/a"),
])
def test_shown_urls(url, shown):
    assert _urls.shown(url) == shown


def test_caps_and_limits_are_those_of_the_protocol():
    assert (_fetch.SUMS_CAP, _fetch.SIGNATURE_CAP) == (256 * 1024, 64 * 1024)
    assert (_fetch.INDEX_CAP, _fetch.ARCHIVE_CAP) == (16 * 1024 ** 2, 512 * 1024 ** 2)
    assert (_fetch.DEADLINE, _fetch.LOW_SPEED, _fetch.LOW_SPEED_TIME, _fetch.REDIRECTS) == (30 * 60, 1024, 30, 5)
