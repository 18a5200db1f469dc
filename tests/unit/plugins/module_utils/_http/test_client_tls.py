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
import ssl
import subprocess
import threading

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._http import certificates, client, transport_errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._records import ConnectionOptions
from support.transfers import BODY, FAR, NAME, SECRET, Transfer

pytestmark = pytest.mark.usefixtures("bare_environment")


def owners(monkeypatch, tmp_path, bundle, way):
    """Have the authority trusted: by an option, a variable, the system's store, or certifi. Returns the Access."""
    if way == "ca_path":
        return ConnectionOptions(ca_path=bundle)
    if way == "system":
        asked = subprocess.run(
            ["openssl", "x509", "-noout", "-subject_hash", "-in", bundle], stdout=subprocess.PIPE, check=True
        )
        store = tmp_path / "store"
        store.mkdir()
        os.symlink(bundle, str(store / (asked.stdout.decode().strip() + ".0")))
        monkeypatch.setenv("SSL_CERT_DIR", str(store))
    elif way == "certifi":
        monkeypatch.setattr(pytest.importorskip("requests").certs, "where", lambda: bundle)
    else:
        monkeypatch.setenv(way, bundle)
    return ConnectionOptions()


def far(site):
    """The URL of a site by the name that only a proxy knows: loopback is asked directly."""
    return site.url.replace("127.0.0.1", FAR)


class Tunnel(socketserver.BaseRequestHandler):
    """An HTTP proxy that knows CONNECT alone and always leads to one place."""

    def handle(self):
        request = b""
        while b"\r\n\r\n" not in request:
            data = self.request.recv(4096)
            if not data:
                return
            request += data
        self.server.asked.append(request.split(b"\r\n")[0])
        with contextlib.closing(socket.create_connection(self.server.leads_to)) as site:
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                for readable in select.select([site, self.request], [], [])[0]:
                    data = readable.recv(65536)
                    if not data:
                        return
                    (site if readable is self.request else self.request).sendall(data)


@contextlib.contextmanager
def leading_to(site, tls=None):
    """A proxy for https that leads to the site whatever it is asked for; ``url``, and ``asked``: the request lines.

    :param tls: ssl.SSLContext, for a proxy that is spoken to by TLS itself.
    """
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as proxy:
        if tls:
            proxy.socket = tls.wrap_socket(proxy.socket, server_side=True)
        proxy.daemon_threads, proxy.asked, proxy.leads_to = True, [], ("127.0.0.1", site.server.port)
        proxy.url = "%s://127.0.0.1:%d" % ("https" if tls else "http", proxy.server_address[1])
        threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.shutdown()


@pytest.mark.parametrize("way", ["ca_path", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "system", "certifi"])
def test_a_trusted_authority(secure, monkeypatch, tmp_path, way):
    running, bundle = secure
    Transfer(running, access=owners(monkeypatch, tmp_path, bundle, way)).succeeded()


def test_a_directory_of_authorities(secure, monkeypatch, tmp_path):
    running, bundle = secure
    owners(monkeypatch, tmp_path, bundle, "system")
    Transfer(running, access=ConnectionOptions(ca_path=str(tmp_path / "store")), environ={}).succeeded()


def test_the_systems_store_may_be_named_in_the_environment_that_is_given(secure, monkeypatch, tmp_path):
    running, bundle = secure
    owners(monkeypatch, tmp_path, bundle, "system")
    monkeypatch.delenv("SSL_CERT_DIR")
    Transfer(running, environ={}).failed("TLS: ")
    Transfer(running, environ={"SSL_CERT_DIR": "/missing:%s" % (tmp_path / "store")}).succeeded()


def test_the_environment_that_is_given_decides_and_not_that_of_the_process(secure, monkeypatch):
    running, bundle = secure
    Transfer(running, environ={"REQUESTS_CA_BUNDLE": bundle}).succeeded()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    Transfer(running, environ={}).failed("TLS: ")


def test_an_unknown_authority(secure):
    running, dummy = secure
    transfer = Transfer(running, retries=4).failed("TLS: ")
    assert re.search("self.signed|unable to get|CERTIFICATE_VERIFY_FAILED", str(transfer.error))
    assert "(issued by 'Demo CA')" in str(transfer.error) and "ca_path" in transfer.error.hint
    assert "; trusted: the system's trust store and the one of requests" in transfer.error.hint
    assert running.server.connections == 2 and not running.requests  # the second one to look at the certificate


@pytest.mark.parametrize("way", ["ca_path", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_bundle_takes_the_place_of_the_other_stores(secure, monkeypatch, tmp_path, way):
    running, bundle = secure
    owners(monkeypatch, tmp_path, bundle, "certifi")
    owners(monkeypatch, tmp_path, bundle, "system")
    if way == "ca_path":
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    from release_site.certificates import Authority

    other = tmp_path / "other.pem"
    other.write_text(Authority("Other").pem)
    transfer = Transfer(running, access=owners(monkeypatch, tmp_path, str(other), way)).failed("TLS: ")
    assert "; trusted: %s %s" % (way, other) in transfer.error.hint


@pytest.mark.parametrize("way", ["ca_path", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
@pytest.mark.parametrize(
    "content, message",
    [
        (None, "{way}: read {path}: No such file or directory (ENOENT)"),
        (b"", "{way} {path} has no CA certificate in PEM form"),
        (b"no certificate", "{way} {path} has no CA certificate in PEM form"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "{way} {path} has no CA certificate in PEM form",
        ),
    ],
)
def test_bundles_that_are_none(secure, monkeypatch, tmp_path, way, content, message):
    running, dummy = secure
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(_errors.RequestError) as caught:
        Transfer(running, access=owners(monkeypatch, tmp_path, str(path), way))
    assert str(caught.value) == message.format(way=way, path=path)
    assert caught.value.path == str(path) and caught.value.hint
    assert running.server.connections == 0


DATE = r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9:]{8}Z"
DATES = r"\(good from %s to %s; the clock says %s\)" % (DATE, DATE, DATE)


@pytest.mark.parametrize(
    "details, found, hint",
    [
        (dict(days=(-10, -1)), "expired' " + DATES, "renew"),
        (dict(days=(2, 9)), "not yet valid' " + DATES, "set it"),
        (dict(names=("example.com",)), r"mismatch.*\(it is for 'example\.com'\)", "a name that its certificate has"),
        (
            dict(names=("a.example", "192.0.2.1", "2001:db8::1", "b.example")),
            r"\(it is for 'a\.example', '192\.0\.2\.1', '2001:db8::1' and 1 more\)",
            "a name that its certificate has",
        ),
    ],
)
@pytest.mark.parametrize("proxied", [False, True])
def test_a_certificate_that_is_wrong(signing_key, monkeypatch, tmp_path, details, found, hint, proxied):
    from release_site import Site
    from release_site.certificates import LOOPBACK, Authority

    authority = Authority()
    bundle = tmp_path / "ca.pem"
    bundle.write_text(authority.pem)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    context = authority.server_context(**dict({"names": LOOPBACK + (FAR,)}, **details))
    with Site(key=signing_key, tls=context) as running, leading_to(running) as proxy:
        running.put(NAME, BODY)
        monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//user:%s@" % SECRET))
        error = Transfer(far(running) if proxied else running, retries=4).failed("TLS: ").error
        assert re.search(found, str(error)) and hint in error.hint
        assert ("through proxy %s (https_proxy)" % proxy.url in str(error)) == proxied
        assert running.server.connections == 2 and not running.requests and len(proxy.asked) == 2 * proxied


@pytest.mark.parametrize(
    "dates, hint",
    [
        (("2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z"), "renew its certificate"),
        (("2020-01-01T00:00:00Z", "9999-01-01T00:00:00Z"), "; trusted: THE STORE"),
        (None, "; trusted: THE STORE"),
    ],
)
def test_python_3_6_does_not_say_why(dates, hint):
    failure = ssl.SSLError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:852)")
    failure.reason = "CERTIFICATE_VERIFY_FAILED"
    shown = dates and certificates.Certificate(*dates, issuer="CA", names=())
    assert hint in transport_errors.describe_transport_error(failure, 1, "THE STORE", lambda by_proxy: shown)[2]


def test_older_urllib3_compares_names_itself():
    class CertificateError(ValueError):
        pass

    shown = certificates.Certificate("", "", None, ("a", "b"))
    reason, retry, hint = transport_errors.describe_transport_error(
        CertificateError("hostname 'x' doesn't match either of 'a', 'b'"), 1, "", lambda by_proxy: shown
    )
    assert "(it is for 'a', 'b')" in reason and not retry and "a name that its certificate has" in hint


def test_a_certificate_that_cannot_be_looked_at(secure, monkeypatch):
    running, dummy = secure
    monkeypatch.setattr(client, "look_up", lambda *arguments, **more: None)
    Transfer(running).failed("TLS: ")


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_bundle_of_requests_that_is_broken(secure, file_site, monkeypatch, tmp_path, content):
    """It matters as soon as something is asked by https."""
    path = tmp_path / "certifi.pem"
    if content is not None:
        path.write_bytes(content)
    owners(monkeypatch, tmp_path, str(path), "certifi")
    Transfer(file_site.url)
    with pytest.raises(_errors.RequestError, match="read the certificates .*certifi.pem: ") as caught:
        Transfer(secure[0])
    assert caught.value.path == str(path) and "certifi" in caught.value.hint


@contextlib.contextmanager
def saying(data):
    """A server that answers everything with these bytes, and hangs up: its host and port."""

    class Says(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65536)
            self.request.sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Says) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield "127.0.0.1:%d" % server.server_address[1]
        finally:
            server.shutdown()


def test_a_tls_port_that_hangs_up(file_site):
    error = Transfer(file_site.url.replace("http:", "https:")).error
    assert "does that port speak TLS?" in error.hint and "https_proxy" in error.hint


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"220 ready\r\n"])
def test_plain_text_behind_https(answer):
    with saying(answer) as place:
        error = Transfer("https://" + place, retries=4).error
    assert "TLS: what answers there does not speak TLS" in str(error) and "clock" not in error.hint
    assert error.hint.startswith("http://? ")


def test_tls_behind_plain_http(secure):
    running, dummy = secure
    error = Transfer(running.url.replace("https:", "http:")).error
    assert "https://" in error.hint or "ECONNRESET" in str(error)  # what comes first: its alert, or the end


@pytest.mark.parametrize("answer", [b"\x15\x03\x01\x00\x02\x02\x46", None])
def test_what_a_tls_port_answers_to_plain_http(file_site, misbehaviours, answer):
    """An alert of TLS; or, from nginx and Apache, 400 by plain HTTP."""
    file_site.misbehave("*", misbehaviours.garbage_status(answer) if answer else misbehaviours.status(400))
    assert Transfer(file_site).error.hint == "this port speaks TLS: write the URL with https://"


# Without verification.


def test_an_unknown_authority_is_accepted_when_the_user_says_so(secure):
    running, dummy = secure
    Transfer(running, access=ConnectionOptions(validate_certs=False)).succeeded()


def test_a_wrong_name_is_accepted_when_the_user_says_so(signing_key):
    from release_site import Site
    from release_site.certificates import Authority

    with Site(key=signing_key, tls=Authority().server_context(names=("example.com",))) as running:
        running.put(NAME, BODY)
        Transfer(running, access=ConnectionOptions(validate_certs=False)).succeeded()


def test_the_public_site_is_verified_all_the_same(secure, misbehaviours, monkeypatch):
    """A site that is not verified could redirect there, and whoever sits in between could answer."""
    running, dummy = secure
    with leading_to(running) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        public = "https://releases.hashicorp.com"
        unverified = ConnectionOptions(validate_certs=False)
        Transfer("https://private.example.com", access=unverified).succeeded()
        Transfer(public, access=unverified).failed("TLS: ")
        running.misbehave(NAME, misbehaviours.redirect("%s/%s" % (public, NAME)))
        Transfer("https://private.example.com", access=unverified).failed("TLS: ", place="%s/%s" % (public, NAME))
    assert len(running.requests) == 2


# Client certificates.


@pytest.fixture
def strict(signing_key, tmp_path):
    """A site, also as FAR, that wants a certificate of its own authority, and the Access that has one."""
    from release_site import Site
    from release_site.certificates import LOOPBACK, Authority

    authority = Authority()
    both, certificate, key, bundle = (str(tmp_path / name) for name in ("both.pem", "cert.pem", "key.pem", "ca.pem"))
    pem = authority.issue(names=("builder",))
    split = pem.index("-----BEGIN PRIVATE KEY")
    for path, text in ((both, pem), (certificate, pem[:split]), (key, pem[split:]), (bundle, authority.pem)):
        with open(path, "w") as file:
            file.write(text)
    context = authority.server_context(LOOPBACK + (FAR,), clients=authority.pem)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # later ones refuse after the handshake: a reset may be quicker
    with Site(key=signing_key, tls=context) as running:
        running.put(NAME, BODY)
        yield running, ConnectionOptions(ca_path=bundle, client_cert=certificate, client_key=key)


@pytest.mark.parametrize("in_one_file", [False, True])
def test_a_client_certificate(strict, tmp_path, in_one_file):
    running, access = strict
    if in_one_file:
        access = access._replace(client_cert=str(tmp_path / "both.pem"), client_key=None)
    Transfer(running, access=access, sites=[running.url]).succeeded()


def test_a_client_certificate_through_a_proxy(strict, monkeypatch):
    running, access = strict
    with leading_to(running) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        Transfer(far(running), access=access, sites=[far(running)]).succeeded()
        assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    "location, shown",
    [
        ("deep/file", True),
        ("/some/deep/file", True),
        ("/other", False),
        ("/some/..%2fother", False),
        ("//localhost:{port}/some/deep/file", False),
        ("{other}/between", False),
    ],
)
def test_a_redirect_keeps_the_client_certificate_below_the_sites_path(
    strict, signing_key, misbehaviours, location, shown
):
    """On another connection than what went before: one that is open has shown it already."""
    from release_site import Site
    from release_site.certificates import Authority

    running, access = strict
    authority = Authority("Other")
    with open(access.ca_path, "a") as bundle:
        bundle.write(authority.pem)
    with Site(key=signing_key, tls=authority.server_context()) as other:
        other.misbehave("between", misbehaviours.redirect(running.url + "/some/back"))
        running.misbehave(
            NAME, misbehaviours.redirect(location.format(port=running.server.port, other=other.url)), times=1
        )
        running.misbehave("*", misbehaviours.replace(BODY))
        transfer = Transfer(running, access=access, sites=[running.url + "/some", other.url])
        assert len(running.requests) == (2 if shown else 1) and (transfer.received is not None) == shown
        assert len(other.requests) == ("other" in location and not location.startswith("/"))


def test_no_client_certificate(strict):
    running, access = strict
    transfer = Transfer(running, access=access._replace(client_cert=None, client_key=None), sites=[running.url])
    assert transfer.received is None and not running.requests
    assert "client_cert" in transfer.error.hint


def test_a_site_that_was_not_named_is_shown_no_client_certificate(strict):
    running, access = strict
    transfer = Transfer(running, access=access, sites=["https://localhost:%d" % running.server.port])
    assert transfer.received is None and not running.requests


def encrypted(path, target):
    subprocess.run(["openssl", "pkey", "-in", path, "-aes256", "-passout", "pass:word", "-out", target], check=True)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(client_key="missing.pem"), "client_key: read {0}/missing.pem: No such file or directory (ENOENT)"),
        (dict(client_cert="missing.pem"), "client_cert: read {0}/missing.pem: No such file or directory (ENOENT)"),
        (
            dict(client_key="ca.pem"),
            "client_cert {0}/cert.pem and client_key {0}/ca.pem: not a certificate and its private key",
        ),
        (
            dict(client_cert="key.pem"),
            "client_cert {0}/key.pem and client_key {0}/key.pem: not a certificate and its private",
        ),
        (
            dict(client_key="other.pem"),
            "client_cert {0}/cert.pem and client_key {0}/other.pem: not a certificate and its",
        ),
        (dict(client_key="locked.pem"), "client_key {0}/locked.pem is protected by a pass phrase"),
        (dict(client_key="vault.pem"), "client_key {0}/vault.pem is encrypted by ansible-vault"),
        (dict(client_cert="vault.pem"), "client_cert {0}/vault.pem is encrypted by ansible-vault"),
        (dict(ca_path="vault.pem"), "ca_path {0}/vault.pem is encrypted by ansible-vault"),
        (dict(ca_path="device"), "ca_path: read {0}/device: not a regular file"),  # a pipe would be waited for, too
        (dict(client_cert="device"), "client_cert: read {0}/device: not a regular file"),
        (dict(client_key="device"), "client_key: read {0}/device: not a regular file"),
    ],
)
def test_client_certificates_that_are_none(strict, tmp_path, wrong, message):
    from release_site.certificates import Authority

    running, access = strict
    (tmp_path / "other.pem").write_text(Authority().issue())
    (tmp_path / "vault.pem").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    (tmp_path / "device").symlink_to(os.devnull)
    encrypted(str(tmp_path / "key.pem"), str(tmp_path / "locked.pem"))
    wrong = dict((option, str(tmp_path / name)) for option, name in wrong.items())
    with pytest.raises(_errors.RequestError) as caught:
        Transfer(running, access=access._replace(**wrong), sites=[running.url])
    assert str(caught.value).startswith(message.format(tmp_path))
    assert caught.value.path and caught.value.hint and running.server.connections == 0


# Between the schemes.


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


@pytest.mark.parametrize("no_proxy", ["far.test", ".test, example.com", "*"])
def test_no_proxy(file_site, monkeypatch, no_proxy):
    monkeypatch.setenv("http_proxy", file_site.url)
    monkeypatch.setenv("no_proxy", no_proxy)
    assert "proxy" not in str(Transfer(far(file_site)).error) and not file_site.requests
    monkeypatch.setenv("no_proxy", "example.com")
    Transfer(far(file_site)).succeeded()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "127.1.2.3"])
@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
def test_loopback_goes_through_no_proxy(signing_key, monkeypatch, variable, name):
    from release_site import Site

    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with Site(key=signing_key, hosts=("127.0.0.1", "127.1.2.3")) as site:
        site.put(NAME, BODY)
        Transfer(site.url.replace("127.0.0.1", name)).succeeded()


def test_loopback_goes_through_no_proxy_by_tls_either(secure, monkeypatch):
    running, bundle = secure
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    Transfer(running, access=ConnectionOptions(ca_path=bundle)).succeeded()
    Transfer(far(running), access=ConnectionOptions(ca_path=bundle)).failed("proxy: Connection refused", retry=True)


def test_a_proxy_that_is_not_there(file_site, monkeypatch):
    file_site.stop()
    monkeypatch.setenv("http_proxy", file_site.url.replace("//", "//user:%s@" % SECRET))
    transfer = Transfer("http://releases.invalid", retries=2)
    transfer.failed(
        "proxy: Connection refused (ECONNREFUSED) (through proxy %s (http_proxy))" % file_site.url, retry=True
    )
    assert "https_proxy" in transfer.error.hint and SECRET not in str(transfer.error)


def test_a_proxy_that_refuses(file_site, misbehaviours, monkeypatch):
    file_site.misbehave("*", misbehaviours.status(407))
    monkeypatch.setenv("http_proxy", file_site.url)
    transfer = Transfer("http://releases.invalid", retries=2).failed("HTTP 407", status=407)
    assert "password" in transfer.error.hint


def test_a_proxy_that_refuses_to_connect(file_site, monkeypatch):
    monkeypatch.setenv("https_proxy", file_site.url)  # it answers 405 to CONNECT
    Transfer("https://releases.invalid", retries=2).failed("the proxy answers HTTP 405")
    assert [request.method for request in file_site.requests] == ["CONNECT"]


@pytest.mark.parametrize("way", ["ca_path", "REQUESTS_CA_BUNDLE", "system", "certifi"])
def test_https_through_a_proxy(secure, monkeypatch, tmp_path, way):
    running, bundle = secure
    with leading_to(running) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url[len("http://") :])  # some write no scheme
        Transfer(far(running), access=owners(monkeypatch, tmp_path, bundle, way)).succeeded()
    (asked,) = proxy.asked
    assert re.match(b"CONNECT far.test:%d HTTP/1.[01]" % running.server.port, asked)


def test_a_proxy_that_is_spoken_to_by_tls(strict, monkeypatch):
    pytest.importorskip("urllib3", minversion="1.26")  # the first that can
    from release_site.certificates import Authority

    running, access = strict
    authority = Authority("Proxy CA")
    context = authority.server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with open(access.ca_path, "a") as bundle:
        bundle.write(authority.pem)
    with leading_to(running, context) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        Transfer(far(running), access=access, sites=[far(running)]).succeeded()
        assert len(proxy.asked) == 1


def test_a_proxy_that_is_spoken_to_by_tls_is_not_trusted_blindly(secure, monkeypatch):
    pytest.importorskip("urllib3", minversion="1.26")
    from release_site.certificates import Authority

    running, bundle = secure
    with leading_to(running, Authority().server_context()) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        error = Transfer(far(running), access=ConnectionOptions(ca_path=bundle)).failed("proxy: TLS: ").error
        assert "(issued by 'Demo CA') (through proxy %s (https_proxy))" % proxy.url in str(error)
        assert not proxy.asked


def test_a_proxy_that_is_spoken_to_by_tls_and_does_not_speak_it(monkeypatch):
    pytest.importorskip("urllib3", minversion="1.26")
    with saying(b"HTTP/1.1 400 Bad Request\r\n\r\n") as place:
        monkeypatch.setenv("https_proxy", "https://" + place)
        error = Transfer("https://releases.invalid").failed("proxy: TLS: what answers there does not speak TLS").error
    assert "http:// in the proxy's URL" in error.hint


@pytest.mark.parametrize(
    "behaviour, arguments",
    [
        ("html_200", ()),
        ("status", (403,)),
        ("status", (503,)),
        ("garbage_status", ()),
        ("truncate", (1000,)),
        ("announce", (10**9,)),
    ],
)
def test_every_failure_names_the_proxy_and_where_it_came_from(
    file_site, misbehaviours, monkeypatch, behaviour, arguments
):
    file_site.misbehave("*", getattr(misbehaviours, behaviour)(*arguments))
    monkeypatch.setenv("HTTP_PROXY", file_site.url.replace("//", "//user:%s@" % SECRET))
    error = Transfer("http://releases.invalid").error
    assert str(error).endswith("(through proxy %s (HTTP_PROXY))" % file_site.url)


def test_a_proxy_is_left_out_when_the_user_says_so(file_site, monkeypatch):
    monkeypatch.setenv("http_proxy", file_site.url)
    assert (
        "proxy" not in str(Transfer(far(file_site), access=ConnectionOptions(use_proxy=False)).error)
        and not file_site.requests
    )
    Transfer(far(file_site)).succeeded()


def test_a_proxy_of_the_environment_that_is_given(file_site, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    Transfer("http://releases.invalid", environ={"http_proxy": file_site.url}).succeeded()


def test_netrc_is_not_read(file_site, netrc):
    Transfer(file_site).succeeded()
    assert "Authorization" not in file_site.requests[0].headers
