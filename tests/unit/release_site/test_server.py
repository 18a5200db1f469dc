# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The server: connections, records, and a stop that really stops."""

import errno
import http.client
import socket
import ssl
import threading
import urllib.error

import pytest
from support.system import PATIENCE, reserved_ports, wait_until
from support.web import get_url

pytest.importorskip("release_site")

from release_site import Site, certificates
from release_site.misbehaviours import stall


def test_get(site, ask, path, whole):
    answer = ask()
    assert (answer.status, answer.body) == (200, whole)
    assert answer.headers["Content-Length"] == str(len(whole))
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"].startswith('"') and answer.headers["Last-Modified"].endswith(" GMT")


def test_head_has_the_same_headers(ask):
    get, head = ask(), ask(method="HEAD")
    assert head.body == b""
    for answer in (get, head):
        answer_headers = dict(answer.headers.items())
        answer_headers.pop("Date")
        assert answer_headers["Content-Length"] == str(len(get.body))
        assert set(answer_headers) == {
            "Server",
            "Content-Type",
            "ETag",
            "Last-Modified",
            "Accept-Ranges",
            "Content-Length",
            "Connection",
        }


def test_other_files_have_other_etags(ask):
    first, second = ask(), ask("/terraform/index.json")
    assert first.headers["ETag"] != second.headers["ETag"]
    assert second.headers["Content-Type"] == "application/json"


def test_missing(ask):
    assert ask("/terraform/1.13.4/nothing").status == 404


def test_other_methods(site, ask):
    answer = ask(method="POST", connection=None)
    assert (answer.status, answer.headers["Allow"], answer.ending) == (405, "GET, HEAD", "closed")


def test_records(site, ask, path, whole):
    ask(path + "?a=b", X_Token="t")
    request = site.requests[0]
    assert (request.method, request.path, request.query, request.target) == ("GET", path, "a=b", path + "?a=b")
    assert (request.headers["x-token"], request.status, request.sent) == ("t", 200, len(whole))
    assert (request.connection, request.behaviour) == (1, "honest")
    assert wait_until(lambda: request.outcome) == "closed"


def test_counts(site, ask, path, whole):
    ask()
    ask(method="HEAD")
    ask("/terraform/index.json")
    assert site.counts("_linux_amd64.zip") == (2, len(whole))
    assert site.counts().requests == 3
    site.requests.clear()
    assert site.counts() == (0, 0)


def test_a_part_counts_as_a_part(site, ask):
    ask(Range="bytes=0-9")
    assert site.counts().bytes == 10


def test_many_requests_on_one_connection(site, path, whole):
    client = http.client.HTTPConnection(site.url[7:], timeout=PATIENCE)
    for _time in range(3):
        client.request("GET", path)
        assert client.getresponse().read() == whole
    client.request("GET", "/missing")
    assert client.getresponse().status == 404
    client.close()
    assert site.server.connections == 1
    assert {request.connection for request in site.requests} == {1}


def test_http_1_0(site, path):
    host, port = site.url[7:].split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
        client.sendall(b"GET %s HTTP/1.0\r\n\r\n" % path.encode())
        received = b"".join(iter(lambda: client.recv(65536), b""))
    assert b"\r\nConnection: close\r\n" in received


def test_a_proxy_request(site, ask, path, whole):
    answer = ask("http://releases.example" + path)
    assert answer.body == whole
    assert (site.requests[0].target, site.requests[0].path) == ("http://releases.example" + path, path)


def test_nonsense_is_no_request(site):
    host, port = site.url[7:].split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
        client.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert client.recv(100) == b""
    assert site.requests == []
    wait_until(lambda: site.server.broken)
    assert "not a request" in str(site.server.broken[0])


def test_many_at_once(site, path, whole):
    bodies = []
    threads = [threading.Thread(target=lambda: bodies.append(get_url(site.url + path).read())) for _number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bodies == [whole] * 12
    assert site.counts() == (12, 12 * len(whole))


@pytest.fixture
def steady(signing_key):
    """A site whose port nobody else gets while it is off."""
    with reserved_ports(1) as ports, Site(("1.13.4",), key=signing_key, port=ports[0]) as site:
        yield site


def test_off_and_on_again(steady, path):
    site, url, whole = steady, steady.url, steady.files[path[1:]].body
    get_url(url + path).read()  # leaves a connection of that port in TIME_WAIT
    client = http.client.HTTPConnection(url[7:], timeout=PATIENCE)
    client.request("GET", path)
    client.getresponse().read()
    site.stop()
    with pytest.raises(urllib.error.URLError) as refused:
        get_url(url + path)
    assert isinstance(refused.value.reason, ConnectionRefusedError)
    with pytest.raises((http.client.HTTPException, OSError)):
        client.request("GET", path)
        client.getresponse()
    client.close()
    site.stop()  # once more is nothing
    site.start()
    assert site.url == url
    assert get_url(url + path).read() == whole


def test_no_thread_stays(signing_key):
    before = set(threading.enumerate())
    with Site(("1.13.4",), key=signing_key) as site:
        site.misbehave("*", stall(at=1))
        client = socket.create_connection(site.url[7:].split(":"))
        client.sendall(b"GET /terraform/index.json HTTP/1.1\r\n\r\n")
        assert client.recv(10)
    client.close()
    assert set(threading.enumerate()) <= before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_behaviour_that_fails_fails_the_test(signing_key):
    site = Site(("1.13.4",), key=signing_key)
    site.start()
    site.misbehave("*", lambda exchange: exchange.no_such_thing())
    with pytest.raises(http.client.RemoteDisconnected):
        get_url(site.url + "/")
    with pytest.raises(RuntimeError, match="a behaviour failed"):
        site.stop()


def test_two_addresses(signing_key, path):
    with socket.socket(socket.AF_INET6) as probe:
        if probe.connect_ex(("::1", 9)) not in (0, errno.ECONNREFUSED):
            pytest.skip("no IPv6 loopback here")
    with Site(("1.13.4",), key=signing_key, hosts=("127.0.0.1", "::1")) as site:
        for host in ("127.0.0.1", "[::1]"):
            assert get_url("http://%s:%d%s" % (host, site.server.port, path)).status == 200
    with Site(key=signing_key, hosts=("::1",)) as site:
        assert site.url.startswith("http://[::1]:")


def test_a_port_that_is_taken(site, signing_key):
    with pytest.raises(OSError), Site(key=signing_key, port=site.server.port):
        pass


def test_tls(signing_key, path):
    with Site(("1.13.4",), key=signing_key, tls=True) as site:
        trusting = ssl.create_default_context(cadata=site.ca_pem)
        for host in ("127.0.0.1", "localhost"):
            url = "https://%s:%d%s" % (host, site.server.port, path)
            assert get_url(url, context=trusting).read() == site.files[path[1:]].body
        with pytest.raises(urllib.error.URLError, match="certificate verify failed"):
            get_url(site.url + path)
        wait_until(lambda: any(isinstance(error, ssl.SSLError) for error in site.server.broken))
        assert site.counts().requests == 2


def test_tls_close_is_a_clean_one(signing_key, path):
    with Site(("1.13.4",), key=signing_key, tls=True) as site:
        trusting = ssl.create_default_context(cadata=site.ca_pem)
        with socket.create_connection(("127.0.0.1", site.server.port), timeout=PATIENCE) as raw, trusting.wrap_socket(
            raw, server_hostname="127.0.0.1", suppress_ragged_eofs=False
        ) as client:
            client.sendall(b"GET %s HTTP/1.0\r\n\r\n" % path.encode())
            received = b"".join(iter(lambda: client.recv(65536), b""))
    assert received.endswith(site.files[path[1:]].body)


@pytest.mark.parametrize(
    "how, complaint",
    [
        (dict(days=(-10, -1)), "expired"),
        (dict(days=(2, 9)), "not yet valid"),
        (dict(names=("other.example",)), "IP address mismatch|certificate is not valid"),
    ],
)
def test_tls_certificates_to_refuse(signing_key, how, complaint):
    authority = certificates.Authority()
    with Site(key=signing_key, tls=authority.server_context(**how)) as site:
        trusting = ssl.create_default_context(cadata=authority.pem)
        with pytest.raises(urllib.error.URLError, match=complaint):
            get_url(site.url, context=trusting)


def test_tls_client_certificate(signing_key, tmp_path, path):
    authority = certificates.Authority()
    clients = certificates.Authority("Clients")
    context = authority.server_context(clients=clients.pem)
    mine = tmp_path / "client.pem"
    mine.write_text(clients.issue(["someone"]))
    with Site(("1.13.4",), key=signing_key, tls=context) as site:
        trusting = ssl.create_default_context(cadata=authority.pem)
        with pytest.raises(OSError):
            get_url(site.url + path, context=trusting)
        trusting.load_cert_chain(str(mine))
        assert get_url(site.url + path, context=trusting).status == 200
