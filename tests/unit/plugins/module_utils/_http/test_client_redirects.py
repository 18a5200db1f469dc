# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where redirects lead, and which URLs are fetched and shown."""

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors, _records
from ansible_collections.iac_platform.terraform.plugins.module_utils._http import client, transport_errors, urls
from support.system import PATIENCE
from support.transfers import BODY, CAP, NAME, SECRET, Transfer

pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest.mark.parametrize(
    "location, status",
    [
        ("/other", 301),
        ("other", 302),
        ("{host}/other?x=1#y", 303),
        ("//{name}/other", 307),
        ("../other", 308),
    ],
)
def test_redirects_are_followed(file_site, misbehaviours, location, status):
    file_site.put("other", BODY)
    file_site.put("some/other", BODY)
    location = location.replace("{host}", file_site.url).replace("{name}", file_site.url.partition("//")[2])
    file_site.misbehave(NAME, misbehaviours.redirect(location, status))
    Transfer(file_site).succeeded()
    assert len(file_site.requests) == 2 and file_site.requests[1].path.endswith("other")


def test_five_redirects_and_no_more(file_site, misbehaviours):
    file_site.misbehave("*", misbehaviours.redirect_chain(5))
    Transfer(file_site).succeeded()
    assert len(file_site.requests) == 6
    file_site.behave()
    file_site.misbehave("*", misbehaviours.redirect_chain(6))
    transfer = Transfer(file_site, retries=4)
    assert transfer.error.retry is False
    assert "archive is redirected more than 5 times, the last time to %s" % transfer.url in str(transfer.error)
    assert len(file_site.requests) == 12


def test_the_body_of_a_redirect_is_not_read(file_site):
    def endless(exchange):
        exchange.close()
        exchange.head(302, {"Location": "/other"})
        while exchange.wait(0):
            exchange.body(bytes(65536))

    file_site.put("other", BODY)
    file_site.misbehave(NAME, endless)
    Transfer(file_site, deadline=PATIENCE).succeeded()


def test_a_redirect_loop(file_site, misbehaviours):
    file_site.misbehave("*", misbehaviours.redirect_loop())
    assert "redirected more than 5 times" in str(Transfer(file_site).error)


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "file://localhost/etc/passwd",
        "ftp://example.com/x",
        "gopher://x/",
        "data:,x",
        "javascript:x",
        "http://user:%s@127.0.0.1/x" % SECRET,
        "http://user@127.0.0.1/x",
        "http://[::1/x",
        "http://127.0.0.1:99999/x",
        "http://127.0.0.1:x/",
    ],
)
def test_redirects_that_are_not_followed(file_site, misbehaviours, location):
    file_site.misbehave(NAME, misbehaviours.redirect(location))
    Transfer(file_site, retries=4).failed("which is not followed: only http(s) without user and password is")
    assert len(file_site.requests) == 1


@pytest.mark.parametrize(
    "location, followed",
    [
        ("http://localhost:{port}/other", True),
        ("/other", True),
        ("https://127.0.0.1:9/x", True),
        ("http://far.test/x", False),
        ("http://localhost./x", False),
        ("http://127.1/x", False),
    ],
)
def test_unsigned_bytes_are_not_fetched_over_plain_http_elsewhere(file_site, misbehaviours, location, followed):
    file_site.put("other", BODY)
    file_site.misbehave(NAME, misbehaviours.redirect(location.format(port=file_site.server.port)))
    error = Transfer(file_site, guard=lambda path, what: None).error
    assert ("which is not followed: only https" in str(error)) is not followed
    assert "is not followed" not in str(Transfer(file_site).error)


def test_a_redirect_without_a_place(file_site, misbehaviours):
    file_site.misbehave(NAME, misbehaviours.redirect(None))
    Transfer(file_site, retries=4).failed("HTTP 302 Found", status=302)


def test_a_redirect_to_something_missing_shows_no_secret(file_site, misbehaviours):
    file_site.misbehave(NAME, misbehaviours.redirect("/gone?signature=%s#%s" % (SECRET, SECRET)))
    Transfer(file_site).failed("HTTP 404", status=404, place=file_site.url + "/gone")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "/etc/passwd",
        "ftp://example.com/x",
        "HTTPX://x/",
        "http:///x",
        "http://",
        "http:x",
        "https://user@example.com/x",
        "http://[::1]example.com/",
        "http://example.com[::1]/",
        "http://a:4_43/",
        "http://a:+80/",
        "https://user:%s@example.com/x" % SECRET,
        "http://example.com:port/",
        "http://example.com:99999/",
        "http://[::1/x",
        "file:relative",
        "file://example.com/x",
        "file://user@localhost/x",
        "file:",
        "file:///a%00b",
    ],
)
def test_what_cannot_be_fetched(url):
    with client.Fetcher(1, 1) as fetcher, pytest.raises(_errors.RequestError) as caught:
        fetcher.read(url, CAP, "x")
    assert "cannot fetch " in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("host", ["exa mple.com", 64 * "x" + ".example.com", "exa%mple.com", "\u2024.example.com"])
def test_hosts_that_only_the_transport_refuses(host):
    pytest.importorskip("requests")
    lines = []
    with client.Fetcher(1, 3, lambda line, warning=False: lines.append(line)) as fetcher:
        with pytest.raises((_errors.FetchError, _errors.RequestError)) as caught:
            fetcher.read("http://%s/x?%s" % (host, SECRET), CAP, "x")
    assert SECRET not in str(caught.value) and str(caught.value).isprintable()
    assert not getattr(caught.value, "retry", False) or "not resolved" in str(caught.value)


@pytest.mark.parametrize("text", ["http://x/%s", "user:%s@x", "no route to x?%s"])
def test_a_text_that_could_hold_a_url_is_left_out(text):
    assert transport_errors.describe_transport_error(ValueError(text % SECRET), 30)[:2] == ("ValueError", False)


@pytest.mark.parametrize(
    "url, shown",
    [
        ("https://example.com/a/b?c=d#e", "https://example.com/a/b"),
        ("https://example.com/a#b?c", "https://example.com/a"),
        ("https://user:word@example.com:8443/a@b", "https://example.com:8443/a@b"),
        ("https://user:w@rd@example.com/a", "https://example.com/a"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("file:///a%20b", "file:///a%20b"),
        ("http://example.com/\x1b\u20ac\n", r"http://example.com/\x1b\u20ac\n"),
        ("//user:word@example.com/a?b", "//example.com/a"),
    ],
)
def test_shown_urls(url, shown):
    assert urls.redact_url(url) == shown


def test_caps_and_limits_are_those_of_the_protocol():
    assert (_records.SUMS_CAP, _records.SIGNATURE_CAP) == (256 * 1024, 64 * 1024)
    assert (_records.INDEX_CAP, _records.ARCHIVE_CAP) == (16 * 1024**2, 512 * 1024**2)
    assert (client.DEADLINE, client.LOW_SPEED, client.LOW_SPEED_TIME, client.REDIRECTS) == (30 * 60, 1024, 30, 5)


def test_a_failure_behind_a_redirect_names_where_it_began(file_site, misbehaviours):
    file_site.misbehave(NAME, misbehaviours.redirect("/between?token=" + SECRET))
    file_site.misbehave("between", misbehaviours.redirect("/login"))
    transfer = Transfer(file_site)
    place = file_site.url + "/login"
    transfer.failed("HTTP 404 Not Found (redirected from %s)" % transfer.url, status=404, place=place)
