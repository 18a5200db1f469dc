# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resuming: what came so far of one download, and whether an answer really is the rest of it.

A part is asked for only under the strong validator that came with the beginning (If-Range: RFC 9110, 13.1.5), and taken
only when it begins where we stopped, belongs to a whole of the announced size, and bears that same validator. What it
says may still be a lie: the digest is always over the whole.
"""

import hashlib
import re
from typing import Any, Dict, Optional

from .._records import Sink

_PART = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})\Z")


class PartialDownload:
    """What came of one download, over all its tries.

    :param sink: see Fetcher.download().
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._begin()

    def _begin(self) -> None:
        self.count = 0  # bytes
        self.size: Optional[int] = None  # bytes announced for the whole, or None
        self._etag: Optional[str] = None
        self._coding = ""
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    @property
    def resumable(self) -> bool:
        """Whether the rest may be asked for."""
        return bool(self.count and self._etag and self.size is not None)

    def request_headers(self) -> Dict[str, str]:
        """The headers that ask for the rest: dict, empty when the whole is needed."""
        return {"Range": "bytes=%d-" % self.count, "If-Range": self._etag} if self.resumable and self._etag else {}

    def restart(self) -> None:
        """Forget all, and have the sink do so."""
        if self.count:
            self._sink.restart()
        self._begin()

    def accept(self, body: Any) -> Optional[str]:
        """Take an answer as the one to go on with.

        :param body: Body, of the whole or of a part.
        :returns: str, why it is not the rest of what came so far; None when it is, or is the whole.
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
        """Bytes that came: to the sink, whose errors pass untouched."""
        if not self.count and self.size is not None:
            self._sink.check_free_space(self.size)
        self._sink.write(block)
        self._digest.update(block)
        self.count += len(block)
