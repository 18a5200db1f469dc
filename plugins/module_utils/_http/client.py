# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads a URL into a bounded number of bytes. This is the only file that imports requests.

A completed download has exactly the announced length and at most the allowed size. No download outlives its deadline or
stays below the lowest speed. The environment never adds credentials. This file does not check that the bytes are the
right ones: the caller verifies them.
"""

import contextlib
import errno
import http.client
import os
import queue
import signal
import sys
import threading
import time
from types import ModuleType
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Type
from urllib.parse import urlsplit

from .._errors import FetchError, MissingDependency, RequestError, redacted, redacting
from .._fs.processes import TASKS_HINT, describe_task_limits
from .._fs.trusted_file import open_any
from .._records import ConnectionOptions, Guard, Log, Sink
from .certificates import Certificate, look_up
from .credentials import (
    NONE,
    SENT,
    WITHHELD,
    choose_site,
    headers_for,
    is_public,
    may_send_credentials,
    proxy_secrets,
    secrets,
)
from .listeners import check_listener
from .proxies import choose_proxy
from .response import (
    LONGEST_START,
    PartialDownload,
    ResponseBody,
    check_beginning,
    check_response,
    decode,
    open_file,
    size_of_whole,
)
from .session import Session
from .transport_errors import NETWORK_HINT, describe_transport_error, retry_delay
from .urls import check_url, is_loopback, redact_url, resolve_redirect

DEADLINE = 1800  # seconds for one download, all tries included
LOW_SPEED = 1024  # bytes per second ...
LOW_SPEED_TIME = 30  # ... over this many seconds of waiting for the network
REDIRECTS = 5
SILENCE = 5  # seconds to wait for an answer before a line says so

_CHUNK = 256 << 10
_REDIRECTED = (301, 302, 303, 307, 308)

_Answer = Tuple[Any, Optional[FetchError]]  # a requests.Response, or the error in its place


class DownloadResult(NamedTuple):
    """The result of a completed download."""

    bytes: int
    sha256: str  # 64 lower-case hex digits, of the whole file


class _MemorySink:
    """A sink that keeps the bytes in memory."""

    def __init__(self) -> None:
        self.data = bytearray()

    def check_free_space(self, size: int) -> None:
        """Do nothing: downloads into memory have a small size limit."""

    def write(self, block: bytes) -> None:
        self.data += block

    def restart(self) -> None:
        self.data = bytearray()


class _Pace:
    """The speed of a body, with its chunk framing and trailers: enforces the lowest speed and the deadline."""

    def __init__(self, ends: float, deadline: float, place: str, what: str, count: int) -> None:
        self._ends = ends
        self._deadline = deadline
        self._place = place
        self._what = what
        self._count = count
        self._recent, self._waited = 0, 0.0  # network time only: a slow sink does not count
        self._since = 0.0

    def begin(self) -> None:
        """Start to count a wait."""
        self._since = time.monotonic()

    def check(self) -> None:
        """Check the speed and the deadline, during a wait or at its end. Raises FetchError."""
        now = time.monotonic()
        self._waited += now - self._since
        self._since = now
        if now >= self._ends:
            raise _too_slow(
                "was not complete after %s s: %d bytes came" % (self._deadline, self._count), self._place, self._what
            )
        if self._waited >= LOW_SPEED_TIME:
            if self._recent < LOW_SPEED * self._waited:
                raise _too_slow(
                    "trickled: %d bytes in %d s, less than %d a second" % (self._recent, self._waited, LOW_SPEED),
                    self._place,
                    self._what,
                )
            self._recent, self._waited = 0, 0.0

    def came(self, length: int) -> None:
        """Count the bytes that ended a wait, and check the speed. Raises FetchError."""
        self._count += length
        self._recent += length
        self.check()


def _null_log(line: str, warning: bool = False) -> None:
    """A log that discards every line."""


class Fetcher:
    """Downloads files, one at a time. A context manager that closes its connections.

    :param timeout: int, seconds without a byte, while connecting and while reading.
    :param retries: int, tries of one download, the first included.
    :param log: callable(line, warning=False), gets a line for each file received and each further try.
    :param deadline: seconds for one download, all tries included. It ends the wait for an answer, and is checked
        whenever part of a body arrives.
    :param access: ConnectionOptions: credentials, TLS trust, and whether to use proxies; None: the defaults.
    :param sites: iterable of str, URLs of the sites that the user named; only these may get credentials.
    :param environ: mapping of environment variables for proxies and TLS trust; None: those of this process.
    :param guard: callable(path, what) -> int, a descriptor; opens a local file and refuses it if other users could
        write it. Given when only the site itself says which bytes are right: then no redirect leads to plain http on
        another machine either.
    :param machine: str, the machine that downloads, for error messages: ``the controller``.
    :param show: callable(line), gets a line while an answer is slow to come; None: ``log``.
    """

    def __init__(
        self,
        timeout: float,
        retries: int,
        log: Log = _null_log,
        deadline: float = DEADLINE,
        access: Optional[ConnectionOptions] = None,
        sites: Sequence[str] = (),
        environ: Optional[Mapping[str, str]] = None,
        guard: Optional[Guard] = None,
        machine: Optional[str] = None,
        show: Optional[Log] = None,
    ) -> None:
        self.timeout = timeout
        self.retries = retries
        self.deadline = deadline
        self.downloaded = 0  # bytes of bodies received over the network, failed tries included
        self._tell = log
        self._access = access = access or ConnectionOptions()
        self._sites = tuple(sites)
        self._guard = guard
        self._environ: Mapping[str, str] = os.environ if environ is None else environ
        self._secrets = secrets(access) + proxy_secrets(self._environ)
        self._connections: Dict[Tuple[bool, bool], Session] = {}  # (with client certificate, verified)
        self._machine = machine
        self._display = show or log
        self._way: List[str] = []  # redirect and proxy of the current request, for messages
        self._pace: Optional[_Pace] = None  # pace of the current body
        # exceptions that the transport may raise
        self._faults: Tuple[Type[Exception], ...] = (OSError, ValueError, http.client.HTTPException)

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(self, *dummy: object) -> None:
        for connections in self._connections.values():
            connections.close()
        self._connections.clear()

    def _log(self, line: str) -> None:
        self._tell(redacted(line, self._secrets))

    def read(self, url: str, cap: int, what: str) -> bytes:
        """Return the bytes at a URL.

        :param url: str, http, https or file.
        :param cap: int, the most bytes to accept.
        :param what: str, what the bytes are, for messages: ``SHA256SUMS``.
        :raises FetchError: with ``status`` if HTTP returned one; a missing local file counts as 404.
        :raises MissingDependency: the URL is not a file and requests is not installed.
        :raises RequestError: the URL cannot be fetched, or certificates cannot be read.
        """
        sink = _MemorySink()
        received, body = self._receive(url, sink, cap, what, True)
        with redacting(self._secrets):
            data = decode(body, bytes(sink.data), cap, what)
        self._log("%s received: %d bytes from %s" % (what, received.bytes, redact_url(url)))
        return data

    def download(self, url: str, sink: Sink, cap: int, what: str) -> DownloadResult:
        """Copy the bytes at a URL into a sink.

        :param url, cap, what: as for ``read``.
        :param sink: object with ``check_free_space(bytes)``, called before the first write if the size was announced;
            ``write(block)``; ``restart()``, called before the download starts again at its first byte.
        :returns: DownloadResult.
        :raises: what ``read`` raises; errors of the sink pass through unchanged.
        """
        received, _body = self._receive(url, sink, cap, what, False)
        self._log(
            "%s received: %d bytes, sha256 %s, from %s" % (what, received.bytes, received.sha256, redact_url(url))
        )
        return received

    def size(self, url: str, what: str) -> Optional[int]:
        """Return the bytes of the file at an http or https URL, by one request for its first byte; None: it is not known.

        A request for a part (RFC 9110, 14.2), and not HEAD: URLs that a site signs for a redirect are often good for GET
        alone. Nothing is wrong if this fails, since a download says what is wrong with the site.
        """
        ends = time.monotonic() + min(self.timeout, self.deadline)
        try:
            check_url(url)
            with contextlib.ExitStack() as stack:
                return size_of_whole(self._follow(stack, url, what, ends, {"Range": "bytes=0-0"}))
        except (FetchError, MissingDependency, RequestError) as exc:
            exc.redact(self._secrets)
            self._log("size of %s not known: %s" % (what, exc))
            return None

    def _receive(
        self, url: str, sink: Sink, cap: int, what: str, decodable: bool
    ) -> Tuple[DownloadResult, ResponseBody]:
        """Try until it works, a retry is pointless, or tries or time run out: (DownloadResult, ResponseBody)."""
        ends = time.monotonic() + self.deadline
        so_far = PartialDownload(sink)
        attempt = 1
        while True:
            try:
                return self._attempt(url, so_far, cap, what, ends, decodable)
            except FetchError as exc:
                if self._way:
                    exc.args = ("%s (%s)" % (exc, ", ".join(self._way)),)
                exc.redact(self._secrets)
                failure = exc
            pause = retry_delay(attempt, failure)
            if not failure.retry or attempt >= self.retries or time.monotonic() + pause >= ends:
                raise failure
            attempt += 1
            self._log("try %d of %d in %.1f s: %s" % (attempt, self.retries, pause, failure))
            time.sleep(pause)

    def _attempt(
        self, url: str, so_far: PartialDownload, cap: int, what: str, ends: float, decodable: bool
    ) -> Tuple[DownloadResult, ResponseBody]:
        """Try once: request the whole or the rest, check the headers and the first bytes, copy the body."""
        self._way = []
        if not so_far.resumable:
            so_far.restart()
        with contextlib.ExitStack() as stack:
            body = self._open(stack, url, what, ends, so_far)
            if so_far.size is not None and so_far.size > cap:
                raise _too_large("announces %d bytes" % so_far.size, body.url, cap, what)
            if so_far.count:
                self._log("%s resumed at byte %d of %s from %s" % (what, so_far.count, so_far.size, body.url))
            for block in _with_long_start(self._blocks(body, so_far, cap, what, ends)):
                if not so_far.count:
                    check_beginning(body, block, what, decodable)
                so_far.add(block)
        return DownloadResult(so_far.count, so_far.sha256), body

    def _blocks(self, body: ResponseBody, so_far: PartialDownload, cap: int, what: str, ends: float) -> Iterator[bytes]:
        """Yield the body in blocks; enforce its announced size, the cap, the lowest speed and the deadline."""
        count, size = so_far.count, so_far.size
        self._pace = pace = _Pace(ends, self.deadline, body.url, what, count)
        while size is None or count < size:
            pace.begin()
            with self._guarded(what, body.url, count):
                # Never read more than was announced: a local file may grow in the meantime.
                block = body.read(_CHUNK if size is None else min(_CHUNK, size - count))
            if not block:
                break
            count += len(block)
            if body.content_type is not None:
                self.downloaded += len(block)
            if count > cap:
                raise _too_large("goes on after %d bytes" % cap, body.url, cap, what)
            pace.came(len(block))
            yield block
        if size is not None and count < size:
            raise FetchError(
                "%s from %s was cut short: %d of %d bytes came" % (what, body.url, count, size),
                retry=True,
                url=body.url,
                hint=NETWORK_HINT,
            )

    def _open(
        self, stack: contextlib.ExitStack, url: str, what: str, ends: float, so_far: PartialDownload
    ) -> ResponseBody:
        """Open the body to continue with: the rest of a partial download, or else the whole."""
        check_url(url)
        if urlsplit(url).scheme == "file":
            body = open_file(stack, url, what, self._guard or open_any)
            so_far.accept(body)
            return body
        if so_far.resumable:
            with contextlib.ExitStack() as part:
                try:
                    body = self._follow(part, url, what, ends, so_far.request_headers())
                    reason = so_far.accept(body)
                except FetchError as exc:
                    if exc.status != 416:
                        raise
                    reason = str(exc)
                if reason is None:
                    stack.push(part.pop_all())
                    return body
            self._log("%s cannot be resumed at byte %d, starting again: %s" % (what, so_far.count, reason))
            so_far.restart()
        body = self._follow(stack, url, what, ends, {})
        so_far.accept(body)
        return body

    def _follow(
        self, stack: contextlib.ExitStack, url: str, what: str, ends: float, headers: Dict[str, str]
    ) -> ResponseBody:
        """Open the body at a URL, following redirects; the stack closes it."""
        site, begun = choose_site(url, self._sites), url
        for dummy in range(REDIRECTS + 1):
            if site and not may_send_credentials(url, site):
                site = None  # for good: another party chose where a redirect comes back to
            proxy = choose_proxy(url, self._environ) if self._access.use_proxy else None
            self._way = ["redirected from %s" % redact_url(begun)] * (url != begun) + ["through %s" % (proxy,)] * bool(
                proxy
            )
            self._check_listener(url, what, site is not None)
            response, credentials = self._ask(url, proxy and proxy.url, what, ends, headers, site is not None)
            stack.callback(response.close)
            self._check_listener(url, what, site is not None)  # it may be another one by now
            location = response.headers.get("Location")
            if response.status_code not in _REDIRECTED or not location:
                return check_response(response, redact_url(url), what, credentials, bool(headers), self._check_pace)
            url = resolve_redirect(url, location, what, unsigned=self._guard is not None)
        raise FetchError(
            "%s is redirected more than %d times, the last time to %s" % (what, REDIRECTS, redact_url(url)),
            url=redact_url(url),
        )

    def _check_pace(self) -> None:
        """Check the speed of the current body; called before each wait. Raises FetchError."""
        if self._pace is not None:
            self._pace.check()

    def _check_listener(self, url: str, what: str, trusted: bool) -> None:
        """Refuse a loopback port on which another user listens, if its answer is trusted or it gets credentials."""
        parts = urlsplit(url)
        if parts.scheme == "http" and is_loopback(parts.hostname):
            if self._guard is not None:
                check_listener(url, what, "decides what is installed by checksum_policy sha256sums")
            elif trusted and headers_for(self._access):
                check_listener(url, what, "gets the credentials")

    def _ask(
        self, url: str, proxy: Optional[str], what: str, ends: float, headers: Dict[str, str], trusted: bool
    ) -> Tuple[Any, str]:
        """Send one request.

        :param proxy: str, URL, or None.
        :param trusted: bool, the URL may get credentials.
        :returns: (requests.Response, body not read yet; str, NONE, SENT or WITHHELD: whether credentials were sent).
        """
        connections = self._connect(url, trusted)
        connections.prepare(url, proxy)
        carried = headers_for(self._access)
        credentials = NONE
        if carried:
            credentials = SENT if trusted else WITHHELD
        if trusted:
            headers = dict(headers, **carried)
        answers: "queue.Queue[_Answer]" = queue.Queue()

        def look_up_shown(by_proxy: bool) -> Optional[Certificate]:
            way = (proxy, None) if proxy and by_proxy else (url, proxy)
            return look_up(*way, timeout=self.timeout)

        def ask() -> None:
            # The main thread may have blocked these signals, since a change and its note must not be separated. This
            # thread may outlive its answer, so it must never receive them.
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
            answer = failure = None
            try:
                answer = connections.get(url, headers, self.timeout, proxy)
            except self._faults as exc:
                failure = self._convert(exc, what, redact_url(url), store=connections.store, look_up=look_up_shown)
                failure.__cause__ = exc
            finally:
                answers.put((answer, failure))

        # A socket timeout only limits the wait for the next byte. Headers that arrive byte by byte need a thread.
        try:
            threading.Thread(target=ask, daemon=True).start()
        except RuntimeError as exc:  # Python raises this for EAGAIN
            raise FetchError(
                "%s from %s: no thread is to be had for the request (%s)"
                % (what, redact_url(url), describe_task_limits()),
                url=redact_url(url),
                errno=errno.EAGAIN,
                hint=TASKS_HINT,
                next_site=False,
            ) from exc
        answer, failure = self._await(answers, url, what, ends)
        if failure is not None:
            raise failure
        return answer, credentials

    def _await(self, answers: "queue.Queue[_Answer]", url: str, what: str, ends: float) -> _Answer:
        """Wait for the answer in the queue, and say so if it takes long. Raises FetchError at the deadline."""
        left = ends - time.monotonic()
        if left > SILENCE:
            with contextlib.suppress(queue.Empty):
                return answers.get(timeout=SILENCE)
            self._display(
                redacted("waiting for an answer of %s for %s" % (urlsplit(url).hostname, what), self._secrets)
            )
        try:
            return answers.get(timeout=max(0.0, ends - time.monotonic()))
        except queue.Empty:
            raise _too_slow("was not answered within %s s" % self.deadline, redact_url(url), what) from None

    def _connect(self, url: str, trusted: bool) -> Session:
        """Return the Session for a URL: sessions differ in client certificate and in verification."""
        requests, urllib3 = _import_requests(url, self._machine)
        verified = self._access.validate_certs or is_public(url)
        kind = (bool(self._access.client_cert) and trusted, verified)
        if kind not in self._connections:
            self._faults += (urllib3.exceptions.HTTPError,)  # requests lets some of these through
            self._connections[kind] = Session(requests, urllib3, self._access, self._environ, *kind)
        return self._connections[kind]

    @contextlib.contextmanager
    def _guarded(self, what: str, place: str, count: int) -> Iterator[None]:
        """Turn transport errors while a body is read into FetchError. Errors of a sink must never pass through here."""
        try:
            yield
        except self._faults as exc:
            raise self._convert(exc, what, place, " broke off after %d bytes" % count) from exc

    def _convert(self, exc: BaseException, what: str, place: str, broke: str = "", **tls: Any) -> FetchError:
        """Return the FetchError for a transport error; ``tls`` goes to describe_transport_error()."""
        reason, retry, hint = describe_transport_error(exc, self.timeout, **tls)
        return FetchError("%s from %s%s: %s" % (what, place, broke, reason), retry=retry, url=place, hint=hint)


def _with_long_start(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes; the first block has at least LONGEST_START bytes, unless the whole is shorter."""
    start: Optional[bytes] = b""
    for block in blocks:
        if start is None:
            yield block
        else:
            start += block
            if len(start) >= LONGEST_START:
                yield start
                start = None
    if start:
        yield start


def _too_large(found: str, place: str, cap: int, what: str) -> FetchError:
    return FetchError("%s from %s %s: at most %d are accepted" % (what, place, found, cap), url=place)


def _too_slow(found: str, place: str, what: str) -> FetchError:
    return FetchError("%s from %s %s" % (what, place, found), url=place, hint=NETWORK_HINT)


def _import_requests(url: str, machine: Optional[str]) -> Tuple[ModuleType, ModuleType]:
    """Import requests and its urllib3. The import is late because a host that downloads nothing needs neither."""
    try:
        import requests
        import urllib3
    except ImportError as exc:
        python = "%s's Python, %s" % (machine, sys.executable) if machine else sys.executable
        raise MissingDependency(
            "requests is not installed for %s (%s), and %s cannot be fetched without it"
            % (python, exc, redact_url(url)),
            url=redact_url(url),
            hint="install python3-requests (dnf, apt) or requests (pip) there, or use download: controller, or archive",
        ) from exc
    return requests, urllib3
