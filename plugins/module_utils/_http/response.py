# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens the body of a response after checking it, and tracks a download over the responses of several tries.

A body that it returns is the file itself, neither compressed on the way nor replaced by a login page. The bytes decide
what a body is; Content-Encoding and Content-Type only raise suspicion.

A download requests a part only with the strong validator of the first response (If-Range: RFC 9110, 13.1.5). It accepts
a part only if it starts at the next byte, belongs to a file of the announced size and has the same validator. A server
can still lie about all of these, so the digest always covers the whole file.
"""

import contextlib
import errno
import hashlib
import io
import os
import re
import stat
import zlib
from typing import Any, Callable, Dict, NamedTuple, Optional

from .._errors import FetchError, errno_text, quoted
from .._records import Guard, Params, Sink
from .transport_errors import error_for_status
from .urls import file_path, redact_url

_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"\Z')  # RFC 9110, 8.8.3
_PART = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})\Z")  # RFC 9110, 14.4
# First bytes of the files of a release site: a zip, a signature (RFC 9580, 4.2: packet type 2), SHA256SUMS, an index.
_PUBLISHED = re.compile(
    rb"PK[\x03\x05]|[\x88-\x8b\xc2]|[\xef\xbb\xbf \t\r\n]*(?:-----BEGIN PGP|[0-9a-fA-F]{64}[ \t]|[{])"
)
LONGEST_START = 80  # bytes that are enough to recognize a file
# HTTP Content Coding Registry, IANA. Anything else is an invented label (aws-chunked, utf-8) and is ignored.
_CODINGS = frozenset(
    (
        "aes128gcm",
        "br",
        "compress",
        "dcb",
        "dcz",
        "deflate",
        "exi",
        "gzip",
        "pack200-gzip",
        "x-compress",
        "x-gzip",
        "zstd",
    )
)
_DECODED = ("gzip", "x-gzip", "deflate")
_MEMBERS = 100  # of a compressed body: each member costs a copy of the bytes that follow it
_MEDIA_TYPE = re.compile(r"(?:application|audio|binary|font|image|multipart|text|video)/[a-z0-9.+-]{1,30}\Z")
_TAG = re.compile(
    rb"[\xef\xbb\xbf \t\r\n]*(<(?:!doctype html|html|head|body|\?xml|script|title|meta|p))\b", re.IGNORECASE
)


class ResponseBody(NamedTuple):
    """The body of a response, not read yet."""

    url: str  # where it comes from after redirects, redacted for messages
    size: Optional[int]  # announced bytes still to come; None: not announced
    content_type: Optional[str]  # None: a local file
    etag: Optional[str]  # a strong validator (RFC 9110, 8.8.1); None: there is none
    part: Optional[str]  # Content-Range of a partial response; None: it is the whole file
    read: Callable[[int], bytes]  # at most this many bytes, as soon as any arrive; b"" at the end
    coding: str = ""  # Content-Encoding, without codings that HTTP does not define


def open_file(stack: contextlib.ExitStack, url: str, what: str, guard: Guard) -> ResponseBody:
    """Open the file of a file URL (RFC 8089); the stack closes it.

    :param url: str, a file URL.
    :param what: str, what the file is, for messages.
    :param guard: callable(path, what) -> int, opens the file and returns a descriptor, or refuses.
    :raises FetchError: the file cannot be opened or is not a regular file; a missing file has status 404.
    """
    path = file_path(url)
    place: Params = dict(url=redact_url(url), path=path)
    try:
        file = stack.enter_context(open(path, "rb", 0, opener=lambda name, flags: guard(name, what)))
        status = os.fstat(file.fileno())
    except OSError as exc:
        missing = exc.errno in (errno.ENOENT, errno.ENOTDIR)
        raise FetchError(
            "%s from %s: %s" % (what, redact_url(url), errno_text(exc.errno, exc)),
            errno=exc.errno,
            status=404 if missing else None,
            hint="look whether that folder has %s" % ("this file" if what == "index" else "this version and platform")
            if missing
            else None,
            **place,
        ) from exc
    if not stat.S_ISREG(status.st_mode):
        raise FetchError("%s from %s: not a regular file (mode %o)" % (what, redact_url(url), status.st_mode), **place)
    return ResponseBody(redact_url(url), status.st_size, None, None, None, file.read)


def check_response(
    response: Any, place: str, what: str, credentials: str, resuming: bool, tick: Callable[[], None]
) -> ResponseBody:
    """Check the status and headers of a response, and return its body.

    :param response: requests.Response.
    :param place: str, its URL, redacted for messages.
    :param what: str, what the body is, for messages.
    :param credentials: str, whether credentials were sent: see credentials.py.
    :param resuming: bool, a part was requested, so a partial response is accepted.
    :param tick: callable(), called before each wait for the network while the body is read; an exception from it ends
        the wait.
    :returns: ResponseBody.
    :raises FetchError: the status or a header is not acceptable.
    """
    headers = response.headers
    partial = resuming and response.status_code == 206
    if response.status_code != 200 and not partial:
        raise error_for_status(response.status_code, headers.get("Retry-After", ""), place, what, credentials)
    codings = [coding.strip().lower() for coding in headers.get("Content-Encoding", "").split(",")]
    size = None
    if "Content-Length" in headers and "chunked" not in headers.get("Transfer-Encoding", "").lower():
        if not re.match(r"[0-9]{1,18}\Z", headers["Content-Length"]):
            raise FetchError(
                "%s from %s came with a Content-Length that is no number of bytes" % (what, place), url=place
            )
        size = int(headers["Content-Length"])
    etag = headers.get("ETag", "").strip()
    return ResponseBody(
        place,
        size,
        headers.get("Content-Type", ""),
        etag if _STRONG_ETAG.match(etag) else None,
        headers.get("Content-Range", "") if partial else None,
        _find_reader(response.raw, tick),
        ", ".join(coding for coding in codings if coding in _CODINGS),
    )


def size_of_whole(body: ResponseBody) -> Optional[int]:
    """Return the bytes of the whole file, as the answer to a request for a part of it says; None: it does not say."""
    if body.coding or (body.content_type or "").lower().startswith("text/html"):  # of something else
        return None
    if body.part is None:  # the server sends the whole
        return body.size
    part = _PART.match(body.part)
    return int(part.group(3)) if part and part.group(1) == "0" else None


class _Ticking(io.RawIOBase):
    """The stream of a connection, which calls ``tick`` before each read.

    http.client reads a chunk's size, its extensions and the trailers as whole lines, however long each byte takes.
    """

    def __init__(self, stream: io.BufferedReader, tick: Callable[[], None]) -> None:
        super().__init__()
        self._stream = stream
        self._tick = tick

    def readable(self) -> bool:
        return True

    def readinto(self, block: Any) -> int:
        self._tick()
        data = self._stream.read1(len(block))
        block[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _find_reader(raw: Any, tick: Callable[[], None]) -> Callable[[int], bytes]:
    """Return a function that reads what has arrived: waiting for a whole block would not notice a slow server."""
    answer = raw._fp  # the response of http.client
    if answer.fp is not None:
        answer.fp = io.BufferedReader(_Ticking(answer.fp, tick))
    if hasattr(raw, "read1"):
        return lambda size: raw.read1(size, decode_content=False)
    read1: Callable[[int], bytes] = answer.read1  # older urllib3 has no read1
    return read1


def check_beginning(body: ResponseBody, start: bytes, what: str, decodable: bool) -> None:
    """Check the first bytes of a body.

    :param start: bytes, at least LONGEST_START of them unless the whole is shorter.
    :param what: str, what the body is, for messages.
    :param decodable: bool, the caller passes the whole body to decode().
    :raises FetchError: the bytes show that it is not the file itself.
    """
    if not _is_coded(body, start):
        _reject_html(body, start, what)
    elif not decodable or body.coding not in _DECODED:
        raise _coded_error(body, what, "was compressed on the way (Content-Encoding %s)" % body.coding)


def decode(body: ResponseBody, data: bytes, cap: int, what: str) -> bytes:
    """Return the file itself, given all bytes of a body: some servers compress without being asked to.

    :param data: bytes, the whole body.
    :param cap: int, the most bytes to accept after decoding.
    :param what: str, what the body is, for messages.
    :raises FetchError: the file is too large, cannot be decoded, or is a web page.
    """
    if not _is_coded(body, data):
        return data
    found, members = b"", 0
    try:
        while data:  # gzip may have several members (RFC 1952, 2.2)
            members += 1
            if members > _MEMBERS:
                raise zlib.error("it has more than %d members" % _MEMBERS)
            decoder = zlib.decompressobj(32 + zlib.MAX_WBITS)  # accepts gzip and zlib
            found += decoder.decompress(data, cap + 1 - len(found))
            if len(found) > cap:
                raise FetchError(
                    "%s from %s goes on after %d bytes, uncompressed: at most %d are accepted"
                    % (what, body.url, cap, cap),
                    url=body.url,
                )
            if not decoder.eof:
                raise zlib.error("it ends too early")
            data = decoder.unused_data
    except zlib.error as exc:
        raise _coded_error(
            body, what, "came with Content-Encoding %s and cannot be decoded (%s)" % (body.coding, quoted(str(exc)))
        ) from exc
    _reject_html(body, found, what)
    return found


def _is_coded(body: ResponseBody, start: bytes) -> bool:
    return bool(body.coding) and not _PUBLISHED.match(start)


def _coded_error(body: ResponseBody, what: str, found: str) -> FetchError:
    return FetchError(
        "%s from %s %s, which was not asked for" % (what, body.url, found),
        url=body.url,
        hint="have that server (or the proxy before it) send this file as it is, or name another site",
    )


def _reject_html(body: ResponseBody, start: bytes, what: str) -> None:
    """Refuse HTML: a captive portal or login page answers 200 to every request. Raises FetchError."""
    if body.content_type is None:
        return
    media_type = body.content_type.partition(";")[0].strip().lower()
    is_labelled = media_type in ("text/html", "application/xhtml+xml") and not _PUBLISHED.match(start)
    if is_labelled or start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        # A redirect may lead to a page that another party controls. Show only known values from it.
        known = media_type if _MEDIA_TYPE.match(media_type) else "of another form"
        tag = _TAG.match(start)
        raise FetchError(
            "%s from %s is a web page: HTTP 200, Content-Type %s, %s"
            % (
                what,
                body.url,
                known,
                "beginning with %s" % tag.group(1).decode("ascii") if tag else "%d bytes" % len(start),
            ),
            status=200,
            url=body.url,
            hint="a login page or proxy answers in place of the site: let who downloads through, give credentials (url_token, "
            "url_username) if the site wants a login, or name another site",
        )


class PartialDownload:
    """The bytes of one download, over all its tries.

    :param sink: see Fetcher.download().
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._begin()

    def _begin(self) -> None:
        self.count = 0  # bytes
        self.size: Optional[int] = None  # announced size of the whole in bytes, or None
        self._etag: Optional[str] = None
        self._coding = ""
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    @property
    def resumable(self) -> bool:
        """Whether the rest can be requested."""
        return bool(self.count and self._etag and self.size is not None)

    def request_headers(self) -> Dict[str, str]:
        """Return the headers that request the rest: dict, empty if the whole file is needed."""
        return {"Range": "bytes=%d-" % self.count, "If-Range": self._etag} if self.resumable and self._etag else {}

    def restart(self) -> None:
        """Discard all bytes, in the sink too."""
        if self.count:
            self._sink.restart()
        self._begin()

    def accept(self, body: ResponseBody) -> Optional[str]:
        """Decide whether to continue with a response.

        :param body: ResponseBody, of the whole file or of a part.
        :returns: str, why it is not the rest of the bytes received; None if it is the rest, or the whole.
        """
        if body.part is None:
            self.restart()
            self.size, self._etag, self._coding = body.size, body.etag, body.coding
            return None
        if body.coding != self._coding:
            return "its Content-Encoding is another one"
        part = _PART.match(body.part)
        if not part:
            return "it does not say which part it is"
        start, last, total = (int(number) for number in part.groups())
        if start != self.count:
            return "it begins at byte %d" % start
        if total != self.size or last != total - 1:
            return "it ends at byte %d of %d, where %s were announced" % (last, total, self.size)
        if body.size not in (None, total - start):
            return "it announces %d bytes" % body.size
        return None if body.etag == self._etag else "it is of another file"

    def add(self, block: bytes) -> None:
        """Pass received bytes to the sink, whose errors pass through unchanged."""
        if not self.count and self.size is not None:
            self._sink.check_free_space(self.size)
        self._sink.write(block)
        self._digest.update(block)
        self.count += len(block)
