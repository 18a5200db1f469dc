# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies of answers: opened only when status, headers and first bytes are in order.

It promises that a body which is handed out is the file itself, in no encoding, and not a login page in its place.
"""

import errno
import os
import re
import stat
from typing import Callable, NamedTuple, Optional
from urllib.parse import unquote_to_bytes, urlsplit

from ._errors import FetchError, errno_text, escaped
from ._faults import hint_of, refuse_status
from ._urls import shown

_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"\Z')     # RFC 9110, 8.8.3


class Body(NamedTuple):
    """A body, still to be read."""

    url: str                        # where it really comes from, as shown in messages
    size: Optional[int]             # bytes announced for what is still to come; None: not announced
    content_type: Optional[str]     # None: a local file
    etag: Optional[str]             # a strong validator (RFC 9110, 8.8.1); None: there is none
    part: Optional[str]             # Content-Range of a partial answer; None: it is the whole
    read: Callable[[int], bytes]    # at most so many bytes, as soon as there are any; b"" at the end


def open_any(path, what):
    """Open a file for reading, whoever could write it: int, a descriptor. Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)    # not to block on a FIFO


def open_file(stack, url, what, guard):
    """The body of a file URL (RFC 8089), closed by the stack. Raises FetchError; one that is missing counts as 404.

    :param guard: callable(path, what) -> int, which opens the file and may refuse to.
    """
    path = unquote_to_bytes(urlsplit(url).path)
    place = dict(url=shown(url), path=os.fsdecode(path))
    try:
        file = stack.enter_context(open(path, "rb", 0, opener=lambda name, flags: guard(name, what)))
        status = os.fstat(file.fileno())
    except OSError as exc:
        missing = exc.errno in (errno.ENOENT, errno.ENOTDIR)
        raise FetchError(
            "%s from %s: %s" % (what, shown(url), errno_text(exc.errno, exc)), errno=exc.errno,
            status=404 if missing else None, hint=hint_of(404) if missing else None, **place) from exc
    if not stat.S_ISREG(status.st_mode):
        raise FetchError("%s from %s: not a regular file (mode %o)" % (what, shown(url), status.st_mode), **place)
    return Body(shown(url), status.st_size, None, None, None, file.read)


def judge_head(response, place, what, credentials, resuming):
    """The body of an answer whose status and headers are in order.

    :param response: requests.Response.
    :param place: str, its URL as shown.
    :param credentials: str, what it was shown of them: see _credentials.
    :param resuming: bool, a part was asked for, and will do.
    :returns: Body. Raises FetchError.
    """
    headers = response.headers
    partial = resuming and response.status_code == 206
    if response.status_code != 200 and not partial:
        raise refuse_status(response.status_code, headers.get("Retry-After", ""), place, what, credentials)
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
    etag = headers.get("ETag", "").strip()
    return Body(place, size, headers.get("Content-Type", ""), etag if _STRONG_ETAG.match(etag) else None,
                headers.get("Content-Range", "") if partial else None, _find_reader(response.raw))


def _find_reader(raw):
    """How to read what has arrived: a read that waits for a whole block would not notice a trickle."""
    if hasattr(raw, "read1"):
        return lambda size: raw.read1(size, decode_content=False)
    return raw._fp.read1        # older urllib3 has no read1; _fp is the answer of http.client, which has


def refuse_web_page(body, block, what):
    """A captive portal, or a login page, answers 200 with HTML whatever one asks for. Raises FetchError for one.

    :param block: bytes, the first of the body.
    """
    if body.content_type is None:
        return
    media_type = body.content_type.partition(";")[0].strip().lower()
    if media_type in ("text/html", "application/xhtml+xml") or block.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise FetchError(
            "%s from %s is a web page: HTTP 200, Content-Type %s, beginning with %s"
            % (what, body.url, escaped(body.content_type), escaped(block.decode("latin-1"))),
            status=200, url=body.url,
            hint="a login page or proxy answers in place of the site: let this machine through, or name another site")
