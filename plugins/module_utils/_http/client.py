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

from .._errors import FetchError, MissingDependency, redacted, redacting
from .._fs.processes import TASKS_HINT, describe_task_limits
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
from .response import LONGEST_START, ResponseBody, check_beginning, check_response, decode, open_any, open_file
from .resume import PartialDownload
from .session import Session
from .transport_errors import NETWORK_HINT, describe_transport_error, retry_delay
from .urls import check_url, is_loopback, redact_url, resolve_redirect

SUMS_CAP = 256 << 10  # bytes
SIGNATURE_CAP = 64 << 10
INDEX_CAP = 16 << 20
ARCHIVE_CAP = 512 << 20

DEADLINE = 1800  # seconds for one download with all its tries
LOW_SPEED = 1024  # bytes per second ...
LOW_SPEED_TIME = 30  # ... over this many seconds of waiting for the network
REDIRECTS = 5
SILENCE = 5  # seconds of waiting for an answer without a word about it

_CHUNK = 256 << 10
_REDIRECTED = (301, 302, 303, 307, 308)

_Answer = Tuple[Any, Optional[FetchError]]  # a requests.Response, or why there is none


class DownloadResult(NamedTuple):
    """What a download brought."""

    bytes: int
    sha256: str  # 64 lower-case hex digits, over the whole


class _MemorySink:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.data = bytearray()

    def check_free_space(self, size: int) -> None:
        """Nothing to do: whoever reads into memory has set a small cap."""

    def write(self, block: bytes) -> None:
        self.data += block

    def restart(self) -> None:
        self.data = bytearray()


class _Pace:
    """How fast a body comes, its frame of chunks and trailers included: held to the lowest speed and to the deadline."""

    def __init__(self, ends: float, deadline: float, place: str, what: str, count: int) -> None:
        self._ends = ends
        self._deadline = deadline
        self._place = place
        self._what = what
        self._count = count
        self._recent, self._waited = 0, 0.0  # for the network alone: a slow sink is another matter
        self._since = 0.0

    def begin(self) -> None:
        """Somebody begins to wait."""
        self._since = time.monotonic()

    def judge(self) -> None:
        """Somebody waits, or did until now. Raises FetchError."""
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
        """The wait is over, and so many bytes came. Raises FetchError."""
        self._count += length
        self._recent += length
        self.judge()


def _null_log(line: str, warning: bool = False) -> None:
    """The ``say`` of those who do not want to hear."""


class Fetcher:
    """Downloads, one after the other; a context manager that closes its connections.

    :param timeout: int, seconds without a byte, while connecting and while reading.
    :param retries: int, tries of one download, the first included.
    :param log: callable(line, warning=False), told of each file received and of each further try.
    :param deadline: seconds for one download with all its tries. It ends the wait for an answer, and is looked at
        whenever something of a body arrives.
    :param access: Access: credentials, trust, and whether proxies are used; None: the usual ones.
    :param sites: iterable of str, URLs of the sites that the user named, who may be shown credentials.
    :param environ: mapping of the environment variables that tell of proxies and trust; None: this process's own.
    :param guard: callable(path, what) -> int, opens local files unless others could write them. It is given where nobody
        but the site itself says what its files have to be: then no redirect leads to plain http elsewhere, either.
    :param show: callable(line), told when somebody has to wait for an answer; None: ``say``.
    :param machine: str, which machine asks, for the message that it cannot: ``the controller``.
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
        self.downloaded = 0  # bytes of bodies that came over the network, those of failed tries included
        self._tell = log
        self._access = access = access or ConnectionOptions()
        self._sites = tuple(sites)
        self._guard = guard
        self._environ: Mapping[str, str] = os.environ if environ is None else environ
        self._secrets = secrets(access) + proxy_secrets(self._environ)
        self._connections: Dict[Tuple[bool, bool], Session] = {}  # (with client certificate, verified)
        self._machine = machine
        self._display = show or log
        self._way: List[str] = []  # to the answer that is read now: for messages
        self._pace: Optional[_Pace] = None  # of the body that is read now
        # what the transport may raise
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
        """The bytes at a URL.

        :param url: str, http, https or file.
        :param cap: int, the most bytes that are accepted.
        :param what: str, what they are, for messages: ``SHA256SUMS``.
        :raises FetchError: with ``status`` where HTTP gave one; a local file that is not there counts as 404.
        :raises MissingDependency: the URL is not a file and requests is not installed.
        :raises RequestError: not a URL that can be fetched; certificates that cannot be read.
        """
        sink = _MemorySink()
        received, body = self._receive(url, sink, cap, what, True)
        with redacting(self._secrets):
            data = decode(body, bytes(sink.data), cap, what)
        self._log("%s received: %d bytes from %s" % (what, received.bytes, redact_url(url)))
        return data

    def download(self, url: str, sink: Sink, cap: int, what: str) -> DownloadResult:
        """Bring the bytes at a URL into a sink. It raises what ``read`` does; errors of the sink pass untouched.

        :param sink: object with ``reserve(bytes)``, called before the first byte is written when the size was announced;
            ``write(block)``; ``restart()``, called before the download begins again from its first byte.
        :returns: Received.
        """
        received, _body = self._receive(url, sink, cap, what, False)
        self._log(
            "%s received: %d bytes, sha256 %s, from %s" % (what, received.bytes, received.sha256, redact_url(url))
        )
        return received

    def _receive(
        self, url: str, sink: Sink, cap: int, what: str, decodable: bool
    ) -> Tuple[DownloadResult, ResponseBody]:
        """Try until it worked, must not be tried again, or was tried often or long enough: (Received, Body)."""
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
        """One try: ask for the whole or for the rest, judge the answer by its head and its first bytes, copy."""
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
        """The body, block by block, held to its announced size, the cap, the lowest speed and the deadline."""
        count, size = so_far.count, so_far.size
        self._pace = pace = _Pace(ends, self.deadline, body.url, what, count)
        while size is None or count < size:
            pace.begin()
            with self._guarded(what, body.url, count):
                # Never more than was announced: a local file may grow meanwhile.
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
        """The Body to go on with: the rest of what came so far, else the whole from its first byte."""
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
        """The Body at a URL, redirects followed; the stack closes it."""
        site, begun = choose_site(url, self._sites), url
        for dummy in range(REDIRECTS + 1):
            if site and not may_send_credentials(url, site):
                site = None  # for good: where a redirect comes back to was chosen by somebody else
            proxy = choose_proxy(url, self._environ) if self._access.use_proxy else None
            self._way = ["redirected from %s" % redact_url(begun)] * (url != begun) + ["through %s" % (proxy,)] * bool(
                proxy
            )
            self._check_listener(url, what, site is not None)
            response, credentials = self._ask(url, proxy and proxy.url, what, ends, headers, site is not None)
            stack.callback(response.close)
            self._check_listener(url, what, site is not None)  # it may have been another one by then
            location = response.headers.get("Location")
            if response.status_code not in _REDIRECTED or not location:
                return check_response(response, redact_url(url), what, credentials, bool(headers), self._judge_pace)
            url = resolve_redirect(url, location, what, unsigned=self._guard is not None)
        raise FetchError(
            "%s is redirected more than %d times, the last time to %s" % (what, REDIRECTS, redact_url(url)),
            url=redact_url(url),
        )

    def _judge_pace(self) -> None:
        """Hold the body that is read to its pace: called before each wait. Raises FetchError."""
        if self._pace is not None:
            self._pace.judge()

    def _check_listener(self, url: str, what: str, trusted: bool) -> None:
        """Refuse a port of this machine that another user listens on, where it is believed, or told a secret."""
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
        :param trusted: bool, the URL may be shown credentials.
        :returns: (requests.Response, its body still to be read; what the URL was shown of the credentials).
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
            # The main thread may have blocked them: a change and its note belong together, and this one may outlast its answer.
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
            answer = failure = None
            try:
                answer = connections.get(url, headers, self.timeout, proxy)
            except self._faults as exc:
                failure = self._convert(exc, what, redact_url(url), store=connections.store, look_up=look_up_shown)
                failure.__cause__ = exc
            finally:
                answers.put((answer, failure))

        # Sockets only limit the wait for the next byte: a head that comes byte by byte can only be left to a thread.
        try:
            threading.Thread(target=ask, daemon=True).start()
        except RuntimeError as exc:  # what Python makes of EAGAIN
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
        """What is put into the queue; a line when that takes its time. Raises FetchError at the end of all patience."""
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
        """The connections for a URL: those that show the client certificate are kept apart, and so are unverified ones."""
        requests, urllib3 = _import_requests(url, self._machine)
        verified = self._access.validate_certs or is_public(url)
        kind = (bool(self._access.client_cert) and trusted, verified)
        if kind not in self._connections:
            self._faults += (urllib3.exceptions.HTTPError,)  # requests lets some of them through
            self._connections[kind] = Session(requests, urllib3, self._access, self._environ, *kind)
        return self._connections[kind]

    @contextlib.contextmanager
    def _guarded(self, what: str, place: str, count: int) -> Iterator[None]:
        """Turn what the transport raises over a body into FetchError. What a sink raises must never pass here."""
        try:
            yield
        except self._faults as exc:
            raise self._convert(exc, what, place, " broke off after %d bytes" % count) from exc

    def _convert(self, exc: BaseException, what: str, place: str, broke: str = "", **tls: Any) -> FetchError:
        """The FetchError for something that the transport raised; ``tls`` as explain() takes it."""
        reason, retry, hint = describe_transport_error(exc, self.timeout, **tls)
        return FetchError("%s from %s%s: %s" % (what, place, broke, reason), retry=retry, url=place, hint=hint)


def _with_long_start(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes; the first block is long enough to tell what they are, unless there are no more."""
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
    """requests and the urllib3 below it; imported late, since a host that fetches nothing needs neither."""
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
