# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Misbehaviours of the body: each does what its name says, on the wire."""

import gzip as gzip_format
import http.client

import pytest
from support.system import PATIENCE
from support.web import get_url

pytest.importorskip("release_site")

from release_site.misbehaviours import (
    chunk,
    chunk_cut,
    chunk_nonsense,
    chunk_with_length,
    endless_body,
    flip,
    gzip,
    no_length,
    overlong,
    replace,
    truncate,
)


def read(site, path):
    with get_url(site.url + path) as answer:
        return answer.read()


def test_truncate(site, ask, path, whole):
    site.misbehave("*.zip", truncate(at=100))
    answer = ask(connection="keep-alive")
    assert (answer.body, answer.ending) == (whole[:100], "closed")
    assert answer.headers["Content-Length"] == str(len(whole))
    with pytest.raises(http.client.IncompleteRead):
        read(site, path)


def test_truncate_a_part(site, ask, whole):
    site.misbehave("*.zip", truncate(at=100))
    answer = ask(Range="bytes=50-")
    assert (answer.status, answer.body) == (206, whole[50:150])


def test_overlong(site, ask, whole):
    site.misbehave("*.zip", overlong(b"more"))
    answer = ask()
    assert (answer.headers["Content-Length"], answer.body) == (str(len(whole)), whole + b"more")


def test_no_length(site, ask, path, whole):
    site.misbehave("*.zip", no_length())
    answer = ask(connection="keep-alive")
    assert "Content-Length" not in answer.headers and "Transfer-Encoding" not in answer.headers
    assert (answer.body, answer.ending) == (whole, "closed")
    assert read(site, path) == whole


def test_no_length_cut(site, path, whole):
    site.misbehave("*.zip", no_length(at=10))
    assert read(site, path) == whole[:10]


def test_endless_body(site, ask, whole):
    site.misbehave("*.zip", endless_body())
    answer = ask(limit=5_000_000)
    assert len(answer.body) >= 4_900_000
    assert answer.body.startswith(whole) and not answer.body[len(whole) :].strip(b"\0")


def test_endless_body_ends_with_the_site(site, ask):
    site.misbehave("*.zip", endless_body())
    ask(limit=100_000)
    site.stop()
    assert site.counts().requests == 1


def test_chunk(site, ask, path, whole):
    site.misbehave("*.zip", chunk())
    answer = ask()
    assert answer.headers["Transfer-Encoding"] == "chunked" and "Content-Length" not in answer.headers
    assert answer.body == b"%x\r\n%s\r\n0\r\n\r\n" % (len(whole), whole)
    assert read(site, path) == whole
    assert site.requests[0].sent == len(whole)


def test_chunk_keeps_the_connection(site, path, whole):
    site.misbehave("*.zip", chunk())
    client = http.client.HTTPConnection(site.url[7:], timeout=PATIENCE)
    for _time in range(2):
        client.request("GET", path)
        assert client.getresponse().read() == whole
    client.close()
    assert site.server.connections == 1


def test_chunk_cut(site, ask, path, whole):
    site.misbehave("*.zip", chunk_cut(at=20))
    answer = ask(connection="keep-alive")
    assert (answer.body, answer.ending) == (b"%x\r\n%s" % (len(whole), whole[:20]), "closed")
    with pytest.raises(http.client.IncompleteRead):
        read(site, path)


def test_chunk_nonsense(site, ask, path, whole):
    site.misbehave("*.zip", chunk_nonsense(at=20))
    assert ask().body == b"14\r\n%s\r\nmany\r\n" % whole[:20]
    with pytest.raises((http.client.IncompleteRead, ValueError)):
        read(site, path)


def test_chunk_with_length(site, ask, whole):
    site.misbehave("*.zip", chunk_with_length(3))
    answer = ask()
    assert (answer.headers["Transfer-Encoding"], answer.headers["Content-Length"]) == ("chunked", "3")
    assert whole in answer.body and answer.body.endswith(b"\r\n0\r\n\r\n")


def test_gzip(site, ask, whole):
    site.misbehave("*.zip", gzip())
    answer = ask(Accept_Encoding="identity")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert gzip_format.decompress(answer.body) == whole


def test_flip(site, ask, whole):
    good = ask(method="HEAD")
    site.misbehave("*.zip", flip(at=30))
    answer = ask()
    assert [place for place in range(len(whole)) if answer.body[place] != whole[place]] == [30]
    assert answer.headers["ETag"] == good.headers["ETag"]
    assert ask(Range="bytes=40-").body == whole[40:]
    assert ask(Range="bytes=30-30").body != whole[30:31]


def test_flip_of_nothing(site, ask):
    site.misbehave("*", flip())
    assert ask("/terraform/0.0.1/missing.zip").status == 404


def test_replace(site, ask, whole):
    good = ask(method="HEAD")
    site.misbehave("*.zip", replace(b"other bytes"))
    answer = ask()
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"other bytes", "11")
    assert answer.headers["ETag"] == good.headers["ETag"]
    assert ask("/missing.zip").body == b"other bytes"


@pytest.mark.parametrize(
    "behaviour",
    [
        truncate(at=1),
        overlong(),
        no_length(),
        endless_body(),
        chunk(),
        chunk_cut(at=1),
        chunk_nonsense(at=1),
        chunk_with_length(),
        gzip(),
        flip(),
        replace(b"x"),
    ],
)
def test_no_body_for_head(site, ask, behaviour):
    site.misbehave("*.zip", behaviour)
    answer = ask(method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
