# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real nginx as mirror and a real squid before it: who is trusted, what goes through a proxy, who is let in.

The mirror's name is known to the squids alone: what is installed from there came through one.
"""

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import threading
from typing import NamedTuple, Optional, Tuple
from urllib.parse import quote

import pytest
from assertions import assert_installed, assert_nothing_left, assert_refused
from both_runners import Table, every_world
from playbook_run import task_args

USER, PASSWORD, WRONG = "alice", "wonder-land-42", "looking-glass"
PROXY_USER, PROXY_PASSWORD = "bob", "p@ss:w/rd %1"  # what a URL can only carry in percent-encoding
TOKEN = "t0ken-of-the-mirror"
PADDING = 300000  # bytes of an archive that no zip makes smaller
CUT = 100000  # bytes of an answer, its head included, after which the relay hangs up
DEAD = "http://127.0.0.1:9"  # nothing listens there


class Way(NamedTuple):
    """A way to the mirror, and where it leads. {name} in texts is filled in."""

    site: str
    options: dict = {}  # beside the usual ones
    environment: dict = {}  # of the task
    step: Optional[str] = None  # error.step; None: it is installed
    words: Tuple[str, ...] = ()  # in msg; of an install: in its steps
    hint: Tuple[str, ...] = ()  # words in the hint
    seen_by: Optional[str] = None  # which squid has seen the path of the archive; None: none
    predicted: bool = False  # it is refused before anything is touched


# Behind a squid that opens TLS: its authority has to be trusted, and the mirror's own does not help.
INSPECTED = {"https_proxy": "{inspecting}"}
REFUSED = dict(site="{far}", step="fetch", words=("TLS: ", "certificate"), hint=("ca_path", "trust store"))
TRUST = {
    "ca-path": Way("{far}", {"ca_path": "{inspector}"}, INSPECTED, seen_by="inspecting"),
    "ca-path-as-a-directory": Way("{far}", {"ca_path": "{inspector_store}"}, INSPECTED, seen_by="inspecting"),
    "requests-ca-bundle": Way("{far}", {}, dict(INSPECTED, REQUESTS_CA_BUNDLE="{inspector}"), seen_by="inspecting"),
    "ssl-cert-file": Way("{far}", {}, dict(INSPECTED, SSL_CERT_FILE="{inspector}"), seen_by="inspecting"),
    "the-system-store": Way("{far}", {}, dict(INSPECTED, SSL_CERT_DIR="{inspector_store}"), seen_by="inspecting"),
    "ca-path-before-the-environment": Way(
        "{far}", {"ca_path": "{inspector}"}, dict(INSPECTED, REQUESTS_CA_BUNDLE="{origin}"), seen_by="inspecting"
    ),
    "requests-ca-bundle-before-ssl-cert-file": Way(
        "{far}", {}, dict(INSPECTED, REQUESTS_CA_BUNDLE="{inspector}", SSL_CERT_FILE="{origin}"), seen_by="inspecting"
    ),
    "whoever-it-is": Way("{far}", {"validate_certs": False}, INSPECTED, seen_by="inspecting"),
    "not": Way(environment=INSPECTED, **REFUSED),
    "not-by-ca-path": Way(options={"ca_path": "{origin}"}, environment=INSPECTED, **REFUSED),
    "not-by-a-ca-path-that-is-a-directory": Way(
        options={"ca_path": "{origin_store}"}, environment=INSPECTED, **REFUSED
    ),
    "not-by-requests-ca-bundle": Way(environment=dict(INSPECTED, REQUESTS_CA_BUNDLE="{origin}"), **REFUSED),
    "not-by-ssl-cert-file": Way(environment=dict(INSPECTED, SSL_CERT_FILE="{origin}"), **REFUSED),
    "not-by-the-system-store": Way(environment=dict(INSPECTED, SSL_CERT_DIR="{origin_store}"), **REFUSED),
    "ca-path-stands-alone": Way(
        options={"ca_path": "{origin}"},
        environment=dict(
            INSPECTED, REQUESTS_CA_BUNDLE="{inspector}", SSL_CERT_FILE="{inspector}", SSL_CERT_DIR="{inspector_store}"
        ),
        **REFUSED,
    ),
    "requests-ca-bundle-stands-alone": Way(
        environment=dict(
            INSPECTED, REQUESTS_CA_BUNDLE="{origin}", SSL_CERT_FILE="{inspector}", SSL_CERT_DIR="{inspector_store}"
        ),
        **REFUSED,
    ),
    "ca-path-missing": Way(
        "{far}", {"ca_path": "{folder}/none.pem"}, INSPECTED, "request", ("ca_path", "{folder}/none.pem", "ENOENT")
    ),
    "bundle-missing": Way(
        "{far}",
        {},
        dict(INSPECTED, REQUESTS_CA_BUNDLE="{folder}/none.pem"),
        "request",
        ("REQUESTS_CA_BUNDLE", "{folder}/none.pem", "ENOENT"),
    ),
    "ca-path-not-a-certificate": Way("{far}", {"ca_path": "{text}"}, INSPECTED, "request", ("ca_path", "{text}")),
}

# Through a squid that asks nobody, or only lets its users pass.
TLS = {"ca_path": "{origin}"}
UNKNOWN = dict(step="fetch", words=("the host name is not resolved",))
PROXIES = {
    "http": Way("{far_plain}", {}, {"http_proxy": "{open}"}, seen_by="open"),
    "https": Way("{far}", TLS, {"https_proxy": "{open}"}),
    "in-upper-case": Way("{far}", TLS, {"HTTPS_PROXY": "{open}"}),
    "for-all": Way("{far}", TLS, {"all_proxy": "{open}"}),
    "without-a-scheme": Way("{far}", TLS, {"https_proxy": "{open_address}"}),
    "http-with-a-password": Way("{far_plain}", {}, {"http_proxy": "{known}"}, seen_by="closed"),
    "https-with-a-password": Way("{far}", TLS, {"https_proxy": "{known}"}),
    "http-without-a-password": Way(
        "{far_plain}", {}, {"http_proxy": "{closed}"}, "fetch", ("HTTP 407",), ("user and password", "http_proxy")
    ),
    "https-without-a-password": Way(
        "{far}",
        TLS,
        {"https_proxy": "{closed}"},
        "fetch",
        ("the proxy answers HTTP 407",),
        ("user and password", "https_proxy"),
    ),
    "http-with-a-wrong-password": Way(
        "{far_plain}", {}, {"http_proxy": "{unknown}"}, "fetch", ("HTTP 407",), ("password",)
    ),
    "https-with-a-wrong-password": Way(
        "{far}", TLS, {"https_proxy": "{unknown}"}, "fetch", ("the proxy answers HTTP 407",), ("password",)
    ),
    "none-and-so-no-way": Way("{far}", TLS, {}, "fetch", ("the host name is not resolved",), ("https_proxy",)),
    "a-place-that-the-proxy-does-not-know": Way(
        "http://nowhere.test", {}, {"http_proxy": "{open}"}, "fetch", ("HTTP 50",)
    ),
    "a-place-to-which-no-tunnel-leads": Way(
        "https://nowhere.test", {}, {"https_proxy": "{open}"}, "fetch", ("the proxy answers HTTP 50",)
    ),
    "dead": Way("{far}", TLS, {"https_proxy": DEAD}, "fetch", ("proxy: ", "ECONNREFUSED"), ("https_proxy",)),
    "spoken-to-by-tls": Way("{far}", TLS, {"https_proxy": "{open_by_tls}"}),
    "spoken-to-by-tls-for-http": Way("{far_plain}", TLS, {"http_proxy": "{open_by_tls}"}, seen_by="open"),
    "spoken-to-by-tls-and-not-trusted": Way(
        "{far_plain}", {}, {"http_proxy": "{open_by_tls}"}, "fetch", ("TLS: ",), ("ca_path",)
    ),
    "not-used": Way("{far_plain}", {"use_proxy": False}, {"http_proxy": "{open}", "all_proxy": "{open}"}, **UNKNOWN),
    "not-for-the-host": Way(
        "{far_plain}", {}, {"http_proxy": "{open}", "no_proxy": "example.com,mirror.test"}, **UNKNOWN
    ),
    "not-for-any": Way("{far_plain}", {}, {"http_proxy": "{open}", "NO_PROXY": "*"}, **UNKNOWN),
    "not-for-loopback": Way("{http}", {}, {"http_proxy": DEAD, "all_proxy": DEAD}),
    "for-this-one-all-the-same": Way(
        "{far_plain}", {}, {"http_proxy": "{open}", "no_proxy": "example.com,10.0.0.0/8"}, seen_by="open"
    ),
}

# The mirror wants to know who asks.
ALICE = {"url_username": USER, "url_password": PASSWORD}
CLIENT = {"ca_path": "{origin}", "client_cert": "{client}"}
IDENTITY = {
    "password": Way("{guarded}", ALICE),
    "password-wrong": Way(
        "{guarded}", dict(ALICE, url_password=WRONG), {}, "fetch", ("HTTP 401",), ("does not accept", "url_password")
    ),
    "password-missing": Way("{guarded}", {}, {}, "fetch", ("HTTP 401",), ("url_username", "url_token")),
    "password-alone": Way(
        "{guarded}", {"url_password": PASSWORD}, {}, "request", ("url_password", "url_username"), predicted=True
    ),
    "password-past-a-proxy-that-would-read-it": Way("{guarded}", ALICE, {"http_proxy": "{open}"}),
    "password-over-plain-http": Way(
        "{far_http}", ALICE, {"http_proxy": "{open}"}, "request", ("credentials",), ("https",), predicted=True
    ),
    "password-for-the-public-site": Way(
        "https://releases.hashicorp.com", ALICE, {}, "request", ("credentials",), ("public site",), predicted=True
    ),
    "password-through-a-tunnel": Way("{far}", dict(ALICE, **TLS), {"https_proxy": "{open}"}),
    "token": Way("{token_site}", {"url_token": TOKEN}),
    "token-wrong": Way(
        "{token_site}", {"url_token": WRONG}, {}, "fetch", ("HTTP 401",), ("does not accept", "url_token")
    ),
    "token-missing": Way("{token_site}", {}, {}, "fetch", ("HTTP 401",), ("url_token",)),
    "header": Way("{key_site}", {"url_headers": {"X-Api-Key": TOKEN}}),
    "header-by-its-alias": Way("{key_site}", {"headers": {"X-Api-Key": TOKEN}}),
    "header-wrong": Way(
        "{key_site}", {"url_headers": {"X-Api-Key": WRONG}}, {}, "fetch", ("HTTP 403",), ("credentials",)
    ),
    "certificate": Way("{locked}", CLIENT),
    "certificate-and-key": Way(
        "{locked}", {"ca_path": "{origin}", "client_cert": "{client_alone}", "client_key": "{client_key}"}
    ),
    "certificate-through-a-tunnel": Way("{far_locked}", CLIENT, {"https_proxy": "{open}"}),
    "certificate-missing": Way("{locked}", TLS, {}, "fetch", ("HTTP 400",), ("client_cert",)),
    "certificate-of-another-authority": Way(
        "{locked}", dict(CLIENT, client_cert="{untrusted}"), {}, "fetch", ("HTTP 400",), ("client_cert",)
    ),
    "certificate-with-an-encrypted-key": Way(
        "{locked}", dict(CLIENT, client_cert="{encrypted}"), {}, "request", ("{encrypted}", "pass phrase")
    ),
    "certificate-without-its-key": Way(
        "{locked}", dict(CLIENT, client_cert="{client_alone}"), {}, "request", ("{client_alone}", "private key")
    ),
    "certificate-with-another-key": Way(
        "{locked}", dict(CLIENT, client_key="{untrusted}"), {}, "request", ("{untrusted}", "private key")
    ),
    "certificate-not-there": Way(
        "{locked}",
        dict(CLIENT, client_cert="{folder}/none.pem"),
        {},
        "request",
        ("client_cert", "{folder}/none.pem", "ENOENT"),
    ),
    "key-without-a-certificate": Way(
        "{locked}", dict(TLS, client_key="{client_key}"), {}, "request", ("client_key", "client_cert"), predicted=True
    ),
}

# Blind trust, and where it ends.
BLIND = {
    "private-site": Way("{https}", {"validate_certs": False}),
    "private-site-not": Way("{https}", {}, {}, "fetch", ("TLS: ",), ("ca_path",)),
    "public-site": Way(
        "https://releases.hashicorp.com",
        {"validate_certs": False},
        {},
        "request",
        ("validate_certs", "https://releases.hashicorp.com"),
        ("ca_path",),
        predicted=True,
    ),
    "unsigned": Way(
        "{https}",
        {"validate_certs": False, "checksum_policy": "sha256sums"},
        {},
        "request",
        ("validate_certs", "sha256sums"),
        ("checksum",),
        predicted=True,
    ),
    "unsigned-but-trusted": Way("{https}", dict(TLS, checksum_policy="sha256sums")),
}
RESUMED = {"after-a-cut": Way("{relay}", {"retries": 3}, words=("resumed at byte ",))}

TABLES = {"trust": TRUST, "proxy": PROXIES, "identity": IDENTITY, "blind": BLIND, "resumed": RESUMED}
WAYS = {"%s-%s" % (table, name): way for table, ways in TABLES.items() for name, way in ways.items()}
SERIES = itertools.count(200)  # of versions: one for each world, by which the servers' logs are distinguished
# Of each table, for ansible-playbook.
SAMPLE = (
    "trust-requests-ca-bundle",
    "trust-the-system-store",
    "trust-not",
    "proxy-https-with-a-password",
    "proxy-dead",
    "identity-password",
    "identity-certificate-through-a-tunnel",
    "identity-token",
    "identity-password-past-a-proxy-that-would-read-it",
    "blind-private-site",
    "resumed-after-a-cut",
)
TABLE = Table(WAYS, SAMPLE)


class Relay:
    """A way to a server that hangs up in the middle of its first long answer. For a body of ``with``."""

    def __init__(self, port, cut):
        self._behind = ("127.0.0.1", port)
        self._left = cut  # bytes of that answer still to be passed on; None once it was cut
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *dummy):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(30)

    def _accept(self):
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        """Pass on one connection: what the client says in a thread of its own, what it gets here."""
        with client, socket.create_connection(self._behind) as server:
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
            passed = 0
            while True:
                block = server.recv(16384)
                if not block:
                    return
                if self._left is not None and passed + len(block) > self._left:
                    client.sendall(block[: self._left - passed])
                    self._left = None
                    client.shutdown(socket.SHUT_RDWR)  # the other thread still reads from it, which keeps it open
                    return
                client.sendall(block)
                passed += len(block)

    @staticmethod
    def _pass_on(client, server):
        with contextlib.suppress(OSError):
            while True:
                block = client.recv(16384)
                if not block:
                    return
                server.sendall(block)


class World(NamedTuple):
    """What a side's run met, and what came of it."""

    side: str
    words: dict  # name: what it means in the table
    versions: dict  # name of a way: what it leads to
    mirror: object  # Nginx
    squids: dict  # name: Squid
    folder: str  # a store for each way is in it
    run: object

    def fill(self, value):
        return _fill(value, self.words)

    def asked(self, name, url=None):
        """What the mirror was asked for of a way's version: a list of Asked."""
        return [asked for asked in self.mirror.asked(url) if "/%s/" % self.versions[name] in asked.path]


def _fill(value, words):
    if isinstance(value, dict):
        return {key: _fill(item, words) for key, item in value.items()}
    if isinstance(value, str):
        for name, meaning in words.items():
            value = value.replace("{%s}" % name, meaning)
    return value


@pytest.fixture(scope="module")
def verification_files(tmp_path_factory):
    """(Authority of the mirror, Authority of the squid that inspects, dict of name and path)."""
    from release_site.certificates import Authority

    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed, which hashes the directories of authorities")
    folder = str(tmp_path_factory.mktemp("certificates"))
    origin, inspector, other = Authority("Origin"), Authority("Inspector"), Authority("Other")
    client = origin.issue(("client",))
    mark = "-----BEGIN PRIVATE KEY"
    texts = {
        "origin": origin.pem,
        "inspector": inspector.pem,
        "client": client,
        "untrusted": other.issue(("client",)),
        "client_alone": client.partition(mark)[0],
        "client_key": mark + client.partition(mark)[2],
        "encrypted": origin.issue(("client",), password=PASSWORD),
        "text": "no certificate\n",
    }
    paths = {"folder": folder}
    for name, text in texts.items():
        paths[name] = os.path.join(folder, name + ".pem")
        with open(paths[name], "w", encoding="ascii") as file:
            file.write(text)
    for name in ("origin", "inspector"):
        paths[name + "_store"] = os.path.join(folder, name)
        os.mkdir(paths[name + "_store"])
        shutil.copy(paths[name], paths[name + "_store"])
        subprocess.run(["openssl", "rehash", paths[name + "_store"]], check=True)
    return origin, inspector, paths


class Servers(NamedTuple):
    """What all worlds share."""

    site: object  # Site that is not running: what is published there and written to the root is in the mirror
    root: str  # the mirror's folder
    mirror: object  # Nginx
    squids: dict  # name: Squid
    words: dict


@pytest.fixture(scope="module")
def servers(signing_key, verification_files, tmp_path_factory):
    from real_servers import PLACE, nginx, squid
    from release_site import Site, misbehaviours
    from release_site.certificates import LOOPBACK

    origin, inspector, paths = verification_files
    site, token_site, key_site = (Site(platforms=(), key=signing_key) for dummy in range(3))
    for door in (token_site, key_site):
        door.files = site.files
    token_site.misbehave("*", misbehaviours.demand("Authorization", "Bearer " + TOKEN))
    key_site.misbehave("*", misbehaviours.demand("X-Api-Key", TOKEN, 403))
    root = str(tmp_path_factory.mktemp("mirror"))
    with contextlib.ExitStack() as stack:
        mirror = stack.enter_context(nginx(root, origin.issue(LOOPBACK + (PLACE,)), {USER: PASSWORD}, origin.pem))
        squids = {
            "open": stack.enter_context(squid(certificate=origin.issue())),
            "closed": stack.enter_context(squid({PROXY_USER: PROXY_PASSWORD})),
            "inspecting": stack.enter_context(squid(inspector=inspector, origins=origin.pem)),
        }
        for door in (token_site, key_site):
            stack.enter_context(door)
        words = dict(
            paths,
            http=mirror.http,
            https=mirror.https,
            guarded=mirror.guarded,
            locked=mirror.locked,
            far=mirror.https.replace("127.0.0.1", PLACE),
            far_plain=mirror.http.replace("127.0.0.1", PLACE),
            far_http=mirror.guarded.replace("127.0.0.1", PLACE),
            far_locked=mirror.locked.replace("127.0.0.1", PLACE),
            token_site=token_site.url,
            key_site=key_site.url,
            known=squids["closed"].known(PROXY_USER, quote(PROXY_PASSWORD, safe="")),
            unknown=squids["closed"].known(PROXY_USER, WRONG),
            open_address=squids["open"].url.partition("//")[2],
            open_by_tls=squids["open"].by_tls,
            **{name: proxy.url for name, proxy in squids.items()},
        )
        yield Servers(site, root, mirror, squids, words)


@pytest.fixture(scope="module")
def worlds(request, servers, host_platform, tmp_path_factory):
    def build(*what):
        return take_all(*what, servers, host_platform, str(tmp_path_factory.mktemp("ways")))

    with TABLE.worlds(request, build) as made:
        yield made


@contextlib.contextmanager
def take_all(runner, side, ways, servers, host_platform, folder):
    """The World in which a runner has taken all its ways at once."""
    from release_site import releases

    series = next(SERIES)
    versions = {name: "1.%d.%d" % (series, number) for number, name in enumerate(sorted(ways))}
    for version in versions.values():
        servers.site.publish(
            version, archives={host_platform: releases.make_archive(version, host_platform, padding=PADDING)}
        )
    servers.site.write(servers.root)
    with Relay(int(servers.mirror.http.rpartition(":")[2]), CUT) as relay:
        words = dict(servers.words, relay=relay.url)
        args_by_host = {
            name: task_args(
                servers.site,
                os.path.join(folder, name),
                **dict(
                    dict(version=versions[name], sites=[_fill(way.site, words)], download=side, timeout=60),
                    **_fill(way.options, words),
                ),
            )
            for name, way in ways.items()
        }
        environments = {name: _fill(way.environment, words) for name, way in ways.items()}
        run = runner.each(args_by_host, environments=environments)
    yield World(side, words, versions, servers.mirror, servers.squids, folder, run)


@TABLE.each(lambda way: not way.step)
def test_it_leads_to_an_install(world, name):
    assert_installed(world.run.each[name], os.path.join(world.folder, name), world.versions[name], WAYS[name].words)


@TABLE.each(lambda way: way.step)
def test_it_ends_in_one_clear_line(world, name):
    way = WAYS[name]
    assert_refused(world.run.each[name], way.step, map(world.fill, way.words), way.hint)


@TABLE.each(lambda way: way.step)
def test_nothing_of_it_is_left(world, name):
    way = WAYS[name]
    # The controller knows it before the host is asked to do anything.
    begun = world.side == "target" and not way.predicted
    assert_nothing_left(os.path.join(world.folder, name), world.versions[name], begun)


@TABLE.each(lambda way: not way.step)
def test_who_was_to_see_it_saw_it(world, name):
    archive = "/terraform_%s_" % world.versions[name]
    seen = [
        proxy
        for proxy, squid in world.squids.items()
        if any(asked.url.endswith(".zip") and archive in asked.url and asked.status == 200 for asked in squid.asked())
    ]
    assert seen == [way for way in (WAYS[name].seen_by,) if way]


@TABLE.each(lambda way: way.step == "request")
def test_what_is_refused_by_itself_asks_nobody(world, name):
    assert world.asked(name) == []


@TABLE.every_world_with("identity-password", "proxy-https-with-a-password")
def test_the_mirror_knew_whom_it_let_in(world):
    assert [asked.user for asked in world.asked("identity-password", world.mirror.guarded)] == [USER] * 3
    assert {asked.user for asked in world.squids["closed"].asked() if asked.status == 200} == {PROXY_USER}


@TABLE.every_world_with("identity-password-past-a-proxy-that-would-read-it")
def test_credentials_were_not_read_on_the_way(world):
    name = "identity-password-past-a-proxy-that-would-read-it"
    assert [(asked.user, asked.status) for asked in world.asked(name, world.mirror.guarded)] == [(USER, 200)] * 3
    assert not [asked for asked in world.squids["open"].asked() if world.versions[name] in asked.url]


@TABLE.every_world_with("resumed-after-a-cut", "blind-private-site")
def test_the_rest_came_from_nginx_itself(world):
    first, second = (asked for asked in world.asked("resumed-after-a-cut") if asked.path.endswith(".zip"))
    (whole,) = (asked.bytes for asked in world.asked("blind-private-site") if asked.path.endswith(".zip"))
    start = int(second.range[len("bytes=") : -1])
    assert (first.status, first.range, second.status) == (200, "", 206)
    assert CUT - 3000 < start < CUT  # heads, SHA256SUMS and the signature came over the same connection
    assert abs(start + second.bytes - whole) < 100  # the two archives are of different versions


@every_world
def test_the_credentials_are_not_shown(world):
    assert world.run.returncode == 0
    for secret in (PASSWORD, TOKEN, PROXY_PASSWORD, quote(PROXY_PASSWORD, safe=""), WRONG):
        assert secret not in world.run.output
        assert not [line for line in world.run.lines if secret in str(line)]
    assert "Traceback" not in world.run.output
