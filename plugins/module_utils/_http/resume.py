# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resumes a download: tracks the bytes received and checks that a response is the rest of them.

It requests a part only with the strong validator of the first response (If-Range: RFC 9110, 13.1.5). It accepts a part
only if it starts at the next byte, belongs to a file of the announced size and has the same validator. A server can
still lie about all of these, so the digest always covers the whole file.
"""

import hashlib
import re
from typing import Any, Dict, Optional

from .._records import Sink

_PART = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})\Z")


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

    def accept(self, body: Any) -> Optional[str]:
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
