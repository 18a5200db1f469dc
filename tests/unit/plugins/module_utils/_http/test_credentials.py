# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is shown of the credentials, and to whom: by rule, and as a site sees it."""

import base64

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._http import client, credentials, transport_errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._records import PUBLIC_SITE, ConnectionOptions
from support.transfers import BODY, NAME, Transfer

pytestmark = pytest.mark.usefixtures("bare_environment")
BASIC = ConnectionOptions(username="alice", password="s3cr3t:w\u00f6rd")
BEARER = ConnectionOptions(token="t0ken-t0ken")
HEADERS = ConnectionOptions(headers=(("X-Api-Key", "k3y-k3y-k3y"), ("X-Short", "1")))
EACH = [BASIC, BEARER, HEADERS]
NAMES = ["basic", "bearer", "headers"]


def seen(request):
    """The credentials that came with a request."""
    return request.headers["Authorization"] or request.headers["X-Api-Key"]


def expected(access):
    return next(value for value in credentials.headers_for(access).values())


def test_the_headers():
    basic = base64.b64encode("alice:s3cr3t:w\u00f6rd".encode("utf-8")).decode()
    assert credentials.headers_for(BASIC) == {"Authorization": "Basic " + basic}
    assert credentials.headers_for(ConnectionOptions(username="alice")) == {"Authorization": "Basic YWxpY2U6"}
    assert credentials.headers_for(BEARER) == {"Authorization": "Bearer t0ken-t0ken"}
    assert credentials.headers_for(HEADERS) == {"X-Api-Key": "k3y-k3y-k3y", "X-Short": "1"}
    assert credentials.headers_for(ConnectionOptions()) == {}


def test_the_secrets():
    assert BASIC.password in credentials.secrets(BASIC)
    assert expected(BASIC)[len("Basic ") :] in credentials.secrets(BASIC)
    assert credentials.secrets(BEARER) == ("t0ken-t0ken",)
    assert credentials.secrets(HEADERS) == ("k3y-k3y-k3y",)
    assert credentials.secrets(ConnectionOptions()) == ()


def params(**given):
    return dict(
        {
            "url_username": None,
            "url_password": None,
            "url_token": None,
            "url_headers": None,
            "version": "1.13.4",
            "base_dir": "/opt/terraform-binaries",
        },
        **given,
    )


@pytest.mark.parametrize(
    "given, environ, expected",
    [
        ({}, {}, ()),
        ({"url_token": "t0ken-of-alice"}, {}, ("t0ken-of-alice",)),
        ({"url_token": "short"}, {}, ()),
        ({"url_headers": {"X": " h34der-of-alice ", "Y": "1", "Z": None}}, {}, ("h34der-of-alice",)),
        ({"url_headers": {"X": "Terraform"}, "headers": {"X": "Terraform"}}, {}, ()),  # it stands in every path
        ({"url_username": "alice", "url_password": "pass-w0rd"}, {}, ("pass-w0rd", "YWxpY2U6cGFzcy13MHJk")),
        (
            {},
            {"https_proxy": "http://bob:pr0xy%2Dof-bob@proxy:3128", "HOME": "x:passw0rd@y"},
            ("pr0xy%2Dof-bob", "pr0xy-of-bob", "Ym9iOnByMHh5LW9mLWJvYg=="),
        ),
        ({}, {"ALL_PROXY": "bob:p@ssw0rd@proxy"}, ("p@ssw0rd", "p@ssw0rd", "Ym9iOnBAc3N3MHJk")),
        ({}, {"http_proxy": "http://proxy:3128", "no_proxy": "a,b"}, ()),
    ],
)
def test_what_no_result_may_have(given, environ, expected):
    assert credentials.secrets_of(params(**given), environ) == expected


def test_what_a_proxy_repeats_is_redacted(file_site, misbehaviours):
    file_site.misbehave(NAME, misbehaviours.redirect("/gone/PR0XY-of-bob"))
    how = {"environ": {"http_proxy": "http://bob:pr0xy-of-bob@%s" % file_site.url.partition("//")[2]}}
    error = Transfer("http://far.test", **how).error
    assert "/gone/********: HTTP 404" in str(error) and error.url == "http://far.test/gone/********"


@pytest.mark.parametrize(
    "url, site, may",
    [
        ("https://a.example.com/x", "https://a.example.com:443", True),
        ("https://A.example.com/x", "https://a.example.com", True),
        ("HTTPS://a.example.com:/x", "https://a.example.com", True),
        ("https://a.example.com:8443/x", "https://a.example.com", False),
        ("https://b.example.com/x", "https://a.example.com", False),
        ("https://a.example.com.evil.com/x", "https://a.example.com", False),
        ("https://a.example.com./x", "https://a.example.com", False),
        ("https://a%2eexample.com/x", "https://a.example.com", False),
        ("https://\uff41.example.com/x", "https://a.example.com", False),
        ("https://a.example.com\\.evil.com/x", "https://a.example.com", False),
        ("https://evil.com\\@a.example.com/x", "https://a.example.com", False),
        ("http://a.example.com/x", "https://a.example.com", False),
        ("http://a.example.com/x", "http://a.example.com", False),
        ("https://a.example.com/x", "http://a.example.com", False),
        ("https://a.example.com:8443/x", "http://a.example.com:8443", False),
        ("http://127.0.0.1:80/x", "http://127.0.0.1", True),
        ("http://[::1]:8000/x", "http://[::1]:8000", True),
        ("http://[::1]:8000/x", "http://[0:0:0:0:0:0:0:1]:8000", False),
        ("http://localhost/x", "http://localhost", True),
        ("http://localhost/x", "http://127.0.0.1", False),
        ("http://localhost.example.com/x", "http://localhost.example.com", False),
        ("http://localhost./x", "http://localhost.", False),  # which the resolver asks the network for
        (PUBLIC_SITE + "/x", PUBLIC_SITE, False),
        (PUBLIC_SITE + "./x", PUBLIC_SITE + ".", False),
        (PUBLIC_SITE + ":8443/x", PUBLIC_SITE + ":8443", False),
        ("https://RELEASES.hashicorp.com/x", "https://RELEASES.hashicorp.com", False),
        ("file:///x", "file:///", False),
    ],
)
def test_which_urls_get_the_credentials(url, site, may):
    assert credentials.may_send_credentials(url, site) is may


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/x",
        "//x",
        "/x/y.zip",
        "/x?a=../../b",
        "/x%20y",
        "/x%2fy",
        "/sha256:abc",
        "/a..b/...c",
        "/@x/~y/",
    ],
)
def test_what_is_below_a_path(path):
    assert credentials.may_send_credentials("https://a.example.com/repo" + path, "https://a.example.com/repo") is True
    assert credentials.may_send_credentials("https://a.example.com/a%20b" + path, "https://a.example.com/a%20b") is True


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/x",
        "/repo2/x",
        "/repo.x",
        "/Repo/x",
        "/%72epo/x",
        "/re/po",
        "/x/repo/y",
        "//repo/x",
        "/repo/../x",
        "/repo/x/../../y",
        "/repo/..",
        "/repo/.",
        "/repo/./x",
        "/repo/../repo/x",
        "/x/../repo/y",
        "/repo/%2e%2e/x",
        "/repo/%2E./x",
        "/repo/.%2e",
        "/repo/%252e%252e/x",
        "/repo/%25252e%25252e/x",
        "/repo/%2525252525252e./x",
        "/repo%2f..%2fx",
        "/repo/..%2fx",
        "/repo/x%2f..%2f..%2fy",
        "/repo/..%252fx",
        "/repo/..\\x",
        "/repo/..%5cx",
        "/repo/..%255cx",
        "/repo\\..\\x",
        "/repo/x\\y",
        "/repo/..;/x",
        "/repo/..;a=b/x",
        "/repo/..%3b/x",
        "/repo/.;/x",
        "/repo/x;/y",
        "/repo/.../x",
        "/repo/..%00/x",
        "/repo/..%20/x",
        "/repo/.. /x",
        "/repo/..%09/x",
        "/repo/.\t./x",
        "/repo/%c0%ae%c0%ae/x",
        "/repo/%u002e%u002e/x",
        "/repo/\u2025/x",
        "/repo/%e2%80%a5/x",
        "/repo/%/x",
        "/repo/%2/x",
        "/repo/..%23",
        "/repo/..%3f",
        "?/repo/x",
        "#/repo/x",
        "/x?/repo/y",
    ],
)
def test_what_is_not_below_a_path(path):
    assert credentials.may_send_credentials("https://a.example.com" + path, "https://a.example.com/repo") is False


def test_a_request_begins_at_the_closest_of_the_sites():
    sites = [
        "https://a.example.com/x",
        "https://a.example.com",
        "https://a.example.com/repo",
        "https://b.example.com/repo",
    ]
    assert credentials.choose_site("https://a.example.com/repo/y", sites) == "https://a.example.com/repo"
    assert credentials.choose_site("https://a.example.com/repo2/y", sites) == "https://a.example.com"
    assert credentials.choose_site("https://c.example.com/repo/y", sites) is None
    assert credentials.choose_site(PUBLIC_SITE + "/x", [PUBLIC_SITE]) is None


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
        target = {"host": file_site.url.replace("127.0.0.1", "localhost"), "port": other.url, "scheme": running.url}[
            away
        ]
        file_site.misbehave(NAME, misbehaviours.redirect("%s/%s" % (target, NAME)), times=1)
        Transfer(file_site, access=access, sites=[file_site.url]).succeeded()
        last = {"host": file_site, "port": other, "scheme": running}[away].requests[-1]
        assert seen(file_site.requests[0]) == expected(access) and seen(last) is None


@pytest.mark.parametrize("access", EACH, ids=NAMES)
def test_a_redirect_back_gets_none(file_site, misbehaviours, signing_key, access):
    from release_site import Site

    file_site.put("last", file_site.files[NAME].body)
    with Site(key=signing_key) as other:
        file_site.misbehave(NAME, misbehaviours.redirect(other.url + "/between"))
        other.misbehave("between", misbehaviours.redirect(file_site.url + "/last"))
        Transfer(file_site, access=access, sites=[file_site.url]).succeeded()
        assert [seen(request) for request in file_site.requests] == [expected(access), None]
        assert seen(other.requests[0]) is None


@pytest.mark.parametrize("access", EACH, ids=NAMES)
def test_a_redirect_to_another_site_that_was_named_gets_none(file_site, misbehaviours, signing_key, access):
    from release_site import Site

    with Site(key=signing_key) as other:
        other.files.update(file_site.files)
        file_site.misbehave(NAME, misbehaviours.redirect("%s/%s" % (other.url, NAME)))
        sites = [file_site.url, other.url]
        Transfer(file_site, access=access, sites=sites).succeeded()
        Transfer(other, access=access, sites=sites).succeeded()
        assert [seen(request) for request in other.requests] == [None, expected(access)]


# The site is some/, and the file is some/file.bin.
@pytest.mark.parametrize(
    "location, gets",
    [
        ("deep/file", True),
        ("/some/deep/file", True),
        ("{site}/some/deep/file?x=/../y", True),
        ("?again=1", True),
        ("//{host}/some/deep/file", True),
        ("/other", False),
        ("../other", False),
        ("/some2/file", False),
        ("/some/../other", False),
        ("/some/%2e%2e/other", False),
        ("/some/..%2fother", False),
        ("/some/%252e%252e/other", False),
        ("/some/..;/other", False),
        ("/some/..%5cother", False),
        ("//localhost:{port}/some/deep/file", False),
        ("//{host}/other", False),
    ],
)
def test_a_redirect_keeps_them_below_the_sites_path(file_site, misbehaviours, location, gets):
    host = file_site.url.partition("//")[2]
    location = location.format(site=file_site.url, host=host, port=host.rpartition(":")[2])
    file_site.misbehave(NAME, misbehaviours.redirect(location), times=1)
    file_site.misbehave("*", misbehaviours.replace(BODY))
    Transfer(file_site, access=BEARER, sites=[file_site.url + "/some"]).succeeded()
    assert [seen(request) for request in file_site.requests] == [
        "Bearer t0ken-t0ken",
        "Bearer t0ken-t0ken" if gets else None,
    ]


def test_a_redirect_that_leaves_the_path_and_comes_back_gets_none(file_site, misbehaviours):
    file_site.misbehave(NAME, misbehaviours.redirect("/other"), times=1)
    file_site.misbehave("other", misbehaviours.redirect("/" + NAME))
    Transfer(file_site, access=BEARER, sites=[file_site.url + "/some"]).succeeded()
    assert [seen(request) for request in file_site.requests] == ["Bearer t0ken-t0ken", None, None]


@pytest.mark.parametrize("path", ["../other/file", "%2e%2e/other/file", "x%2f..%2f..%2fother/file"])
def test_a_request_that_begins_outside_of_the_path_gets_none(file_site, misbehaviours, path):
    file_site.misbehave("*", misbehaviours.replace(BODY))
    Transfer(file_site, path="some/" + path, access=BEARER, sites=[file_site.url + "/some"]).succeeded()
    assert seen(file_site.requests[0]) is None


def test_no_proxy_reads_them(file_site, signing_key, monkeypatch):
    from release_site import Site

    with Site(key=signing_key) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        Transfer(file_site, access=BEARER, sites=[file_site.url]).succeeded()
        assert seen(file_site.requests[0]) == "Bearer t0ken-t0ken" and not proxy.requests


def test_netrc_does_not_take_the_place_of_a_token(file_site, netrc):
    Transfer(file_site, access=BEARER, sites=[file_site.url]).succeeded()
    assert seen(file_site.requests[0]) == "Bearer t0ken-t0ken"


@pytest.mark.parametrize("status", [401, 403])
def test_what_to_do_about_a_refusal(file_site, misbehaviours, status):
    file_site.misbehave("*", misbehaviours.status(status))
    hints = [
        Transfer(file_site, access=access, sites=sites).failed("HTTP %d" % status, status=status).error.hint
        for access, sites in ((None, []), (BEARER, [file_site.url]), (BEARER, []))
    ]
    assert len(set(hints)) == 3
    wants, not_good, not_sent = hints
    assert "url_token" in wants and "credentials" in not_good and "not sent" in not_sent


@pytest.mark.parametrize("access", EACH, ids=NAMES)
def test_a_site_that_repeats_them_is_not_quoted(file_site, access):
    def echo(exchange):
        text = seen(exchange.request).rpartition(" ")[2]
        exchange.reply(
            exchange.honest()._replace(
                headers={"Content-Type": "text/html; %s" % text}, body=("<html>%s" % text).encode()
            )
        )

    file_site.misbehave(NAME, echo)
    error = Transfer(file_site, access=access, sites=[file_site.url]).failed("is a web page", status=200).error
    assert str(error).endswith("Content-Type text/html, beginning with <html")
    for secret in credentials.secrets(access):
        assert secret not in str(error)


def test_a_redirect_that_repeats_them_in_its_path_is_not_quoted(file_site, misbehaviours):
    file_site.misbehave(NAME, misbehaviours.redirect("/gone/%s" % BEARER.token))
    with client.Fetcher(10, 1, access=BEARER, sites=[file_site.url]) as fetcher:
        with pytest.raises(_errors.FetchError) as caught:
            fetcher.read("%s/%s" % (file_site.url, NAME), 1 << 20, "x")
    assert "/gone/********: HTTP 404" in str(caught.value)
    assert caught.value.url == file_site.url + "/gone/********"


def test_the_agent(file_site):
    Transfer(file_site).succeeded()
    Transfer(file_site, access=ConnectionOptions(http_agent="ours/1.0")).succeeded()
    agents = [request.headers["User-Agent"] for request in file_site.requests]
    assert agents == ["iac_platform.terraform/0.1.0", "ours/1.0"]


@pytest.mark.parametrize(
    "place, shown, words",
    [
        ("https://a.example/x", credentials.NONE, "or hides it from those without credentials (url_token"),
        ("https://a.example/x", credentials.SENT, "or hides it from those with these credentials"),
        ("https://a.example/x", credentials.WITHHELD, "or hides it: the credentials were not sent"),
        (PUBLIC_SITE + "/x", credentials.WITHHELD, "this version and platform"),
    ],
)
def test_what_is_not_there_may_be_hidden(place, shown, words):
    hint = transport_errors.error_for_status(404, "", place, "x", shown).hint
    assert words in hint and ("hides" in hint) == (place != PUBLIC_SITE + "/x")
