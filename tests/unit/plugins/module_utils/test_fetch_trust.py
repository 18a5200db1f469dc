# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom TLS connections trust, and which way they take: certificates, authorities, proxies."""

import contextlib
import os
import re
import select
import socket
import socketserver
import subprocess
import threading

import pytest
from transfers import BODY, NAME, SECRET, Transfer

from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors

pytestmark = pytest.mark.usefixtures("bare_environment")


def trust(monkeypatch, tmp_path, bundle, way):
    """Have the authority trusted: by a variable, by the system's store, or by certifi."""
    if way == "system":
        asked = subprocess.run(
            ["openssl", "x509", "-noout", "-subject_hash", "-in", bundle], stdout=subprocess.PIPE, check=True)
        store = tmp_path / "store"
        store.mkdir()
        os.symlink(bundle, str(store / (asked.stdout.decode().strip() + ".0")))
        monkeypatch.setenv("SSL_CERT_DIR", str(store))
    elif way == "certifi":
        monkeypatch.setattr(pytest.importorskip("requests").certs, "where", lambda: bundle)
    else:
        monkeypatch.setenv(way, bundle)


@pytest.mark.parametrize("way", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "system", "certifi"])
def test_a_trusted_authority(secure, monkeypatch, tmp_path, way):
    running, bundle = secure
    trust(monkeypatch, tmp_path, bundle, way)
    Transfer(running).succeeded()


def test_an_unknown_authority(secure):
    running, dummy = secure
    transfer = Transfer(running, retries=4).failed("TLS: ")
    assert re.search("self.signed|unable to get|CERTIFICATE_VERIFY_FAILED", str(transfer.error))
    assert "trust store" in transfer.error.hint
    assert running.server.connections == 1


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_bundle_takes_the_place_of_the_other_stores(secure, monkeypatch, tmp_path, variable):
    running, bundle = secure
    trust(monkeypatch, tmp_path, bundle, "certifi")
    trust(monkeypatch, tmp_path, bundle, "system")
    from release_site.certificates import Authority
    other = tmp_path / "other.pem"
    other.write_text(Authority("Other").pem)
    monkeypatch.setenv(variable, str(other))
    Transfer(running).failed("TLS: ")


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_bundle_that_is_missing(secure, monkeypatch, variable):
    running, bundle = secure
    monkeypatch.setenv(variable, bundle + ".missing")
    with pytest.raises(_errors.RequestError) as caught:
        Transfer(running)
    assert str(caught.value) == "%s: read %s.missing: No such file or directory (ENOENT)" % (variable, bundle)
    assert caught.value.path == bundle + ".missing" and caught.value.hint
    assert running.server.connections == 0


@pytest.mark.parametrize("details", [dict(days=(-10, -1)), dict(names=("example.com",))])
def test_a_certificate_that_is_wrong(signing_key, monkeypatch, tmp_path, details):
    from release_site import Site
    from release_site.certificates import Authority
    authority = Authority()
    bundle = tmp_path / "ca.pem"
    bundle.write_text(authority.pem)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with Site(key=signing_key, tls=authority.server_context(**details)) as running:
        running.put(NAME, BODY)
        Transfer(running, retries=4).failed("TLS: ")
        assert running.server.connections == 1


def test_plain_http_behind_https(file_site):
    assert ": TLS: " in str(Transfer(file_site.url.replace("http:", "https:")).error)


def test_redirects_between_the_schemes(file_site, secure, misbehaviours, monkeypatch):
    running, bundle = secure
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    file_site.misbehave(NAME, misbehaviours.redirect(running.url + "/" + NAME))
    Transfer(file_site).succeeded()
    running.misbehave(NAME, misbehaviours.redirect(file_site.url + "/" + NAME))
    asked = len(file_site.requests)
    Transfer(running, retries=4).failed("which is not followed: only https without user and password is")
    assert len(file_site.requests) == asked


def test_a_proxy_from_the_environment(file_site, monkeypatch):
    monkeypatch.setenv("http_proxy", file_site.url)
    Transfer("http://releases.invalid").succeeded()
    (request,) = file_site.requests
    assert request.target == "http://releases.invalid/%s?token=%s" % (NAME, SECRET)


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "127.0.0.0/8", "localhost, 127.0.0.1"])
def test_no_proxy(file_site, monkeypatch, no_proxy):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", no_proxy)
    Transfer(file_site).succeeded()


def test_a_proxy_that_is_not_there(file_site, monkeypatch):
    file_site.stop()
    monkeypatch.setenv("http_proxy", file_site.url.replace("//", "//user:%s@" % SECRET))
    transfer = Transfer("http://releases.invalid", retries=2)
    transfer.failed("proxy: Connection refused (ECONNREFUSED)", retry=True)
    assert "https_proxy" in transfer.error.hint


def test_a_proxy_that_refuses(file_site, misbehaviours, monkeypatch):
    file_site.misbehave("*", misbehaviours.status(407))
    monkeypatch.setenv("http_proxy", file_site.url)
    transfer = Transfer("http://releases.invalid", retries=2).failed("HTTP 407", status=407)
    assert "password" in transfer.error.hint


def test_a_proxy_that_refuses_to_connect(file_site, monkeypatch):
    monkeypatch.setenv("https_proxy", file_site.url)   # it answers 405 to CONNECT
    Transfer("https://releases.invalid", retries=2).failed("the proxy answers HTTP 405")
    assert [request.method for request in file_site.requests] == ["CONNECT"]


class Tunnel(socketserver.BaseRequestHandler):
    """An HTTP proxy that knows CONNECT alone and always leads to one place."""

    def handle(self):
        request = b""
        while b"\r\n\r\n" not in request:
            request += self.request.recv(4096)
        self.server.asked.append(request.split(b"\r\n")[0])
        with contextlib.closing(socket.create_connection(self.server.leads_to)) as site:
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                for readable in select.select([site, self.request], [], [])[0]:
                    data = readable.recv(65536)
                    if not data:
                        return
                    (site if readable is self.request else self.request).sendall(data)


@pytest.mark.parametrize("way", ["REQUESTS_CA_BUNDLE", "system", "certifi"])
def test_https_through_a_proxy(secure, monkeypatch, tmp_path, way):
    running, bundle = secure
    trust(monkeypatch, tmp_path, bundle, way)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as proxy:
        proxy.daemon_threads, proxy.asked, proxy.leads_to = True, [], ("127.0.0.1", running.server.port)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        monkeypatch.setenv("HTTPS_PROXY", "127.0.0.1:%d" % proxy.server_address[1])     # some write no scheme
        Transfer(running).succeeded()
        proxy.shutdown()
    assert proxy.asked == [b"CONNECT 127.0.0.1:%d HTTP/1.1" % running.server.port] or \
        proxy.asked == [b"CONNECT 127.0.0.1:%d HTTP/1.0" % running.server.port]


def test_netrc_is_not_read(file_site, monkeypatch, tmp_path):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\ndefault login user password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    Transfer(file_site).succeeded()
    assert "Authorization" not in file_site.requests[0].headers
