# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interrupted downloads: what is asked for when they go on, which rests are taken, and which are lies."""

import gzip
import hashlib

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors, _records
from ansible_collections.iac_platform.terraform.plugins.module_utils._http import client, response
from support.transfers import BODY, NAME, Sink, Transfer

pytestmark = pytest.mark.usefixtures("bare_environment")
CUT = 100000


def ranges(site):
    """The Range and If-Range that each request had."""
    return [(request.headers["Range"], request.headers["If-Range"]) for request in site.requests]


def cut(site, misbehaviours, then=None, times=1):
    """The first answers break off after 100,000 bytes; those behind them are as ``then`` has them."""
    site.misbehave("*", misbehaviours.truncate(CUT), times=times)
    if then is not None:
        site.misbehave("*", then)


def test_the_rest_alone_is_asked_for(file_site, misbehaviours):
    cut(file_site, misbehaviours)
    etag = file_site.files[NAME].etag
    transfer = Transfer(file_site, retries=2).succeeded()
    assert ranges(file_site) == [(None, None), ("bytes=100000-", etag)]
    assert [request.sent for request in file_site.requests] == [CUT, 640000 - CUT]
    assert transfer.downloaded == 640000
    assert transfer.sink.calls.count(("reserve", 640000)) == 1 and ("restart",) not in transfer.sink.calls
    assert transfer.lines[1] == "archive resumed at byte 100000 of 640000 from %s" % transfer.url


def test_a_download_may_be_resumed_again_and_again(file_site, misbehaviours):
    cut(file_site, misbehaviours, times=6)
    Transfer(file_site, retries=7).succeeded()
    assert [asked for asked, _etag in ranges(file_site)] == [None] + ["bytes=%d-" % (n * CUT) for n in range(1, 7)]
    assert sum(request.sent for request in file_site.requests) == 640000


def test_a_release_archive_is_resumed_and_no_byte_comes_twice(file_site, misbehaviours):
    size = 27841443  # bytes: those of a genuine archive of 2025
    body = (BODY * 44)[:size]
    file_site.put(NAME, body)
    file_site.misbehave("*", misbehaviours.reset(20000000), times=1)
    transfer = Transfer(file_site, retries=2, cap=_records.ARCHIVE_CAP)
    assert transfer.received == client.DownloadResult(size, hashlib.sha256(body).hexdigest())
    first, second = file_site.requests
    start = int(second.headers["Range"][len("bytes=") : -1])
    assert 0 < start <= first.sent and second.sent == size - start
    assert transfer.downloaded == size


def test_a_rest_that_is_redirected(file_site, misbehaviours):
    file_site.put("other", BODY)
    file_site.misbehave(NAME, misbehaviours.redirect("/other"))
    file_site.misbehave("other", misbehaviours.truncate(CUT), times=1)
    Transfer(file_site, retries=2).succeeded()
    assert file_site.counts("other").bytes == 640000


@pytest.mark.parametrize(
    "name, reason",
    [
        ("range_wrong_start", "it begins at byte 100001"),
        ("range_wrong_total", "it ends at byte 639999 of 640001, where 640000 were announced"),
        ("range_without_header", "it does not say which part it is"),
        ("range_other_etag", "it is of another file"),
        ("range_refused", "HTTP 416"),
    ],
)
def test_lies_about_a_part_begin_again(file_site, misbehaviours, name, reason):
    cut(file_site, misbehaviours, getattr(misbehaviours, name)())
    transfer = Transfer(file_site, retries=2).succeeded()
    assert [asked for asked, _etag in ranges(file_site)] == [None, "bytes=100000-", None]
    assert transfer.lines[1].startswith("archive cannot be resumed at byte 100000, starting again: ")
    assert reason in transfer.lines[1]
    assert transfer.sink.calls.count(("restart",)) == 1
    assert transfer.sink.calls.count(("reserve", 640000)) == 2


@pytest.mark.parametrize(
    "headers, reason",
    [
        ({"Content-Range": "bytes 100000-639998/640000"}, "it ends at byte 639998 of 640000"),
        ({"Content-Range": "bytes 100000-639999/*"}, "it does not say which part it is"),
        ({"Content-Range": "bytes=100000-639999/640000"}, "it does not say which part it is"),
        ({"Content-Range": "bytes 0-639999/640000"}, "it begins at byte 0"),
        ({"ETag": None}, "it is of another file"),
        ({"ETag": "W/*"}, "it is of another file"),
    ],
)
def test_parts_with_odd_headers_begin_again(file_site, misbehaviours, headers, reason):
    def lie(exchange):
        reply = exchange.honest()
        if reply.status == 206:
            for name, value in headers.items():
                own = reply.headers.pop(name)
                if value is not None:
                    reply.headers[name] = value.replace("*", own) if name == "ETag" else value
        exchange.reply(reply)

    cut(file_site, misbehaviours, lie)
    transfer = Transfer(file_site, retries=2).succeeded()
    assert reason in transfer.lines[1] and len(file_site.requests) == 3


def test_a_part_of_another_length_than_it_says_begins_again(file_site, misbehaviours):
    def lie(exchange):
        reply = exchange.honest()
        if reply.status == 206:
            exchange.close()
            exchange.head(206, dict(reply.headers, **{"Content-Length": "7"}))
            exchange.body(reply.body[:7])
        else:
            exchange.reply(reply)

    cut(file_site, misbehaviours, lie)
    assert "it announces 7 bytes" in Transfer(file_site, retries=2).succeeded().lines[1]


def test_a_part_of_a_longer_whole_begins_again(file_site, misbehaviours):
    """It agrees with itself in everything."""

    def grown(exchange):
        reply = exchange.honest()
        if reply.status == 206:
            reply.headers["Content-Range"] = "bytes 100000-640000/640001"
            reply = reply._replace(body=reply.body + b"!")
        exchange.reply(reply)

    cut(file_site, misbehaviours, grown)
    lines = Transfer(file_site, retries=2).succeeded().lines
    assert "it ends at byte 640000 of 640001, where 640000 were announced" in lines[1]


@pytest.mark.parametrize("name", ["range_ignored", "changing_etag"])
def test_the_whole_in_place_of_the_rest_is_taken(file_site, misbehaviours, name):
    cut(file_site, misbehaviours, getattr(misbehaviours, name)())
    transfer = Transfer(file_site, retries=2).succeeded()
    assert len(file_site.requests) == 2 and transfer.sink.calls.count(("restart",)) == 1


def test_a_file_that_changed_meanwhile_comes_whole(file_site, misbehaviours):
    def change(exchange):
        misbehaviours.truncate(CUT)(exchange)
        file_site.put(NAME, other)

    other = BODY[::-1]
    file_site.misbehave("*", change, times=1)
    transfer = Transfer(file_site, retries=2)
    assert bytes(transfer.sink.data) == other
    assert transfer.received.sha256 == hashlib.sha256(other).hexdigest()


@pytest.mark.parametrize("name", ["weak_etag", "no_etag"])
def test_without_a_strong_validator_nothing_is_resumed(file_site, misbehaviours, name):
    def broken(exchange):
        reply = exchange.honest()
        own = reply.headers.pop("ETag")
        if name == "weak_etag":
            reply.headers["ETag"] = "W/" + own
        exchange.close()
        exchange.head(200, dict(reply.headers, **{"Content-Length": str(len(reply.body))}))
        exchange.body(reply.body[:CUT])

    file_site.misbehave("*", broken, times=1)
    transfer = Transfer(file_site, retries=2).succeeded()
    assert ranges(file_site) == [(None, None)] * 2
    assert transfer.sink.calls.count(("restart",)) == 1


def test_a_part_that_is_compressed_is_refused(file_site, misbehaviours):
    cut(file_site, misbehaviours, misbehaviours.gzip())
    Transfer(file_site, retries=2).failed("was compressed on the way (Content-Encoding gzip)")


def test_a_part_that_is_compressed_is_not_joined_to_what_is_not(file_site, misbehaviours):
    def compressed(exchange):  # by chunks: its length is not known beforehand
        reply = exchange.honest()
        exchange.head(reply.status, dict(reply.headers, **{"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}))
        exchange.body(gzip.compress(reply.body), lambda block: b"%x\r\n%s\r\n" % (len(block), block))
        exchange.raw(b"0\r\n\r\n")

    cut(file_site, misbehaviours)
    file_site.misbehave("*", compressed, times=1)
    transfer = Transfer(file_site, retries=2).succeeded()
    assert "resumed at byte 100000, starting again: its Content-Encoding is another one" in transfer.lines[1]


def test_a_part_with_the_wrong_bytes_changes_the_digest(file_site, misbehaviours):
    """All its headers are right: only the digest over the whole shows it."""
    cut(file_site, misbehaviours, misbehaviours.flip())
    transfer = Transfer(file_site, retries=2)
    assert transfer.error is None and transfer.received.bytes == 640000
    assert transfer.received.sha256 != hashlib.sha256(BODY).hexdigest()


def test_a_failure_of_the_sink_while_resuming_passes_untouched(file_site, misbehaviours):
    class Full(Sink):
        def write(self, block):
            if len(self.data) >= CUT:
                raise failure
            super().write(block)

    failure = _errors.InstallError("full", errno=28)
    cut(file_site, misbehaviours)
    with pytest.raises(_errors.InstallError) as caught:
        Transfer(file_site, retries=3, sink=Full())
    assert caught.value is failure and len(file_site.requests) == 2


def test_a_part_nobody_asked_for_is_refused(file_site, misbehaviours):
    file_site.misbehave("*", misbehaviours.range_unasked())
    Transfer(file_site, retries=2).failed("HTTP 206 Partial Content", status=206)
    assert len(file_site.requests) == 1


@pytest.mark.parametrize(
    "changed, size",
    [
        ({}, 640000),
        ({"part": None, "size": 7}, 7),
        ({"part": None, "size": None}, None),
        ({"part": "bytes 0-0/*"}, None),
        ({"part": "bytes 1-1/640000"}, None),
        ({"part": "bytes 0-0/-1"}, None),
        ({"part": ""}, None),
        ({"coding": "gzip"}, None),
        ({"content_type": "text/html; charset=utf-8", "part": None, "size": 6}, None),
    ],
)
def test_the_size_of_the_whole_is_told_by_a_part(changed, size):
    body = response.ResponseBody("x", 1, "application/zip", None, "bytes 0-0/640000", lambda count: b"P")
    assert response.size_of_whole(body._replace(**changed)) == size
