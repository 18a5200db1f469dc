# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an honest server answers: RFC 9110 for the files of a site, as a plain function of request and file."""

import email.utils
import hashlib
import re
from typing import Dict, NamedTuple

_MODIFIED = 1744203816  # 2025-04-09 13:03:36 UTC: releases never change, so one moment will do
_TYPES = {".zip": "application/zip", ".json": "application/json", ".sig": "binary/octet-stream"}
_NOT_FOUND = b"<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>404 Not Found</body>\r\n</html>\r\n"


class Document(NamedTuple):
    """A file of the site."""

    body: bytes
    content_type: str
    etag: str  # strong
    last_modified: str


class Reply(NamedTuple):
    """An answer that is still to be framed and sent; no header in it speaks of length."""

    status: int
    headers: Dict[str, str]
    body: bytes


def make_document(path, body):
    """The file at a path, with the validators that its bytes give it."""
    suffix = path[path.rfind(".") :] if "." in path else ""
    digest = hashlib.sha256(body).hexdigest()[:32]
    modified = email.utils.formatdate(_MODIFIED, usegmt=True)
    return Document(body, _TYPES.get(suffix, "text/plain"), '"%s"' % digest, modified)


def honest_reply(request, document):
    """The right answer to GET or HEAD: 200, 206, 404 or 416.

    Several ranges in one request, and units other than bytes, are answered with the whole (RFC 9110, 14.2).

    :param request: has ``method`` and ``headers``.
    :param document: Document, or None where the site has no such file.
    """
    if document is None:
        return Reply(404, {"Content-Type": "text/html"}, _NOT_FOUND)
    headers = {
        "Content-Type": document.content_type,
        "ETag": document.etag,
        "Last-Modified": document.last_modified,
        "Accept-Ranges": "bytes",
    }
    total = len(document.body)
    span = _requested_span(request, document)
    if span is None:
        return Reply(200, headers, document.body)
    start, end = span
    if start >= end:
        headers["Content-Range"] = "bytes */%d" % total
        return Reply(416, headers, b"")
    headers["Content-Range"] = "bytes %d-%d/%d" % (start, end - 1, total)
    return Reply(206, headers, document.body[start:end])


def _requested_span(request, document):
    """(start, end) of the bytes to send, start >= end when there are none such; None for the whole file."""
    wanted = re.match(r"bytes=(\d*)-(\d*)$", request.headers.get("Range", ""))
    condition = request.headers.get("If-Range")
    if request.method != "GET" or not wanted or condition not in (None, document.etag, document.last_modified):
        return None
    first, last = wanted.groups()
    total = len(document.body)
    if first:
        if last and int(last) < int(first):
            return None  # not a valid range: as if none had been asked for
        return int(first), min(int(last) + 1 if last else total, total)
    if last:
        return max(total - int(last), 0), total if int(last) else 0
    return None
