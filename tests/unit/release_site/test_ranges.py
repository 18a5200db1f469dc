# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges: what is right, and the lies to a client that resumes."""

import pytest

pytest.importorskip("release_site")

from release_site.misbehaviours import (
    changing_etag,
    no_etag,
    range_ignored,
    range_other_etag,
    range_refused,
    range_unasked,
    range_without_header,
    range_wrong_start,
    range_wrong_total,
    weak_etag,
)


@pytest.mark.parametrize(
    "wanted, start, end",
    [
        ("bytes=0-", 0, None),
        ("bytes=100-", 100, None),
        ("bytes=10-19", 10, 20),
        ("bytes=-5", -5, None),
        ("bytes=10-99999", 10, None),
        ("bytes=-99999", 0, None),
    ],
)
def test_a_part(ask, whole, wanted, start, end):
    part = whole[start:end]
    first = start % len(whole)
    answer = ask(Range=wanted)
    assert (answer.status, answer.body) == (206, part)
    assert answer.headers["Content-Range"] == "bytes %d-%d/%d" % (first, first + len(part) - 1, len(whole))
    assert answer.headers["Content-Length"] == str(len(part))


@pytest.mark.parametrize("wanted", ["bytes=99999-", "bytes=-0"])
def test_a_part_that_is_not_there(ask, whole, wanted):
    answer = ask(Range=wanted)
    assert (answer.status, answer.headers["Content-Range"], answer.body) == (416, "bytes */%d" % len(whole), b"")


@pytest.mark.parametrize("wanted", ["bytes=5-2", "bytes=-", "bytes=1-2,5-6", "lines=1-2", "bytes=a-b"])
def test_a_range_that_does_not_count(ask, whole, wanted):
    answer = ask(Range=wanted)
    assert (answer.status, answer.body) == (200, whole)


def test_if_range(ask, whole):
    headers = ask(method="HEAD").headers
    for validator in (headers["ETag"], headers["Last-Modified"]):
        assert ask(Range="bytes=9-", If_Range=validator).body == whole[9:]
    for validator in ('"other"', "W/" + headers["ETag"], "Thu, 01 Jan 1970 00:00:00 GMT"):
        assert ask(Range="bytes=9-", If_Range=validator).body == whole


def test_head_has_no_ranges(ask, whole):
    answer = ask(method="HEAD", Range="bytes=9-")
    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, str(len(whole)), b"")


def test_range_wrong_start(site, ask, whole):
    site.misbehave("*.zip", range_wrong_start(shift=3))
    answer = ask(Range="bytes=10-")
    assert (answer.status, answer.body) == (206, whole[13:])
    assert answer.headers["Content-Range"] == "bytes 13-%d/%d" % (len(whole) - 1, len(whole))
    assert ask().body == whole


def test_range_wrong_total(site, ask, whole):
    site.misbehave("*.zip", range_wrong_total(more=5))
    answer = ask(Range="bytes=10-")
    assert (answer.status, answer.body) == (206, whole[10:])
    assert answer.headers["Content-Range"] == "bytes 10-%d/%d" % (len(whole) - 1, len(whole) + 5)
    assert ask().body == whole


def test_range_without_header(site, ask, whole):
    site.misbehave("*.zip", range_without_header())
    answer = ask(Range="bytes=10-")
    assert (answer.status, answer.body, answer.headers["Content-Range"]) == (206, whole[10:], None)
    assert ask().status == 200


def test_range_other_etag(site, ask, whole):
    etag = ask(method="HEAD").headers["ETag"]
    site.misbehave("*.zip", range_other_etag())
    for condition in (etag, '"some-other"'):
        answer = ask(Range="bytes=10-", If_Range=condition)
        assert (answer.status, answer.body, answer.headers["ETag"]) == (206, whole[10:], '"another-file"')
    assert ask().headers["ETag"] == etag


def test_range_ignored(site, ask, whole):
    site.misbehave("*.zip", range_ignored())
    answer = ask(Range="bytes=10-")
    assert (answer.status, answer.body, answer.headers["Content-Range"]) == (200, whole, None)
    assert site.requests[0].headers["Range"] == "bytes=10-", "the record must keep what was asked"


def test_range_refused(site, ask, whole):
    site.misbehave("*", range_refused())
    answer = ask(Range="bytes=10-")
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */%d" % len(whole))
    assert ask().body == whole
    assert ask("/missing", Range="bytes=10-").status == 404


def test_range_unasked(site, ask, whole):
    site.misbehave("*.zip", range_unasked(start=4))
    answer = ask()
    assert (answer.status, answer.body) == (206, whole[4:])
    assert answer.headers["Content-Range"] == "bytes 4-%d/%d" % (len(whole) - 1, len(whole))


def test_weak_etag(site, ask, whole):
    strong = ask(method="HEAD").headers["ETag"]
    site.misbehave("*", weak_etag())
    assert ask().headers["ETag"] == "W/" + strong
    assert ask(Range="bytes=1-", If_Range="W/" + strong).body == whole
    assert ask("/missing").status == 404


def test_no_etag(site, ask, whole):
    site.misbehave("*.zip", no_etag())
    answer = ask()
    assert (answer.body, answer.headers["ETag"], answer.headers["Last-Modified"]) == (whole, None, None)


def test_changing_etag(site, ask, whole):
    site.misbehave("*.zip", changing_etag())
    first, second = ask(), ask(Range="bytes=1-")
    assert first.headers["ETag"] == '"server-1"' and second.headers["ETag"] == '"server-2"'
    assert second.body == whole
