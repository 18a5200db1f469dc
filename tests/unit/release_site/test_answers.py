# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Misbehaviours that are good HTTP: each does what its name says, on the wire."""

import email.utils
import http.client
import time
import urllib.error

import pytest
from support.web import get_url

pytest.importorskip("release_site")

from release_site.misbehaviours import (
    announce,
    delay,
    demand,
    early_hints,
    empty,
    html_200,
    redirect,
    redirect_chain,
    redirect_loop,
    retry_later,
    status,
    swap,
    truncate,
    two_lengths,
)


@pytest.mark.parametrize("code", [401, 403, 404, 408, 425, 429, 500, 502, 503, 504, 599])
def test_status(site, ask, code):
    site.misbehave("*.zip", status(code, {"X-Because": "test"}, b"sorry"))
    answer = ask()
    assert (answer.status, answer.body, answer.headers["X-Because"]) == (code, b"sorry", "test")
    assert site.requests[0].status == code


def test_retry_later_in_seconds(site, ask):
    site.misbehave("*.zip", retry_later(seconds=7))
    answer = ask()
    assert (answer.status, answer.headers["Retry-After"]) == (429, "7")


def test_retry_later_as_a_date(site, ask):
    site.misbehave("*.zip", retry_later(503, seconds=3600, date=True))
    asked = int(time.time())
    answer = ask()
    moment = email.utils.parsedate_to_datetime(answer.headers["Retry-After"]).timestamp()
    assert answer.status == 503
    assert asked + 3600 <= moment <= time.time() + 3600


def test_html_200(site, ask):
    site.misbehave("*SHA256SUMS", html_200())
    answer = ask("/terraform/1.13.4/terraform_1.13.4_SHA256SUMS")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.body.startswith(b"<!DOCTYPE html>")


def test_empty(site, ask):
    site.misbehave("*.zip", empty())
    answer = ask()
    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "0", b"")


def test_swap(site, ask):
    other = "terraform/1.9.8/terraform_1.9.8_linux_amd64.zip"
    site.misbehave("*1.13.4*.zip", swap(other))
    answer = ask()
    assert (answer.body, answer.headers["ETag"]) == (site.files[other].body, site.files[other].etag)


def test_demand(site, ask, whole):
    site.misbehave("*", demand("Authorization", "Bearer s3cret"))
    refused = ask()
    assert refused.status == 401 and "WWW-Authenticate" in refused.headers
    assert ask(Authorization="Bearer other").status == 401
    assert ask(Authorization="Bearer s3cret").body == whole


@pytest.mark.parametrize(
    "place", ["https://127.0.0.1:1/x", "http://other.example{path}", "file:///etc/passwd", "elsewhere"]
)
def test_redirect(site, ask, path, place):
    site.misbehave("*.zip", redirect(place, 307))
    answer = ask()
    assert (answer.status, answer.headers["Location"]) == (307, place.replace("{path}", path))


def test_redirect_without_a_place(site, ask):
    site.misbehave("*.zip", redirect(None))
    answer = ask()
    assert answer.status == 302 and "Location" not in answer.headers


def test_redirect_loop(site, path):
    site.misbehave("*.zip", redirect_loop())
    with pytest.raises(urllib.error.HTTPError, match="infinite loop"):
        get_url(site.url + path)
    assert {request.path for request in site.requests} == {path}


def test_redirect_chain(site, path, whole):
    site.misbehave("*.zip", redirect_chain(6))
    with get_url(site.url + path) as answer:
        assert answer.read() == whole
    assert [request.status for request in site.requests] == [302] * 6 + [200]


def test_delay(site, ask, whole):
    site.misbehave("*.zip", delay(0.05))
    assert ask().body == whole


def test_delay_is_slow(site, ask, pauses):
    site.misbehave("*.zip", delay(60))
    assert ask().raw == b"" and pauses == [(60, 0)]


def test_delay_of_another_behaviour(site, ask, whole):
    site.misbehave("*.zip", delay(0.01, then=truncate(at=5)))
    assert ask().body == whole[:5]


def test_early_hints(site, ask):
    site.misbehave("*.zip", early_hints())
    first, _blank, rest = ask().raw.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 103 ")
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("length", [600 << 20, 3, -1, "many", ""])
def test_announce(site, ask, whole, length):
    site.misbehave("*.zip", announce(length))
    answer = ask()
    assert (answer.headers["Content-Length"].strip(), answer.body, answer.ending) == (str(length), whole, "closed")


def test_announce_misleads_a_real_client(site, path):
    site.misbehave("*.zip", announce(600 << 20))
    with get_url(site.url + path) as answer, pytest.raises(http.client.IncompleteRead):
        answer.read()


def test_two_lengths(site, ask, whole):
    site.misbehave("*.zip", two_lengths(other=7))
    answer = ask()
    assert answer.headers.get_all("Content-Length") == [str(len(whole)), "7"]
    assert answer.body == whole
