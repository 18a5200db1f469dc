# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a URL to bounded bytes: the only file that knows requests.

It promises that what it calls received has the length that was announced and at most the size asked for, that no body
outlives its deadline or trickles along, and that nothing in the environment adds credentials. Whether the bytes are
the right ones is not its business.
"""

import contextlib
import errno
import hashlib
import http.client
import os
import queue
import re
import stat
import sys
import threading
import time
from typing import Callable, NamedTuple, Optional
from urllib.parse import unquote_to_bytes, urlsplit

from ._errors import FetchError, MissingDependency, errno_text
from ._faults import NETWORK_HINT, STATUS_HINTS, choose_pause, escaped, explain, refuse_status
from ._urls import check_url, follow, shown

SUMS_CAP = 256 << 10            # bytes
SIGNATURE_CAP = 64 << 10
INDEX_CAP = 16 << 20
ARCHIVE_CAP = 512 << 20

DEADLINE = 1800                 # seconds for one download with all its tries
LOW_SPEED = 1024                # bytes per second ...
LOW_SPEED_TIME = 30             # ... over this many seconds of waiting for the network
REDIRECTS = 5

_CHUNK = 256 << 10
_REDIRECTED = (301, 302, 303, 307, 308)


class Received(NamedTuple):
    """What a download brought."""

    bytes: int
    sha256: str                 # 64 lower-case hex digits, over the whole


class _Body(NamedTuple):
    """The body of an answer, still to be read."""

    url: str                    # where it really comes from, as shown in messages
    size: Optional[int]         # bytes announced; None: not announced
    content_type: Optional[str]     # None: a local file
    read: Callable[[int], bytes]    # at most so many bytes, as soon as there are any; b"" at the end


class _Memory:
    """A sink that keeps what it is given."""

    def __init__(self):
        self.data = bytearray()

    def reserve(self, size):
        """Nothing to do: whoever reads into memory has set a small cap."""

    def write(self, block):
        self.data += block

    def restart(self):
        self.data = bytearray()


def _silence(line, warning=False):
    """The ``say`` of those who do not want to hear."""


class Fetcher:
    """Downloads, one after the other; a context manager that closes its connections.

    :param timeout: int, seconds without a byte, while connecting and while reading.
    :param retries: int, tries of one download, the first included.
    :param say: callable(line, warning=False), told of each file received and of each further try.
    :param deadline: seconds for one download with all its tries. It ends the wait for an answer, and is looked at
        whenever something of a body arrives.
    :param environ: mapping of the environment variables that tell of proxies and trust; None: this process's own.
    """

    def __init__(self, timeout, retries, say=_silence, deadline=DEADLINE, environ=None):
        self.timeout = timeout
        self.retries = retries
        self.deadline = deadline
        self.downloaded = 0     # bytes of bodies that came over the network, those of failed tries included
        self._say = say
        self._environ = os.environ if environ is None else environ
        self._session = None
        self._context = None    # ssl.SSLContext of our own, or None
        self._faults = (OSError, ValueError, http.client.HTTPException)  # what the transport may raise

    def __enter__(self):
        return self

    def __exit__(self, *dummy):
        if self._session is not None:
            self._session.close()
            self._session = None

    def read(self, url, cap, what):
        """The bytes at a URL.

        :param url: str, http, https or file.
        :param cap: int, the most bytes that are accepted.
        :param what: str, what they are, for messages: ``SHA256SUMS``.
        :raises FetchError: with ``status`` where HTTP gave one; a local file that is not there counts as 404.
        :raises MissingDependency: the URL is not a file and requests is not installed.
        :raises RequestError: not a URL that can be fetched.
        """
        sink = _Memory()
        received = self._receive(url, sink, cap, what)
        self._say("%s received: %d bytes from %s" % (what, received.bytes, shown(url)))
        return bytes(sink.data)

    def download(self, url, sink, cap, what):
        """Bring the bytes at a URL into a sink. It raises what ``read`` does; errors of the sink pass untouched.

        :param sink: object with ``reserve(bytes)``, called once in a try that announces the size, before anything is
            written; ``write(block)``; ``restart()``, called before each further try.
        :returns: Received.
        """
        received = self._receive(url, sink, cap, what)
        self._say("%s received: %d bytes, sha256 %s, from %s" % (what, received.bytes, received.sha256, shown(url)))
        return received

    def _receive(self, url, sink, cap, what):
        """Try until it worked, must not be tried again, or was tried often or long enough."""
        ends = time.monotonic() + self.deadline
        attempt = 1
        while True:
            try:
                return self._attempt(url, sink, cap, what, ends)
            except FetchError as exc:
                failure = exc
            pause = choose_pause(attempt, failure)
            if not failure.retry or attempt >= self.retries or time.monotonic() + pause >= ends:
                raise failure
            attempt += 1
            self._say("try %d of %d in %.1f s: %s" % (attempt, self.retries, pause, failure))
            time.sleep(pause)
            sink.restart()

    def _attempt(self, url, sink, cap, what, ends):
        """One try: open, judge by the announced size and the first bytes, copy."""
        digest = hashlib.sha256()
        count = 0
        with contextlib.ExitStack() as stack:
            body = self._open(stack, url, what, ends)
            if body.size is not None and body.size > cap:
                raise _too_large("announces %d bytes" % body.size, body.url, cap, what)
            for block in self._blocks(body, cap, what, ends):
                if not count:
                    _refuse_web_page(body, block, what)
                    if body.size is not None:
                        sink.reserve(body.size)
                sink.write(block)
                digest.update(block)
                count += len(block)
        return Received(count, digest.hexdigest())

    def _blocks(self, body, cap, what, ends):
        """The body, block by block, held to its announced size, the cap, the lowest speed and the deadline."""
        count = recent = 0
        waited = 0.0            # for the network alone: a slow sink is another matter
        while body.size is None or count < body.size:
            asked = time.monotonic()
            with self._guarded(what, body.url, count):
                # Never more than was announced: a local file may grow meanwhile.
                block = body.read(_CHUNK if body.size is None else min(_CHUNK, body.size - count))
            now = time.monotonic()
            if not block:
                break
            waited += now - asked
            count += len(block)
            recent += len(block)
            if body.content_type is not None:
                self.downloaded += len(block)
            if count > cap:
                raise _too_large("goes on after %d bytes" % cap, body.url, cap, what)
            if now >= ends:
                raise _too_slow(
                    "was not complete after %s s: %d bytes came" % (self.deadline, count), body.url, what)
            if waited >= LOW_SPEED_TIME:
                if recent < LOW_SPEED * waited:
                    raise _too_slow(
                        "trickled: %d bytes in %d s, less than %d a second" % (recent, waited, LOW_SPEED),
                        body.url, what)
                recent, waited = 0, 0.0
            yield block
        if body.size is not None and count < body.size:
            raise FetchError(
                "%s from %s was cut short: %d of %d bytes came" % (what, body.url, count, body.size),
                retry=True, url=body.url, hint=NETWORK_HINT)

    def _open(self, stack, url, what, ends):
        """The body at a URL, redirects followed; the stack closes it."""
        check_url(url)
        if urlsplit(url).scheme == "file":
            return _open_file(stack, url, what)
        for dummy in range(REDIRECTS + 1):
            response = self._ask(url, what, ends)
            stack.callback(response.close)
            location = response.headers.get("Location")
            if response.status_code not in _REDIRECTED or not location:
                return _judge_head(response, shown(url), what)
            url = follow(url, location, what)
        raise FetchError(
            "%s is redirected more than %d times, the last time to %s" % (what, REDIRECTS, shown(url)), url=shown(url))

    def _ask(self, url, what, ends):
        """Send one request: requests.Response, its body still to be read."""
        requests, urllib3 = _import_requests(url)
        if self._session is None:
            self._faults += (urllib3.exceptions.HTTPError,)     # requests lets some of them through
            self._session, self._context = _open_session(requests, urllib3, self._environ)
        answers = queue.Queue()

        def ask():
            answer = failure = None
            try:
                # By the adapter: the session would swallow the body of a redirect, however long it is.
                request = self._session.prepare_request(requests.Request("GET", url))
                answer = self._session.get_adapter(url).send(
                    request, stream=True, timeout=(self.timeout, self.timeout), verify=self._session.verify,
                    proxies=_find_proxies(requests, self._session, self._context, url, self._environ))
            except self._faults as exc:
                failure = exc
            finally:
                answers.put((answer, failure))

        # Sockets only limit the wait for the next byte: a head that comes byte by byte can only be left to a thread.
        threading.Thread(target=ask, daemon=True).start()
        try:
            answer, failure = answers.get(timeout=max(0.0, ends - time.monotonic()))
        except queue.Empty:
            raise _too_slow("was not answered within %s s" % self.deadline, shown(url), what) from None
        if failure is not None:
            raise self._convert(failure, what, shown(url)) from failure
        return answer

    @contextlib.contextmanager
    def _guarded(self, what, place, count):
        """Turn what the transport raises over a body into FetchError. What a sink raises must never pass here."""
        try:
            yield
        except self._faults as exc:
            raise self._convert(exc, what, place, " broke off after %d bytes" % count) from exc

    def _convert(self, exc, what, place, broke=""):
        """The FetchError for something that the transport raised."""
        reason, retry, hint = explain(exc, self.timeout)
        return FetchError("%s from %s%s: %s" % (what, place, broke, reason), retry=retry, url=place, hint=hint)


def _open_file(stack, url, what):
    """The body of a file URL (RFC 8089), closed by the stack."""
    path = unquote_to_bytes(urlsplit(url).path)
    place = dict(url=shown(url), path=os.fsdecode(path))
    try:
        # Not to block on a FIFO.
        file = stack.enter_context(open(path, "rb", 0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)))
        status = os.fstat(file.fileno())
    except OSError as exc:
        missing = exc.errno in (errno.ENOENT, errno.ENOTDIR)
        raise FetchError(
            "%s from %s: %s" % (what, shown(url), errno_text(exc.errno, exc)), errno=exc.errno,
            status=404 if missing else None, hint=STATUS_HINTS[404] if missing else None, **place) from exc
    if not stat.S_ISREG(status.st_mode):
        raise FetchError("%s from %s: not a regular file (mode %o)" % (what, shown(url), status.st_mode), **place)
    return _Body(shown(url), status.st_size, None, file.read)


def _judge_head(response, place, what):
    """The body of an answer whose status and headers are in order: _Body."""
    headers = response.headers
    if response.status_code != 200:
        raise refuse_status(response.status_code, headers.get("Retry-After", ""), place, what)
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise FetchError(
            "%s from %s came with Content-Encoding %s: none was asked for" % (what, place, escaped(encoding)),
            url=place)
    size = None
    if "Content-Length" in headers and "chunked" not in headers.get("Transfer-Encoding", "").lower():
        if not re.match(r"[0-9]{1,18}\Z", headers["Content-Length"]):
            raise FetchError(
                "%s from %s came with Content-Length %s: a number was expected"
                % (what, place, escaped(headers["Content-Length"])), url=place)
        size = int(headers["Content-Length"])
    return _Body(place, size, headers.get("Content-Type", ""), _find_reader(response.raw))


def _find_reader(raw):
    """How to read what has arrived: a read that waits for a whole block would not notice a trickle."""
    if hasattr(raw, "read1"):
        return lambda size: raw.read1(size, decode_content=False)
    return raw._fp.read1        # older urllib3 has no read1; _fp is the answer of http.client, which has


def _refuse_web_page(body, block, what):
    """A captive portal, or a login page, answers 200 with HTML whatever one asks for."""
    if body.content_type is None:
        return
    media_type = body.content_type.partition(";")[0].strip().lower()
    if media_type in ("text/html", "application/xhtml+xml") or block.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise FetchError(
            "%s from %s is a web page: HTTP 200, Content-Type %s, beginning with %s"
            % (what, body.url, escaped(body.content_type), escaped(block.decode("latin-1"))),
            status=200, url=body.url,
            hint="a login page or proxy answers in place of the site: let this machine through, or name another site")


def _too_large(found, place, cap, what):
    return FetchError("%s from %s %s: at most %d are accepted" % (what, place, found, cap), url=place)


def _too_slow(found, place, what):
    return FetchError("%s from %s %s" % (what, place, found), url=place, hint=NETWORK_HINT)


def _import_requests(url):
    """requests and the urllib3 below it; imported late, since a host that fetches nothing needs neither."""
    try:
        import requests
        import urllib3
    except ImportError as exc:
        raise MissingDependency(
            "requests is not installed for %s on this side (%s), and %s cannot be fetched without it"
            % (sys.executable, exc, shown(url)), url=shown(url),
            hint="install python3-requests (dnf, apt) or requests (pip) there, or use download: controller, or archive",
        ) from exc
    return requests, urllib3


def _open_session(requests, urllib3, environ):
    """A session that takes nothing from the environment unasked: (requests.Session, ssl.SSLContext or None)."""
    session = requests.Session()
    session.trust_env = False   # or an entry in netrc would replace our Authorization header
    session.headers["Accept-Encoding"] = "identity"
    bundle = environ.get("REQUESTS_CA_BUNDLE") or environ.get("SSL_CERT_FILE")
    if bundle:
        if not os.path.exists(bundle):
            raise FetchError(
                "REQUESTS_CA_BUNDLE or SSL_CERT_FILE names %s, which is not there" % bundle, path=bundle,
                hint="unset it, or name a file with CA certificates")
        session.verify = bundle
        return session, None
    # The system's store, and certifi's on top of it. As a path: for True, some releases of requests (2.32.0 to
    # 2.32.2) put a context of their own in the place of ours.
    session.verify = requests.certs.where()
    context = urllib3.util.ssl_.create_urllib3_context()     # older urllib3 compares host names itself, and not ssl
    context.load_default_certs()
    session.get_adapter("https://").init_poolmanager(10, 10, ssl_context=context)
    return session, context


def _find_proxies(requests, session, context, url, environ):
    """The proxies for a URL, from the environment, as requests takes them."""
    proxies = {name.lower()[:-len("_proxy")]: value for name, value in sorted(environ.items())     # lower case wins
               if name.lower().endswith("_proxy")}
    if not any(proxies.values()):
        return {}               # on macOS the next one would ask the system, which kills a forked process
    if requests.utils.should_bypass_proxies(url, proxies.pop("no", "")):
        return {}
    proxy = requests.utils.select_proxy(url, proxies)
    if not proxy:
        return {}
    if "://" not in proxy:
        proxy = "http://%s" % proxy
    scheme = urlsplit(url).scheme
    if context and scheme == "https":
        # Made here, with our context, and kept by the adapter.
        session.get_adapter(url).proxy_manager_for(proxy, ssl_context=context)
    return {scheme: proxy}
