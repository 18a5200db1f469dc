# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress lines for a long download, and the line about a change.

The first line comes after two seconds at the earliest, so a short download has none. The next one comes after another
quarter of the download or ten seconds. The last one says that the download is complete.
"""

import time
from typing import Any, BinaryIO, Callable, Optional

from ...module_utils._openpgp.hashicorp_key import FINGERPRINT

SILENT = 2.0  # seconds
QUARTER = 25  # per cent
PAUSE = 10.0  # seconds


class ProgressSink:
    """A sink that reports progress and passes everything on to another sink.

    :param sink: as for Fetcher: ``check_free_space(bytes)``, ``write(data)``, ``restart()``, ``sha256``, ``size``,
        ``reader()``.
    :param what: str, what is downloaded.
    :param show: callable(line).
    :param now: callable() -> float, seconds.
    """

    def __init__(
        self, sink: Any, what: str, show: Callable[[str], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._sink = sink
        self._what = what
        self._display = show
        self._now = now
        self._begun = self._shown_at = now()
        self._restarted()

    def _restarted(self) -> None:
        self._total: Optional[int] = None  # bytes, if they were announced
        self._came = 0
        self._shown_percent = 0  # per cent in the last line
        self._since = self._now()

    @property
    def sha256(self) -> str:
        return str(self._sink.sha256)

    @property
    def size(self) -> int:
        return int(self._sink.size)

    def reader(self) -> BinaryIO:
        stream: BinaryIO = self._sink.reader()
        return stream

    def check_free_space(self, size: int) -> None:
        self._sink.check_free_space(size)
        self._total = size

    def restart(self) -> None:
        self._sink.restart()
        self._restarted()

    def write(self, data: bytes) -> None:
        self._sink.write(data)
        self._came += len(data)
        now = self._now()
        if now - self._begun < SILENT:
            return
        percent = self._came * 100 // self._total if self._total else 0
        if percent >= 100 or percent - self._shown_percent >= QUARTER or now - self._shown_at >= PAUSE:
            self._shown_percent, self._shown_at = percent, now
            self._display(self._line(percent, now - self._since))

    def _line(self, percent: int, seconds: float) -> str:
        rate = "%s/s" % in_units(self._came / max(seconds, 0.001))
        if not self._total:
            return "%s: %s, %s" % (self._what, in_units(self._came), rate)
        return "%s: %d %% of %s, %s" % (self._what, percent, in_units(self._total), rate)


def in_units(count: float) -> str:
    """Format a number of bytes: ``27.8 MB``, in powers of ten, as sites show sizes."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return ("%d %s" if unit == "bytes" else "%.1f %s") % (count, unit)
        count /= 1000
    return "%.1f GB" % count


def describe_change(answer: Any) -> str:
    """Describe what a task changed: ``Terraform 1.11.4 installed at ... (was 1.10.5), signed by HashiCorp 2025-04-09``.

    :param answer: Answer of a module that changed something and did not fail.
    :returns: str.
    """
    line, keep, removed = answer.msg.partition("; removed (keep: ")
    if answer.previous_version and answer.version not in (None, answer.previous_version):
        line += " (was %s)" % answer.previous_version
    verification = answer.verification or {}
    if verification.get("signer"):
        signer = "HashiCorp" if verification["signer"] == FINGERPRINT else "the key %s" % verification["signer"]
        line += ", signed by %s %s" % (signer, (verification["signed_at"] or "")[:10])
    return str(line + keep + removed)
