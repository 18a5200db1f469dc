# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads of one file from a release site, and what tests want to know of them. Runs on Python 3.6."""

import hashlib

from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._http import client
from support.system import PATIENCE

NAME = "some/file.bin"
BODY = bytes(bytearray(range(256))) * 2500  # 640,000 bytes: several reads
SHA256 = hashlib.sha256(BODY).hexdigest()
SECRET = "s3cret-in-the-query"
FAR = "far.test"  # a site's name for those who reach it through a proxy (RFC 6761, 6.2)
CAP = 1 << 20


class Sink:
    """Keeps what it is given, and the order of the calls."""

    def __init__(self, failure=None, at=None):
        self.calls = []
        self.data = bytearray()
        self.failure = failure
        self.at = at

    def _called(self, name, *arguments):
        self.calls.append((name,) + arguments)
        if name == self.at:
            raise self.failure

    def check_free_space(self, size):
        self._called("reserve", size)

    def write(self, block):
        self._called("write")
        self.data += block

    def restart(self):
        self._called("restart")
        del self.data[:]


class Transfer:
    """A download of ``served``'s file, with all that was said meanwhile."""

    def __init__(
        self, site, retries=1, timeout=PATIENCE, cap=CAP, sink=None, query="?token=" + SECRET, path=NAME, **how
    ):
        self.url = "%s/%s" % (site if isinstance(site, str) else site.url, path)
        self.lines = []
        self.sink = sink or Sink()
        self.error = self.received = None
        with client.Fetcher(timeout, retries, self._log, **how) as fetcher:
            try:
                self.received = fetcher.download(self.url + query, self.sink, cap, "archive")
            except _errors.FetchError as error:
                self.error = error
            self.downloaded = fetcher.downloaded

    def _log(self, line, warning=False):
        assert line.isprintable() and SECRET not in line
        self.lines.append(line)

    def succeeded(self):
        assert self.error is None, self.error
        assert self.received == client.DownloadResult(len(BODY), SHA256)
        assert bytes(self.sink.data) == BODY
        assert self.lines[-1] == "archive received: 640000 bytes, sha256 %s, from %s" % (SHA256, self.url)
        return self

    def failed(self, message, retry=False, status=None, place=None):
        assert self.received is None
        error, place = self.error, place or self.url
        assert message in str(error)
        assert place in str(error)
        assert (error.retry, error.next_site, error.status, error.url) == (retry, True, status, place)
        assert str(error).isprintable() and len(str(error)) < 400
        assert SECRET not in str(error)
        return self
