# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache that stays on the controller between runs: recently used archives, and verified documents.

Bytes from it were hashed just now, or are the bytes that were stored. Each user of an archive gets a copy, so another
run may remove the cached one at any time. Several runs may share the cache.

    <cache_dir>/<place>/archive.zip     files of mode 0600 in directories of 0700
    <cache_dir>/<place>.lock            held while a process fills or removes the archive
    <cache_dir>/<key>.document
    <cache_dir>/documents.lock          held while a process writes a document
"""

import contextlib
import os
import re
import stat
from typing import Callable, List, Optional

from ...module_utils._errors import InstallError, LockError, os_error_context
from ...module_utils._fs.atomic_file import PendingFile, copy_file, remove_stale_temp_files
from ...module_utils._fs.lock import hold_lock
from ...module_utils._records import Log
from .storage import (
    ANOTHER,
    FILE_MODE,
    FOLDER_MODE,
    LOCK,
    YOUNG,
    Folder,
    enter,
    exclusive,
    log_once,
    null_log,
    open_file,
    publish_file,
    read_file,
    remove_file,
    write_file,
)

ARCHIVE = "archive.zip"
DOCUMENT = ".document"
DOCUMENTS_AN_ARCHIVE = 8  # SHA256SUMS and signatures, from several sites
_DOCUMENTS = "documents"
_DIGEST = re.compile("[0-9a-f]{64}\\Z")
_KEPT_DOCUMENT = re.compile("[0-9a-f]{64}[.]document\\Z")
_IN_A_FOLDER = re.compile("(?:archive[.]zip|[.]tmp[.]archive[.][a-z0-9]{8})\\Z")


class PersistentCache:
    """The directory of the option ``cache_dir``.

    :param directory: Directory, from open_cache_dir().
    :param keep: int, the most archives to keep.
    :param log: callable(line, warning=False).
    """

    def __init__(self, directory: Folder, keep: int, log: Log) -> None:
        self._directory = directory
        self._keep = keep
        self._log = log
        self._say_once = log_once(log)

    def document(self, key: str) -> Optional[bytes]:
        """Return the bytes, or None. Raises InstallError."""
        return read_file(self._directory, key + DOCUMENT)

    def put_document(self, key: str, data: bytes) -> None:
        """Store a verified document. Raises InstallError."""
        if self.document(key) != data:
            with exclusive(self._directory, _DOCUMENTS, self._say_once, _null_log):
                write_file(self._directory, key + DOCUMENT, data)

    def drop_document(self, key: str) -> None:
        """Remove a document that does not verify. Raises InstallError."""
        remove_file(self._directory, key + DOCUMENT)

    def fill(
        self,
        sha256: str,
        place: str,
        pending: PendingFile,
        fetch: Callable[[PendingFile], None],
        waiting: Callable[[], None],
    ) -> None:
        """Fill ``pending`` with the archive of this digest.

        The archive comes from the cache if its bytes are right. Otherwise ``fetch`` downloads it, and it is stored in
        the cache.

        :param sha256: str, 64 lower-case hex digits.
        :param place: str of 64 hex digits: see RunCache.archive().
        :param pending: PendingFile that receives the archive.
        :param fetch: callable(sink).
        :param waiting: callable(), called when another run holds the lock for long.
        :raises: what ``fetch`` raises, InstallError.
        """
        with exclusive(self._directory, place, self._say_once, waiting) as age, enter(self._directory, place) as folder:
            list(remove_stale_temp_files(folder, age))  # the generator removes as it runs
            if not self._copy_from(folder, sha256, pending):
                fetch(pending)
                with PendingFile(folder, "archive") as copied:
                    copy_file(pending.fd, pending.path, copied)
                    publish_file(copied, ARCHIVE)
        self._evict(place)

    def _copy_from(self, folder: Folder, sha256: str, pending: PendingFile) -> bool:
        """Copy the cached archive into ``pending``: bool, its bytes are there and right."""
        fd = open_file(folder, ARCHIVE)
        if fd is None:
            return False
        path = folder.at(ARCHIVE)
        try:
            with os_error_context("touch", path, place=folder.place):
                os.utime(fd)  # eviction goes by the time of the last use
            copy_file(fd, path, pending)
        finally:
            os.close(fd)
        if pending.sha256 == sha256:
            self._log("archive taken from the cache: %s, %d bytes, sha256 %s" % (path, pending.size, sha256))
            return True
        self._log("the cached %s is damaged (sha256 %s): fetched again" % (path, pending.sha256), warning=True)
        pending.restart()
        return False

    def _evict(self, newest: str) -> None:
        """Remove the least recently used archives above the limit, but never one in use.

        Files that do not look as this class writes them belong to somebody else, and stay.
        """
        names = self._directory.names()
        others = [name for name in names if _DIGEST.match(name) and name != newest and self._is_folder(name)]
        for name in self._oldest(others, "/" + ARCHIVE, self._keep - 1):
            with contextlib.suppress(LockError):  # another run is using it
                self._drop(name)
        documents = [name for name in names if _KEPT_DOCUMENT.match(name) and _is_file(self._directory, name)]
        for name in self._oldest(documents, "", self._keep * DOCUMENTS_AN_ARCHIVE):
            remove_file(self._directory, name)

    def _is_folder(self, name: str) -> bool:
        """Whether a directory is ours: it has at most an archive, and stale temporary files of a killed run."""
        with contextlib.suppress(InstallError):  # another run just removed it, or it cannot be examined
            if _looks_ours(self._directory, name, stat.S_IFDIR | FOLDER_MODE):
                with self._directory.enter(name) as folder:
                    return all(_IN_A_FOLDER.match(each) and _is_file(folder, each) for each in folder.names())
        return False

    def _oldest(self, names: List[str], below: str, keep: int) -> List[str]:
        """Return all names but the newest ``keep``, by the modification time of the file ``below`` each."""
        found = {name: self._directory.stat(name + below) for name in names}
        ages = {name: entry.st_mtime if entry else 0 for name, entry in found.items()}
        return sorted(ages, key=ages.__getitem__, reverse=True)[keep:]

    def _drop(self, name: str) -> None:
        with hold_lock(self._directory, name + LOCK, 0, null_log, ANOTHER) as held:
            if not self._is_folder(name):
                return
            with enter(self._directory, name) as folder:
                list(remove_stale_temp_files(folder, 0 if held else YOUNG))  # the generator removes as it runs
                remove_file(folder, ARCHIVE)
            if not held:
                return  # without a lock, another run may be writing there
            with os_error_context("remove directory", self._directory.at(name), place="cache_dir"):
                os.rmdir(name, dir_fd=self._directory.fd)
            # Remove the lock file while holding the lock: a waiting process checks that its lock file still has this
            # name.
            remove_file(self._directory, name + LOCK)
        self._log("cache: %s removed, %d newer ones are kept" % (self._directory.at(name), self._keep))


def _is_file(directory: Folder, name: str) -> bool:
    return _looks_ours(directory, name, stat.S_IFREG | FILE_MODE)


def _looks_ours(directory: Folder, name: str, mode: int) -> bool:
    found = directory.stat(name)
    return found is not None and found.st_mode == mode and found.st_uid in directory.owners.uids


def _null_log() -> None:
    """Log nothing: writing a document is quick."""
