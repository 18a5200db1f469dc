# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real servers do what other tests take for granted, and are gone afterwards."""

import os

import pytest
import requests
from real_servers import PLACE, daemons, nginx, squid
from release_site.certificates import LOOPBACK, Authority
from support.system import ROOT, as_plain_user

BODY = bytes(range(256)) * 8
USERS = {"alice": "wonder-land"}


@pytest.fixture(scope="module")
def authority():
    return Authority("Origin")


@pytest.fixture(scope="module")
def certificates(authority, tmp_path_factory):
    """dict of path: the authority, a client of it, a client of another one."""
    folder = tmp_path_factory.mktemp("certificates")
    texts = {"authority": authority.pem, "client": authority.issue(("client",)), "untrusted": Authority().issue(("x",))}
    for name, text in texts.items():
        (folder / name).write_text(text)
    return {name: str(folder / name) for name in texts}


@pytest.fixture(scope="module")
def mirror(authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirror")
    (folder / "file").write_bytes(BODY)
    with nginx(str(folder), authority.issue(LOOPBACK + (PLACE,)), USERS, authority.pem) as running:
        yield running


@pytest.fixture(scope="module")
def ask():
    """requests without the environment."""
    session = requests.Session()
    session.trust_env = False
    return session.get


def place_of(mirror):
    return mirror.https.replace("127.0.0.1", PLACE) + "/file"


def test_nginx_serves_ranges_of_the_same_file(mirror, ask):
    whole = ask(mirror.http + "/file")
    part = ask(mirror.http + "/file", headers={"Range": "bytes=2000-", "If-Range": whole.headers["ETag"]})
    other = ask(mirror.http + "/file", headers={"Range": "bytes=2000-", "If-Range": '"other"'})
    assert (whole.status_code, part.status_code, other.status_code) == (200, 206, 200)
    assert whole.content == BODY and part.content == BODY[2000:]
    asked = [(request.status, request.bytes, request.range) for request in mirror.asked(mirror.http)]
    assert asked == [(200, 2048, ""), (206, 48, "bytes=2000-"), (200, 2048, "bytes=2000-")]


def test_nginx_lists_no_folder(mirror, ask):
    assert ask(mirror.http + "/").status_code == 403


def test_nginx_knows_its_users(mirror, ask):
    answers = [
        ask(mirror.guarded + "/file", auth=auth).status_code
        for auth in (None, ("alice", "no"), ("bob", "wonder-land"), ("alice", "wonder-land"))
    ]
    assert answers == [401, 401, 401, 200]
    assert mirror.asked(mirror.guarded)[-1].user == "alice"


def test_nginx_wants_a_certificate_of_its_authority(mirror, ask, certificates):
    answers = [
        ask(mirror.locked + "/file", verify=certificates["authority"], cert=cert)
        for cert in (None, certificates["untrusted"], certificates["client"])
    ]
    assert [answer.status_code for answer in answers] == [400, 400, 200]
    assert "html" in answers[0].headers["Content-Type"] and "No required SSL certificate" in answers[0].text


def test_squid_resolves_one_name(mirror, ask, authority, certificates):
    with squid(certificate=authority.issue()) as proxy:
        for url in (proxy.url, proxy.by_tls):
            assert ask(place_of(mirror), verify=certificates["authority"], proxies={"https": url}).content == BODY
        assert ask("http://other.test/file", proxies={"http": proxy.url}).status_code == 502
    assert not _answers(proxy.url)


def test_squid_knows_its_users(mirror, ask):
    with squid(users=USERS) as proxy:
        answers = [
            ask(mirror.http + "/file", proxies={"http": address}).status_code
            for address in (proxy.url, proxy.known("alice", "no"), proxy.known("alice", "wonder-land"))
        ]
        assert answers == [407, 407, 200]
        assert proxy.asked()[-1].user == "alice" and proxy.asked()[-1].url == mirror.http + "/file"


def test_squid_looks_into_tls(mirror, ask, authority, tmp_path):
    inspector = Authority("Inspector")
    (tmp_path / "inspector.pem").write_text(inspector.pem)
    with squid(inspector=inspector, origins=authority.pem) as proxy:
        answer = ask(place_of(mirror), verify=str(tmp_path / "inspector.pem"), proxies={"https": proxy.url})
        assert answer.content == BODY
        assert ("GET", place_of(mirror)) in [(asked.method, asked.url) for asked in proxy.asked()]


@pytest.mark.skipif(not ROOT, reason="a plain user has run all the others")
def test_they_run_for_a_plain_user(authority):
    uid, *urls = as_plain_user(lambda: start_both(authority))
    assert uid != 0 and not any(map(_answers, urls))


def start_both(authority):
    with squid(users=USERS, inspector=authority) as proxy, nginx(
        "/", authority.issue(), USERS, authority.pem
    ) as mirror:
        assert _answers(proxy.url) and _answers(mirror.locked)
        return os.geteuid(), proxy.url, mirror.http


def test_where_they_are_not_installed_the_test_is_skipped(authority, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(daemons, "_SYSTEM", "/nowhere")
    with pytest.raises(pytest.skip.Exception, match="squid is not installed"):
        as_plain_user(lambda: start_both(authority))


def test_a_program_that_does_not_come_up_is_shown(authority):
    with pytest.raises(AssertionError, match="PEM"):
        with nginx("/", "no certificate", USERS, authority.pem):
            pass


def _answers(url):
    return daemons.answers(int(url.rpartition(":")[2]))
