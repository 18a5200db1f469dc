# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from a real server over real sockets, and from local files: what comes of them, and what becomes of the sink."""

import errno
import hashlib
import os
import signal
import socket
import sys
from urllib.parse import quote

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._http import client, session
from support.transfers import BODY, CAP, NAME, SECRET, Sink, Transfer

pytestmark = pytest.mark.usefixtures("bare_environment")


def test_download(file_site):
    transfer = Transfer(file_site).succeeded()
    assert transfer.sink.calls[0] == ("reserve", 640000)
    assert set(transfer.sink.calls[1:]) == {("write",)} and len(transfer.sink.calls) > 2
    assert len(transfer.lines) == 1
    assert transfer.downloaded == 640000
    (request,) = file_site.requests
    assert request.headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in request.headers
    assert request.query == "token=" + SECRET


def test_read(file_site):
    lines = []
    with client.Fetcher(10, 1, lambda line, warning=False: lines.append(line)) as fetcher:
        url = "%s/%s" % (file_site.url, NAME)
        assert fetcher.read(url, CAP, "SHA256SUMS") == BODY
        assert fetcher.read(url, CAP, "signature") == BODY
        assert fetcher.downloaded == 2 * 640000
    assert lines == ["%s received: 640000 bytes from %s" % (what, url) for what in ("SHA256SUMS", "signature")]


def test_a_fetcher_may_be_silent_and_used_again(file_site):
    fetcher = client.Fetcher(10, 1)
    for dummy in range(2):
        with fetcher:
            assert fetcher.read("%s/%s" % (file_site.url, NAME), CAP, "x") == BODY
        assert not fetcher._connections


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("chunk", ()),
        ("chunk_with_length", ()),
        ("no_length", ()),
        ("overlong", ()),
        ("overlong", (300000 * b"x",)),
        ("delay", (0.01,)),
        ("trickle", (0.001, 20000)),
        ("slow_head", (0.001,)),
        ("no_etag", ()),
    ],
)
def test_unusual_but_right(file_site, misbehaviours, name, arguments):
    file_site.misbehave("*", getattr(misbehaviours, name)(*arguments))
    transfer = Transfer(file_site).succeeded()
    announced = ("reserve", 640000) in transfer.sink.calls
    assert announced == (name not in ("chunk", "chunk_with_length", "no_length"))


def test_the_thread_that_asks_takes_no_stop(file_site, monkeypatch):
    """It may outlive the deadline, and the main thread may have blocked those signals while it changes something."""
    real, blocked = session.Session.get, []

    def get(*arguments):
        blocked.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        return real(*arguments)

    monkeypatch.setattr(session.Session, "get", get)
    Transfer(file_site).succeeded()
    assert blocked[0] >= {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_an_empty_file(file_site):
    file_site.put(NAME, b"")
    transfer = Transfer(file_site)
    assert transfer.received == client.DownloadResult(0, hashlib.sha256(b"").hexdigest())


def test_ipv6(signing_key):
    from release_site import Site

    try:
        running = Site(key=signing_key, hosts=("::1",))
        running.put(NAME, BODY)
        running.start()
    except OSError as exc:
        pytest.skip("no IPv6 here: %s" % exc)
    try:
        assert "[::1]" in Transfer(running).succeeded().url
    finally:
        running.stop()


class OwnFetchError(_errors.FetchError):
    pass


@pytest.mark.parametrize("at", ["reserve", "write"])
@pytest.mark.parametrize(
    "kind",
    [
        lambda: OSError(errno.ENOSPC, "full"),
        lambda: _errors.InstallError("no", errno=errno.ENOSPC),
        lambda: ValueError("no"),
        lambda: ConnectionResetError(errno.ECONNRESET, "no"),
        lambda: socket.timeout("no"),
        lambda: __import__("requests").ConnectionError("no"),
        lambda: __import__("urllib3").exceptions.ProtocolError("no"),
        lambda: __import__("http.client").client.IncompleteRead(b""),
    ],
    ids=range(8),
)
def test_errors_of_the_sink_pass_untouched(file_site, kind, at):
    failure = kind()
    sink = Sink(failure, at)
    with pytest.raises(type(failure)) as caught:
        Transfer(file_site, retries=4, sink=sink)
    assert caught.value is failure
    assert file_site.counts(NAME).requests == 1
    assert ("restart",) not in sink.calls


def test_an_error_while_starting_again_passes_untouched(file_site, misbehaviours):
    file_site.misbehave("*", misbehaviours.truncate(100000), times=1)
    file_site.misbehave("*", misbehaviours.changing_etag())
    failure = OSError(errno.EIO, "broken")
    with pytest.raises(OSError) as caught:
        Transfer(file_site, retries=4, sink=Sink(failure, "restart"))
    assert caught.value is failure


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a b%c").mkdir()
    (tmp_path / "a b%c" / "file.bin").write_bytes(BODY)
    return tmp_path


def file_url(path, host=""):
    return "file://%s%s" % (host, quote(str(path)))


@pytest.mark.parametrize("host", ["", "localhost"])
def test_a_file(folder, host):
    url = file_url(folder / "a b%c", host)
    transfer = Transfer(url, query="", path="file.bin")
    transfer.succeeded()
    assert transfer.sink.calls[0] == ("reserve", 640000)
    assert transfer.downloaded == 0


def test_a_file_needs_no_requests(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "requests", None)
    with client.Fetcher(10, 1) as fetcher:
        assert fetcher.read(file_url(folder / "a b%c" / "file.bin"), CAP, "x") == BODY


@pytest.mark.parametrize("missing", ["requests", "urllib3"])
def test_no_requests_here(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with client.Fetcher(10, 4, machine="the target") as fetcher, pytest.raises(_errors.MissingDependency) as caught:
        fetcher.read("https://releases.example.com/x?" + SECRET, CAP, "x")
    assert "requests is not installed for the target's Python, %s (" % sys.executable in str(caught.value)
    assert SECRET not in str(caught.value)
    for way in ("python3-requests", "pip", "download: controller", "archive"):
        assert way in caught.value.hint


@pytest.mark.parametrize("name", ["missing", "missing/missing", "a b%c/file.bin/missing"])
def test_a_file_that_is_not_there_is_like_404(folder, name):
    with client.Fetcher(10, 4) as fetcher, pytest.raises(_errors.FetchError) as caught:
        fetcher.read(file_url(folder / name), CAP, "SHA256SUMS")
    error = caught.value
    assert (error.status, error.retry, error.next_site) == (404, False, True)
    assert error.errno in (errno.ENOENT, errno.ENOTDIR)
    assert error.path == str(folder / name)
    assert error.hint


@pytest.mark.parametrize("kind", ["directory", "fifo"])
def test_what_is_no_regular_file(folder, kind):
    path = folder / "odd"
    if kind == "fifo":
        os.mkfifo(str(path))
    else:
        path.mkdir()
    with client.Fetcher(10, 4) as fetcher, pytest.raises(_errors.FetchError) as caught:
        fetcher.read(file_url(path), CAP, "SHA256SUMS")
    assert caught.value.status is None
    assert "Is a directory (EISDIR)" in str(caught.value) or "not a regular file (mode 10" in str(caught.value)


def test_a_file_that_may_not_be_read(folder):
    path = folder / "secret"
    path.write_bytes(b"x")
    path.chmod(0)
    if os.access(str(path), os.R_OK):
        pytest.skip("root reads everything")
    with client.Fetcher(10, 4) as fetcher, pytest.raises(_errors.FetchError) as caught:
        fetcher.read(file_url(path), CAP, "SHA256SUMS")
    assert caught.value.errno == errno.EACCES and caught.value.status is None


def test_a_file_above_the_cap(folder):
    with client.Fetcher(10, 4) as fetcher, pytest.raises(_errors.FetchError) as caught:
        fetcher.read(file_url(folder / "a b%c" / "file.bin"), 639999, "x")
    assert "announces 640000 bytes: at most 639999" in str(caught.value)


def test_a_file_that_shrinks_meanwhile(folder):
    path = folder / "a b%c" / "file.bin"

    class Shrink(Sink):
        def write(self, block):
            super().write(block)
            os.truncate(str(path), 300000)

    transfer = Transfer(file_url(folder / "a b%c"), query="", path="file.bin", sink=Shrink())
    assert "was cut short: " in str(transfer.error)


def test_a_file_that_grows_meanwhile(folder):
    path = folder / "a b%c" / "file.bin"

    class Grow(Sink):
        def write(self, block):
            super().write(block)
            with open(str(path), "ab") as file:
                file.write(b"more")

    Transfer(file_url(folder / "a b%c"), query="", path="file.bin", sink=Grow()).succeeded()
