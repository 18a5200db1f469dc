# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Misbehaviours of the connection: each does what its name says, on the wire."""

import http.client

import pytest
from support.system import PATIENCE, wait_until
from support.web import get_url

pytest.importorskip("release_site")

from release_site.misbehaviours import (
    close_before_reply,
    endless_headers,
    garbage_status,
    long_header,
    reset,
    slow_head,
    stall,
    trickle,
)


def test_close_before_reply(site, ask, path):
    site.misbehave("*.zip", close_before_reply())
    answer = ask(connection=None)
    assert (answer.raw, answer.ending) == (b"", "closed")
    with pytest.raises(http.client.RemoteDisconnected):
        get_url(site.url + path)
    assert site.requests[0].status is None


def test_reset_in_the_body(site, ask, whole):
    site.misbehave("*.zip", reset(at=100))
    answer = ask()
    assert answer.ending == "reset"
    assert len(answer.body) <= 100 and whole.startswith(answer.body)
    assert site.requests[0].sent == 100


def test_reset_before_any_answer(site, ask):
    site.misbehave("*.zip", reset())
    answer = ask()
    assert (answer.raw, answer.ending) == (b"", "reset")


def test_stall(site, ask, whole, pauses):
    site.misbehave("*.zip", stall(at=50))
    answer = ask()
    assert answer.body == whole[:50] and pauses == [(None, 50)]
    assert answer.headers["Content-Length"] == str(len(whole))


def test_stall_ends_when_the_client_leaves(site, ask):
    site.misbehave("*.zip", stall(at=50))
    ask(limit=1)
    assert wait_until(lambda: site.requests[0].outcome) == "closed"


def test_stall_ends_with_the_site(site):
    site.misbehave("*.zip", stall(at=0))
    client = http.client.HTTPConnection(site.url[7:], timeout=PATIENCE)
    client.request("GET", "/terraform/1.13.4/terraform_1.13.4_linux_amd64.zip")
    answer = client.getresponse()
    site.stop()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        answer.read()
    client.close()


def test_trickle(site, ask, whole):
    site.misbehave("*.zip", trickle(0.001, size=9, at=80))
    assert ask().body == whole


def test_trickle_is_slow(site, ask, whole, pauses):
    site.misbehave("*.zip", trickle(60, at=80))
    assert ask().body == whole[:80] and pauses == [(60, 80)]


def test_trickle_goes_on_as_it_began(site, ask, whole):
    pauses = []
    trickling = trickle(0, size=100)

    def behave(exchange):
        go_on = exchange.wait
        exchange.wait = lambda seconds: pauses.append(exchange.request.sent) or go_on(seconds)
        trickling(exchange)

    site.misbehave("*.zip", behave)
    assert ask().body == whole
    assert pauses == list(range(0, len(whole), 100))


def test_slow_head(site, ask, whole):
    site.misbehave("*.zip", slow_head(0.001, size=10))
    assert ask().body == whole


def test_slow_head_is_slow(site, ask, pauses):
    site.misbehave("*.zip", slow_head(60, size=10))
    assert ask().raw == b"" and pauses == [(60, 0)]


def test_garbage_status(site, ask, path):
    site.misbehave("*.zip", garbage_status())
    assert ask().raw == b"HTTP/NaN fine OK\r\n\r\n"
    with pytest.raises(http.client.BadStatusLine):
        get_url(site.url + path)


def test_endless_headers(site, ask, path):
    site.misbehave("*.zip", endless_headers())
    answer = ask(limit=2_000_000)
    assert len(answer.raw) >= 2_000_000 and b"\r\n\r\n" not in answer.raw
    with pytest.raises(http.client.HTTPException, match="more than 100 headers"):
        get_url(site.url + path)


def test_long_header(site, ask, path, whole):
    site.misbehave("*.zip", long_header(200_000))
    answer = ask()
    assert b"X-Long: " + b"x" * 200_000 + b"\r\n" in answer.raw and answer.body == whole
    with pytest.raises(http.client.LineTooLong):
        get_url(site.url + path)
