# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which proxy a URL goes through, by the variables of an environment."""

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._http import proxies

PROXY = "http://proxy.example.com:3128"


def choose(url="https://releases.example.com/x", **environ):
    found = proxies.choose_proxy(url, environ)
    return found and found.url


def test_nothing_is_set():
    assert choose() is None and choose(PATH="/bin", NO_PROXY="*") is None


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_variable_names_it(name):
    assert choose(**{name: PROXY}) == PROXY


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "no_proxy", "ftp_proxy"])
def test_a_variable_for_something_else_does_not(name):
    assert choose(**{name: PROXY}) is None


def test_plain_http_has_its_own():
    assert choose("http://x/", http_proxy=PROXY, https_proxy="http://other") == PROXY


def test_the_scheme_beats_all():
    assert choose(https_proxy=PROXY, all_proxy="http://other") == PROXY


def test_lower_case_decides_also_when_it_is_empty():
    assert choose(https_proxy=PROXY, HTTPS_PROXY="http://other") == PROXY
    assert choose(https_proxy="", HTTPS_PROXY=PROXY) is None


@pytest.mark.parametrize("written", ["proxy.example.com:3128", " proxy.example.com:3128 "])
def test_a_scheme_may_be_left_out(written):
    assert choose(https_proxy=written) == PROXY


@pytest.mark.parametrize(
    "host, exceptions, direct",
    [
        ("releases.example.com", "releases.example.com", True),
        ("releases.example.com", "example.com", True),
        ("releases.example.com", ".example.com", True),
        ("releases.example.com", "other.com, example.com", True),
        ("releases.example.com", "*", True),
        ("RELEASES.example.com", "releases.EXAMPLE.com", True),
        ("releases.example.com:8443", "releases.example.com:8443", True),
        ("releases.example.com:8443", "releases.example.com", True),
        ("releases.example.com:8443", "releases.example.com:443", False),
        ("releases.example.com", "ample.com", False),
        ("releases.example.com", "", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3:8443", "192.168.0.0/16,10.1.2.3/32", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.0.0.0/99", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("[fd00::1]", "fd00::/8", True),
        ("[fd00::1]:8443", "fd00::1", True),
        ("[fe00::1]", "fd00::/8", False),
        ("10.0.0.example.com", "10.0.0.0/8", False),
    ],
)
def test_exceptions(host, exceptions, direct):
    assert choose("https://%s/x" % host, https_proxy=PROXY, no_proxy=exceptions) == (None if direct else PROXY)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1",
        "127.0.0.1.",
        "127.9.9.9",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "localhost:3128",
    ],
)
def test_this_machine_is_asked_directly_whatever_is_set(host):
    for url in ("http://%s/x", "https://%s/x"):
        assert choose(url % host, http_proxy=PROXY, https_proxy=PROXY, all_proxy=PROXY, no_proxy="") is None


@pytest.mark.parametrize(
    "host", ["localhost.example.com", "127.0.0.1.example.com", "128.0.0.1", "[::2]", "mylocalhost"]
)
def test_what_only_looks_like_this_machine_is_not(host):
    assert choose("http://%s/x" % host, http_proxy=PROXY) == PROXY


def test_this_process_is_not_asked(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://other")
    monkeypatch.setenv("no_proxy", "*")
    assert choose() is None and choose(https_proxy=PROXY) == PROXY


@pytest.mark.parametrize(
    "url",
    [
        r"http://DOMAIN\user:word@proxy:3128",
        r"DOMAIN\user:word@proxy:3128",
        "http://user:w#rd@proxy",
        "http://user:w/rd@proxy:3128",
        "http://user:w?rd@proxy:3128",
        "http://us er:word@proxy",
        "http://user:[word@proxy:3128",
        "http://user:word@proxy:port",
    ],
)
def test_a_user_that_ends_the_url_is_refused(url):
    with pytest.raises(_errors.RequestError) as caught:
        choose(https_proxy=url)
    assert str(caught.value).startswith("https_proxy is not the URL of a proxy: its user or password")
    assert "%5C for a backslash" in caught.value.hint and "rd" not in str(caught.value).replace("word has", "")


@pytest.mark.parametrize(
    "url", ["http://", "http://:3128", "http://proxy:port", "http://[::1:3128", "http://proxy:99999"]
)
def test_what_is_no_proxy_is_refused(url):
    with pytest.raises(_errors.RequestError) as caught:
        choose(ALL_PROXY=url)
    assert str(caught.value) == "ALL_PROXY is not the URL of a proxy" and "http://host:port" in caught.value.hint


@pytest.mark.parametrize(
    "url", ["http://DOMAIN%5Cuser:w%40rd@proxy:3128", "http://user:w@rd@proxy:3128", "http://u:!$^|~@proxy"]
)
def test_users_that_are_read_alike(url):
    assert choose(https_proxy=url) == url


def test_how_it_is_shown():
    proxy = proxies.choose_proxy("https://x/", {"ALL_PROXY": "user:word@proxy:3128", "https_proxy": ""})
    assert str(proxy) == "proxy http://proxy:3128 (ALL_PROXY)"
