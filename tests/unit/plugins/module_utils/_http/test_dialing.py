# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to hosts with several addresses, some of them dead: real sockets, and an answer of the resolver made up."""

import errno
import socket

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._http import dialing
from support.system import listening

FOREVER = 3600  # seconds: who tries one address after the other does not come back


@pytest.fixture
def network(monkeypatch):
    """A good port, the same one of two addresses that do not answer, and callable(addresses): what the resolver says."""
    with listening() as good:
        port = good.getsockname()[1]
        with listening("127.0.0.2", port, True), listening("127.0.0.3", port, True):

            def resolve(*addresses):
                found = [
                    (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                    for address in addresses
                ]
                monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments: found)
                return port

            yield resolve


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["127.0.0.2", "127.0.0.1"],
        ["127.0.0.2", "127.0.0.3", "127.0.0.2", "127.0.0.3", "127.0.0.1"],
        ["127.0.0.9", "127.0.0.1"],
        ["127.0.0.9", "127.0.0.2", "127.0.0.9", "127.0.0.1"],
        ["2001:db8::1", "127.0.0.1"],
        ["2001:db8::1"] * 8 + ["127.0.0.2", "127.0.0.1"],
    ],
)
def test_the_address_that_answers_is_taken(network, addresses):
    """127.0.0.9 refuses, and 2001:db8::1 is for documentation alone (RFC 3849)."""
    port = network(*addresses)
    with dialing.open_connection("host.example", port, FOREVER, [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]) as made:
        assert made.getpeername() == ("127.0.0.1", port) and made.gettimeout() == FOREVER
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_attempt_that_fails_has_the_next_one_begin_at_once(network, monkeypatch):
    monkeypatch.setattr(dialing, "DELAY", FOREVER)
    dialing.open_connection("host.example", network("127.0.0.9", "127.0.0.9", "127.0.0.1"), FOREVER).close()


def test_no_address_answers(network):
    with pytest.raises(socket.timeout):
        dialing.open_connection("host.example", network("127.0.0.2", "127.0.0.3"), 0.01)


@pytest.mark.parametrize(
    "addresses", [["127.0.0.9"], ["::ffff:0:0:1", "127.0.0.9"], ["127.0.0.9", "2001:db8::1:ffff:ffff"]]
)
def test_the_most_informative_failure_is_reported(network, addresses, monkeypatch):
    port = network(*addresses)
    real = dialing._begin

    def begin(address, options):
        if address[0] == socket.AF_INET6:
            raise OSError(errno.ENETUNREACH, "no way")
        return real(address, options)

    monkeypatch.setattr(dialing, "_begin", begin)
    with pytest.raises(OSError) as caught:
        dialing.open_connection("host.example", port, FOREVER)
    assert caught.value.errno == errno.ECONNREFUSED


def test_nothing_stays_open(network, monkeypatch):
    made, real = [], socket.socket

    class Counted(real):
        def __init__(self, *arguments, **more):
            super().__init__(*arguments, **more)
            made.append(self)

    port = network("127.0.0.2", "127.0.0.3", "127.0.0.9", "127.0.0.1")
    monkeypatch.setattr(socket, "socket", Counted)
    dialing.open_connection("host.example", port, FOREVER).close()
    assert len(made) == 4 and all(each.fileno() == -1 for each in made)


def test_the_families_take_turns():
    six, four = (socket.AF_INET6, "a"), (socket.AF_INET, "b")
    assert dialing._interleave([six, six, six, four, four]) == [six, four, six, four, six]
    assert dialing._interleave([four, six]) == [four, six] and dialing._interleave([six]) == [six]


def test_a_name_that_is_none():
    with pytest.raises(socket.gaierror):
        dialing.open_connection("releases.invalid", 443, 1)
