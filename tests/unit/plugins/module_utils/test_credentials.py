# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is shown of the credentials, and to whom: by rule, and as a site sees it."""

import base64

import pytest
from transfers import NAME, Transfer

from ansible_collections.iac_platform.terraform.plugins.module_utils import _credentials, _errors, _fetch
from ansible_collections.iac_platform.terraform.plugins.module_utils._model import PUBLIC_SITE, Access

pytestmark = pytest.mark.usefixtures("bare_environment")
BASIC = Access(username="alice", password="s3cr3t:w\u00f6rd")
BEARER = Access(token="t0ken-t0ken")
HEADERS = Access(headers=(("X-Api-Key", "k3y-k3y-k3y"), ("X-Short", "1")))
EACH = [BASIC, BEARER, HEADERS]
NAMES = ["basic", "bearer", "headers"]


def seen(request):
    """The credentials that came with a request."""
    return request.headers["Authorization"] or request.headers["X-Api-Key"]


def expected(access):
    return next(value for value in _credentials.headers_for(access).values())


def test_the_headers():
    basic = base64.b64encode("alice:s3cr3t:w\u00f6rd".encode("utf-8")).decode()
    assert _credentials.headers_for(BASIC) == {"Authorization": "Basic " + basic}
    assert _credentials.headers_for(Access(username="alice")) == {"Authorization": "Basic YWxpY2U6"}
    assert _credentials.headers_for(BEARER) == {"Authorization": "Bearer t0ken-t0ken"}
    assert _credentials.headers_for(HEADERS) == {"X-Api-Key": "k3y-k3y-k3y", "X-Short": "1"}
    assert _credentials.headers_for(Access()) == {}


def test_the_secrets():
    assert BASIC.password in _credentials.secrets(BASIC)
    assert expected(BASIC)[len("Basic "):] in _credentials.secrets(BASIC)
    assert _credentials.secrets(BEARER) == ("t0ken-t0ken",)
    assert _credentials.secrets(HEADERS) == ("k3y-k3y-k3y",)
    assert _credentials.secrets(Access()) == ()


@pytest.mark.parametrize("url, sites, proxied, may", [
    ("https://a.example.com/x", ["https://a.example.com/y"], False, True),
    ("https://a.example.com/x", ["https://a.example.com:443"], True, True),
    ("https://A.example.com/x", ["https://a.example.com"], False, True),
    ("https://a.example.com:8443/x", ["https://a.example.com"], False, False),
    ("https://b.example.com/x", ["https://a.example.com"], False, False),
    ("https://a.example.com.evil.com/x", ["https://a.example.com"], False, False),
    ("http://a.example.com/x", ["https://a.example.com"], False, False),
    ("http://a.example.com/x", ["http://a.example.com"], False, False),
    ("https://a.example.com/x", ["http://a.example.com"], False, False),
    ("https://a.example.com:8443/x", ["http://a.example.com:8443"], False, False),
    ("http://127.0.0.1:80/x", ["http://127.0.0.1"], False, True),
    ("http://127.0.0.1/x", ["http://127.0.0.1"], True, False),
    ("http://[::1]:8000/x", ["http://[::1]:8000"], False, True),
    ("http://localhost/x", ["http://localhost"], False, True),
    ("http://localhost/x", ["http://127.0.0.1"], False, False),
    ("http://localhost.example.com/x", ["http://localhost.example.com"], False, False),
    (PUBLIC_SITE + "/x", [PUBLIC_SITE], False, False),
    (PUBLIC_SITE + ":8443/x", [PUBLIC_SITE + ":8443"], False, False),
    ("https://RELEASES.hashicorp.com/x", ["https://RELEASES.hashicorp.com"], False, False),
    ("file:///x", ["file:///"], False, False),
    ("https://a.example.com/x", [], False, False),
])
def test_who_may_be_shown_them(url, sites, proxied, may):
    assert _credentials.may_be_shown(url, sites, proxied) is may


@pytest.mark.parametrize("access", EACH, ids=NAMES)
def test_a_site_that_was_named_gets_them(file_site, access):
    Transfer(file_site, access=access, sites=[file_site.url]).succeeded()
    assert seen(file_site.requests[0]) == expected(access)


@pytest.mark.parametrize("access", EACH, ids=NAMES)
def test_a_site_that_was_not_named_gets_none(file_site, access):
    Transfer(file_site, access=access, sites=[file_site.url.replace("127.0.0.1", "localhost")]).succeeded()
    assert seen(file_site.requests[0]) is None


@pytest.mark.parametrize("access", EACH, ids=NAMES)
@pytest.mark.parametrize("away", ["host", "port", "scheme"])
def test_a_redirect_elsewhere_gets_none(file_site, secure, misbehaviours, signing_key, monkeypatch, away, access):
    from release_site import Site
    running, bundle = secure
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    with Site(key=signing_key) as other:
        other.files.update(file_site.files)
        target = {"host": file_site.url.replace("127.0.0.1", "localhost"), "port": other.url, "scheme": running.url}[away]
        file_site.misbehave(NAME, misbehaviours.redirect("%s/%s" % (target, NAME)), times=1)
        Transfer(file_site, access=access, sites=[file_site.url]).succeeded()
        last = {"host": file_site, "port": other, "scheme": running}[away].requests[-1]
        assert seen(file_site.requests[0]) == expected(access) and seen(last) is None


def test_a_redirect_back_gets_them_again(file_site, misbehaviours, signing_key):
    from release_site import Site
    file_site.put("last", file_site.files[NAME].body)
    with Site(key=signing_key) as other:
        file_site.misbehave(NAME, misbehaviours.redirect(other.url + "/between"))
        other.misbehave("between", misbehaviours.redirect(file_site.url + "/last"))
        Transfer(file_site, access=BEARER, sites=[file_site.url]).succeeded()
        assert [seen(request) for request in file_site.requests] == ["Bearer t0ken-t0ken"] * 2
        assert seen(other.requests[0]) is None


def test_a_proxy_does_not_read_them(file_site, monkeypatch):
    monkeypatch.setenv("http_proxy", file_site.url)
    site = "http://localhost:9"
    Transfer(site, access=BEARER, sites=[site]).succeeded()
    assert file_site.requests[0].target.startswith(site) and seen(file_site.requests[0]) is None


def test_netrc_does_not_take_the_place_of_a_token(file_site, netrc):
    Transfer(file_site, access=BEARER, sites=[file_site.url]).succeeded()
    assert seen(file_site.requests[0]) == "Bearer t0ken-t0ken"


@pytest.mark.parametrize("status", [401, 403])
def test_what_to_do_about_a_refusal(file_site, misbehaviours, status):
    file_site.misbehave("*", misbehaviours.status(status))
    hints = [Transfer(file_site, access=access, sites=sites).failed("HTTP %d" % status, status=status).error.hint
             for access, sites in ((None, []), (BEARER, [file_site.url]), (BEARER, []))]
    assert len(set(hints)) == 3
    wants, not_good, kept_back = hints
    assert "url_token" in wants and "credentials" in not_good and "kept back" in kept_back


@pytest.mark.parametrize("access", EACH, ids=NAMES)
def test_a_site_that_repeats_them_is_not_quoted(file_site, access):
    def echo(exchange):
        text = seen(exchange.request).rpartition(" ")[2]
        exchange.reply(exchange.honest()._replace(
            headers={"Content-Type": "text/html; %s" % text}, body=("<html>%s" % text).encode()))

    file_site.misbehave(NAME, echo)
    error = Transfer(file_site, access=access, sites=[file_site.url]).failed("is a web page", status=200).error
    assert str(error).count("********") == 2
    for secret in _credentials.secrets(access):
        assert secret not in str(error)


def test_a_redirect_that_repeats_them_in_its_path_is_not_quoted(file_site, misbehaviours):
    file_site.misbehave(NAME, misbehaviours.redirect("/gone/%s" % BEARER.token))
    with _fetch.Fetcher(10, 1, access=BEARER, sites=[file_site.url]) as fetcher:
        with pytest.raises(_errors.FetchError) as caught:
            fetcher.read("%s/%s" % (file_site.url, NAME), 1 << 20, "x")
    assert "/gone/********: HTTP 404" in str(caught.value)
    assert caught.value.url == file_site.url + "/gone/********"


def test_the_agent(file_site):
    Transfer(file_site).succeeded()
    Transfer(file_site, access=Access(http_agent="ours/1.0")).succeeded()
    agents = [request.headers["User-Agent"] for request in file_site.requests]
    assert agents == ["iac_platform.terraform/0.1.0", "ours/1.0"]
