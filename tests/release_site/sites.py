# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site: releases on a server, and the rules by which it misbehaves.

with Site(versions=("1.13.3", "1.13.4")) as site:
    site.misbehave("*.zip", misbehaviours.truncate(at=1000), times=2)
    ...
    assert site.counts("linux_amd64.zip").requests == 3
"""

import fnmatch
import functools
import os
import threading
from dataclasses import dataclass
from typing import Callable, NamedTuple, Optional

from . import releases
from .certificates import Authority
from .exchange import Exchange
from .openpgp_maker import make_signing_key
from .replies import Reply, make_document
from .server import Server

_BY_KEY = object()  # the signature that the site's own key makes


class Counts(NamedTuple):
    """How much was asked of the site."""

    requests: int
    bytes: int  # of bodies


@dataclass
class Rule:
    """While it lasts, requests for matching paths are answered by the behaviour."""

    pattern: str
    behaviour: Callable
    left: Optional[int]  # how many requests more; None: for ever


class Site:
    """A release site in memory. It serves while it is entered (or started); it can be changed at any time.

    ``files`` maps paths without leading slash to Documents, ``requests`` has a Request for each that came in (clear it
    at will), ``server`` the network side, ``ca_pem`` the certificate to trust when it speaks TLS.
    """

    def __init__(
        self, versions=(), platforms=releases.PLATFORMS, key=None, hosts=("127.0.0.1",), port=0, tls=False, log=None
    ):
        """
        :param versions: strings, published at once.
        :param platforms: ``<os>_<arch>`` of the usual archives.
        :param key: SigningKey; None: one made on the spot.
        :param hosts: addresses to listen on; ``("127.0.0.1", "::1")`` for both families.
        :param port: int, 0 for any free one.
        :param tls: True for HTTPS with a certificate of an authority made on the spot, or an ssl.SSLContext.
        :param log: callable that gets each Request when it was answered.
        """
        self.key = key or make_signing_key()
        self.platforms = platforms
        self.files = {}
        self.requests = []
        self.ca_pem = None
        self._releases = {}
        self._rules = []
        self._choosing = threading.Lock()
        self._log = log
        if tls is True:
            authority = Authority()
            self.ca_pem = authority.pem
            tls = authority.server_context()
        self.server = Server(self._answer, hosts, port, tls or None)
        for version in versions:
            self.publish(version)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    @property
    def url(self):
        """Without a trailing slash; valid once the site was started, and the same after a restart."""
        return self.server.url

    def start(self):
        """Serve. After a ``stop`` it comes back on the same port."""
        self.server.start()

    def stop(self):
        """Be switched off: connections are closed, and new ones are refused."""
        self.server.stop()

    def publish(self, version, signature=_BY_KEY, key=None, listed=True, platforms=None, **how):
        """Publish a release, in place of an earlier one of that version.

        :param signature: bytes of the detached signature; None: unsigned; otherwise made by the key.
        :param key: SigningKey, in place of the site's own.
        :param listed: bool, False: its files are there, the product's index does not name it.
        :param platforms: in place of the site's.
        :param how: ``archives``, ``names``, ``sums``, ``shape``: see ``releases.make_release``.
        :returns: Release.
        """
        key = key or self.key
        release = releases.make_release(version, self.platforms if platforms is None else platforms, **how)
        if signature is _BY_KEY:
            signature = _sign(key, release.sums)
        release = releases.with_signature(release, signature, key.key_id)
        self.withdraw(version)
        for path, body in releases.lay_out(release).items():
            self.put(path, body)
        if listed:
            self._releases[version] = release
            self._renew_index()
        return release

    def withdraw(self, version):
        """Remove a release, if there is one: its files and its line in the index."""
        folder = "%s/%s/" % (releases.PRODUCT, version)
        for path in [path for path in self.files if path.startswith(folder)]:
            del self.files[path]
        if self._releases.pop(version, None):
            self._renew_index()

    def release(self, version):
        """The listed Release of that version; KeyError when there is none."""
        return self._releases[version]

    def put(self, path, body):
        """Have these bytes at a path (no leading slash), whatever was there."""
        self.files[path] = make_document(path, body)

    def put_folder(self, folder):
        """Have all files below a folder, at their paths relative to it: a genuine release, for example."""
        for parent, _folders, names in os.walk(folder):
            for name in names:
                with open(os.path.join(parent, name), "rb") as file:
                    self.put(os.path.relpath(file.name, folder).replace(os.sep, "/"), file.read())

    def write(self, directory):
        """Lay the files out in a directory, for a file:// site or another server, with ``key.asc`` beside them."""
        contents = {path: document.body for path, document in self.files.items()}
        contents["key.asc"] = self.key.armored.encode()
        for path, body in contents.items():
            target = os.path.join(directory, *path.split("/"))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(body)

    def misbehave(self, pattern, behaviour, times=None):
        """Answer requests for some paths badly. Of several rules that match the first one decides, until it is used up.

        :param pattern: as in fnmatch, for the path; ``*`` goes over slashes: ``*.zip``, ``*_SHA256SUMS``.
        :param behaviour: callable that takes an Exchange: see ``misbehaviours``.
        :param times: int, for so many requests; None: for ever.
        """
        self._rules.append(Rule(pattern, behaviour, times))

    def behave(self):
        """Take back every misbehaviour."""
        with self._choosing:
            self._rules.clear()

    def counts(self, path_suffix=""):
        """Counts of the requests whose path ends like that."""
        asked = [request for request in list(self.requests) if request.path.endswith(path_suffix)]
        return Counts(len(asked), sum(request.sent for request in asked))

    def _renew_index(self):
        self.put("%s/index.json" % releases.PRODUCT, releases.make_index(self._releases.values()))

    def _answer(self, request, connection):
        exchange = Exchange(request, connection, self.files)
        behaviour = self._choose(request.path)
        request.behaviour = behaviour.__qualname__.partition(".<locals>")[0]
        self.requests.append(request)
        try:
            behaviour(exchange)
        finally:
            if self._log:
                self._log(request)
        return exchange.ending

    def _choose(self, path):
        with self._choosing:
            for rule in self._rules:
                if rule.left != 0 and fnmatch.fnmatchcase(path.lstrip("/"), rule.pattern.lstrip("/")):
                    if rule.left:
                        rule.left -= 1
                    return rule.behaviour
        return honest


@functools.lru_cache(maxsize=256)
def _sign(key, sums):
    """The key's signature, which is always the same for the same sums: many sites of one process share it."""
    return key.sign(sums)


def honest(exchange):
    """What the site does where no rule applies."""
    if exchange.request.method in ("GET", "HEAD"):
        exchange.reply(exchange.honest())
    else:
        exchange.close()  # its body was not read
        exchange.reply(Reply(405, {"Allow": "GET, HEAD"}, b""))
