# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens on a port of this machine, where it is believed what it says, or sent a secret."""

import errno
import os
import socket

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors, _records
from ansible_collections.iac_platform.terraform.plugins.module_utils._http import client, listeners
from support.system import NOBODY, ROOT, in_child
from support.transfers import NAME, SECRET, Transfer

pytestmark = pytest.mark.usefixtures("bare_environment")

linux = pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="this system does not say who listens")
as_root = pytest.mark.skipif(not ROOT, reason="only root can listen as another user")


def guard(path, what):
    raise AssertionError("no local file is opened here")


def listening(uid, address="127.0.0.1", family=socket.AF_INET, port=0):
    """A socket that the user listens on."""
    before = os.geteuid()
    os.seteuid(uid)
    try:
        made = socket.socket(family)
        made.bind((address, port))
        made.listen(1)
    finally:
        os.seteuid(before)
    return made


def check(port):
    listeners.check_listener("http://127.0.0.1:%d/x?%s" % (port, SECRET), "SHA256SUMS", "decides")


@linux
def test_our_own_port():
    with listening(os.geteuid()) as made:
        check(made.getsockname()[1])


@linux
@as_root
@pytest.mark.parametrize(
    "address, family",
    [
        ("127.0.0.1", socket.AF_INET),
        ("0.0.0.0", socket.AF_INET),
        ("127.9.9.9", socket.AF_INET),
        ("::", socket.AF_INET6),
        ("::1", socket.AF_INET6),
    ],
)
def test_the_port_of_another_user(address, family):
    with listening(NOBODY, address, family) as made:
        port = made.getsockname()[1]
        with pytest.raises(_errors.VerificationError) as caught:
            check(port)
        assert "the user with the number %d listens on port %d" % (NOBODY, port) in str(caught.value)
        assert SECRET not in str(caught.value) + caught.value.url


@linux
@as_root
def test_another_user_beside_root():
    with listening(0) as ours, listening(NOBODY, "127.0.0.2", port=ours.getsockname()[1]) as made:
        with pytest.raises(_errors.VerificationError):
            check(made.getsockname()[1])


@linux
@as_root
def test_roots_port_and_that_of_another_for_a_plain_user():
    def attempt(uid):
        with listening(uid) as made:
            os.setuid(NOBODY)
            try:
                check(made.getsockname()[1])
            except _errors.VerificationError:
                return "refused"
            return "passed"

    assert [in_child(lambda uid=uid: attempt(uid)) for uid in (0, NOBODY, NOBODY - 1)] == [
        "passed",
        "passed",
        "refused",
    ]


@linux
def test_nobody_listens():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(_errors.FetchError) as caught:
            check(bound.getsockname()[1])
    assert caught.value.errno == errno.ECONNREFUSED and caught.value.retry


def test_a_system_that_does_not_say(monkeypatch):
    monkeypatch.setattr(listeners, "_TABLES", ("/nowhere/tcp", "/nowhere/tcp6"))
    with pytest.raises(_errors.VerificationError, match="does not tell who listens on port 80"):
        listeners.check_listener("http://localhost/x", "SHA256SUMS", "decides")


@linux
def test_a_kernel_without_its_newer_half(monkeypatch):
    monkeypatch.setattr(listeners, "_TABLES", ("/proc/net/tcp", "/nowhere/tcp6"))
    with listening(os.geteuid()) as made:
        check(made.getsockname()[1])


@pytest.mark.parametrize(
    "how, asked",
    [
        ({"guard": guard}, 2),
        ({}, 0),
        ({"access": _records.ConnectionOptions(token=SECRET)}, 0),
        ({"access": _records.ConnectionOptions(token=SECRET), "sites": "named"}, 2),
    ],
)
def test_when_it_is_asked_who_listens(file_site, monkeypatch, how, asked):
    """Before a secret is sent, and again when the answer is there: it may have been another one's."""
    seen = []
    monkeypatch.setattr(client, "check_listener", lambda url, what, why: seen.append((len(file_site.requests), why)))
    Transfer(file_site, **dict(how, **{"sites": [file_site.url]} if "sites" in how else {})).succeeded()
    assert [number for number, _why in seen] == [0, 1][:asked]


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize(
    "how", [{"guard": guard}, {"access": _records.ConnectionOptions(token=SECRET), "sites": "named"}]
)
def test_the_site_of_another_user_is_not_believed_and_gets_no_secret(file_site, monkeypatch, at, how):
    def refuse(url, what, why):
        if len(file_site.requests) == at:
            raise _errors.VerificationError("%s %s" % (what, why))

    monkeypatch.setattr(client, "check_listener", refuse)
    with pytest.raises(_errors.VerificationError, match="archive (decides what is installed|gets the credentials)"):
        Transfer(file_site, **dict(how, **{"sites": [file_site.url]} if "sites" in how else {}))
    assert len(file_site.requests) == at


def test_a_redirect_to_a_port_of_another_user(file_site, misbehaviours, monkeypatch):
    def refuse(url, what, why):
        if url.endswith("/other"):
            raise _errors.VerificationError("refused")

    file_site.misbehave(NAME, misbehaviours.redirect("http://localhost:%d/other" % file_site.server.port))
    monkeypatch.setattr(client, "check_listener", refuse)
    with pytest.raises(_errors.VerificationError):
        Transfer(file_site, guard=guard)
    assert len(file_site.requests) == 1


def test_another_machines_port_is_not_looked_up(monkeypatch):
    def refuse(url, what, why):
        raise AssertionError("looked up")

    monkeypatch.setattr(client, "check_listener", refuse)
    assert Transfer("http://far.test:9", guard=guard, deadline=0).error is not None
