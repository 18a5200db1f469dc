# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of one run, in front of the cache that stays. Many processes share each download.

A process waits for another's download only as long as that takes. A failed download is not tried again in the same
attempt: one try of one task, for all its hosts. The cache does not verify documents: every task verifies the bytes
itself. It uses neither Ansible nor the network. In the directory of the run are, beside what store.py has there:

    <run>/<key>.<attempt>.document      the bytes received in that attempt
    <run>/<key>.<attempt>.failure       why there are none
    <run>/<key>.lock                    held by the process that downloads, while the others wait
"""

import contextlib
import json
from typing import Any, Callable, ContextManager, Dict, Iterator, Optional, Tuple, Type, Union

from ...module_utils._errors import FetchError, InstallError, TerraformBinaryError, VerificationError
from ...module_utils._fs.atomic_file import PendingFile
from ...module_utils._records import Log
from .storage import Folder, read_file, write_file
from .store import Fill, Store

_FAILURE, _ASKED = ".failure", ".asked"
_SHORT = 60  # characters of a failure's reason that other hosts repeat
_KINDS: Dict[str, Type[TerraformBinaryError]] = {"FetchError": FetchError, "VerificationError": VerificationError}


class RunCache:
    """The cache as one task uses it.

    :param run: Directory, from open_run_dir().
    :param kept: Store of the option ``cache_dir``, or None.
    :param log: callable(line, warning=False).
    :param waiting: callable(what), called once when another process's download takes long.
    :param round_name: str of letters, digits and dashes: the name of the attempt.
    :param host: str, the host of the task; if it fails, messages for other hosts refer to this host.
    :param seen: Store of the option ``cache_dir`` in check mode, which is only asked what it has; or None.
    """

    def __init__(
        self,
        run: Folder,
        kept: Optional[Store],
        log: Log,
        waiting: Callable[[str], None],
        round_name: str,
        host: str,
        seen: Optional[Store] = None,
    ) -> None:
        self._run = run
        self._store = Store(run, log)
        self._kept = kept
        self._log = log
        self._waiting = waiting
        self._round = round_name
        self._host = host
        self._seen = seen

    def document(self, key: str, what: str, fetch: Callable[[], bytes]) -> Tuple[bytes, bool]:
        """Return bytes downloaded in this attempt or verified before, or else those that ``fetch`` downloads.

        :param key: str of letters and digits, different for documents that must not be shared.
        :param what: str, what it is, for the message about waiting.
        :param fetch: callable() -> bytes.
        :returns: (bytes, bool: they come from an earlier run).
        :raises: what ``fetch`` raises, or raised before in this attempt; InstallError.
        """
        found = self._read_received(key)
        if found is not None:
            return found, False
        with self._exclusive(key, what):
            found = self._read_received(key)  # another process was faster
            if found is not None:
                return found, False
            kept = self._kept.document(key) if self._kept else None
            if kept is not None:
                return kept, True  # not copied into this run's cache until it is verified
            self._recall(key)
            with self._remembering(key):
                found = fetch()
            self._store.put_document(self._of_round(key), found)
        return found, False

    def _read_received(self, key: str) -> Optional[bytes]:
        found = self._store.document(key)
        return self._store.document(self._of_round(key)) if found is None else found

    def _of_round(self, key: str) -> str:
        return "%s.%s" % (key, self._round)

    def put_document(self, key: str, data: bytes, for_later: bool = True) -> None:
        """Store a verified document for this run and, with ``for_later``, for later runs. Raises InstallError."""
        self._store.put_document(key, data)
        if self._kept and for_later:
            self._kept.put_document(key, data)

    def drop_document(self, key: str) -> None:
        """Remove a verified document from this run's cache. Raises InstallError."""
        self._store.drop_document(key)

    def drop_kept(self, key: str) -> None:
        """Remove a document of an earlier run, which does not verify. Raises InstallError."""
        if self._kept:
            self._kept.drop_document(key)

    def is_first(self, key: str) -> bool:
        """Whether nobody has asked for that key in this run before, on whichever host. Raises InstallError."""
        name = key + _ASKED
        with self._exclusive(name, "a note"):
            if self._run.stat(name) is not None:
                return False
            write_file(self._run, name, b"")
            return True

    def has_archive(self, place: str) -> bool:
        """Whether archive() would find the archive for a place in a cache."""
        return self._store.has_archive(place) or self._seen is not None and self._seen.has_archive(place)

    def archive(self, sha256: str, place: str, key: str, what: str, fetch: Fill) -> str:
        """Return the path of the archive with this digest. All of it is hashed, or was in this run.

        :param sha256: str, 64 lower-case hex digits.
        :param place: str of 64 hex digits, for what it is and where it comes from; the same place shares the archive.
        :param key: str, under which a failure is remembered.
        :param what: str, what it is, for the message about waiting.
        :param fetch: callable(sink); must leave bytes of this digest in the sink.
        :returns: str.
        :raises: what ``fetch`` raises, or raised before for that key; InstallError.
        """

        def fetch_once(sink: PendingFile) -> None:
            self._recall(key)
            with self._remembering(key):
                fetch(sink)

        def waiting() -> None:
            self._waiting(what)

        def fill(sink: PendingFile) -> None:
            if self._kept:
                self._kept.archive(sha256, place, fetch_once, waiting, sink)
            else:
                fetch_once(sink)

        return self._store.archive(sha256, place, fill, waiting)

    def _exclusive(self, name: str, what: str) -> ContextManager[int]:
        return self._store.exclusive(name, lambda: self._waiting(what))

    @contextlib.contextmanager
    def _remembering(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FetchError, VerificationError) as exc:
            with contextlib.suppress(InstallError):  # a full disk must not hide why the download failed
                write_file(self._run, self._of_round(key) + _FAILURE, _failure_bytes(exc, self._host))
            raise

    def _recall(self, key: str) -> None:
        """Raise the error of an earlier failure for that key in this attempt."""
        data = read_file(self._run, self._of_round(key) + _FAILURE)
        if data is not None:
            failure, host = _failure_of(data)
            self._log("not asked again: it failed for %s" % host)
            raise failure


def _failure_bytes(exc: Union[FetchError, VerificationError], host: str) -> bytes:
    kind = "VerificationError" if isinstance(exc, VerificationError) else "FetchError"
    where: Dict[str, Any] = {name: getattr(exc, name) for name in ("path", "url", "errno")}
    if isinstance(exc, FetchError):
        where.update(next_site=exc.next_site, status=exc.status)
    return json.dumps({"kind": kind, "message": str(exc), "host": host, "where": where}).encode()


def _failure_of(data: bytes) -> Tuple[TerraformBinaryError, str]:
    """Recreate a failure for another host: its subject, its reason if short, and which host has the details."""
    saved = json.loads(data.decode())
    host, (about, _colon, reason) = saved["host"], saved["message"].partition(": ")
    cause = " (%s)" % reason if reason and len(reason) <= _SHORT else ""
    return _KINDS[saved["kind"]](
        "%s: failed for %s%s" % (about, host, cause), hint="see %s" % host, **saved["where"]
    ), host
