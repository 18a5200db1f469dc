# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories of the controller in which only we can write, and the archives and documents in them.

Such a directory is that of a run, or the option ``cache_dir``. New directories and files have mode 0700 and 0600. A file
is read only if it is a regular file of ours, and it appears complete or not at all. A lock gives one process a name to
work on. On a file system without locks, several processes may work on a name at once: each writes its own file, and the
last one stays.

A Store has archives by place and documents by key. Bytes from it were hashed just now or, in the directory of a run,
earlier in this run, and the file did not change since. Documents are the bytes that were stored. Many processes share
it. With a limit, the archives that were used last stay, and an archive may vanish as soon as its lock is free. So whoever
uses it takes a copy.

    <directory>/<place>/archive.zip     files of mode 0600 in directories of 0700
    <directory>/<place>.lock            held while a process fills, copies or removes the archive
    <directory>/<place>.hashed          in the directory of a run: which file had which digest
    <directory>/<key>.document
    <directory>/documents.lock          held while a process writes a document
"""

import contextlib
import errno
import os
import re
import stat
from shlex import quote
from typing import Callable, ContextManager, Iterator, List, Optional, Set

from ...module_utils._errors import InstallError, LockError, os_error_context
from ...module_utils._fs.atomic_file import PendingFile, copy_file, remove_stale_temp_files
from ...module_utils._fs.directory import (
    Directory,
    UnsafeReason,
    check_entry,
    find_trusted_directory,
    open_trusted_directory,
    owner_text,
    trusted_owners,
    unsafe_path_error,
)
from ...module_utils._fs.hashing import hash_of
from ...module_utils._fs.lock import hold_lock
from ...module_utils._records import Log

RUN_DIR = "terraform_binary"  # in Ansible's local temporary directory, which all forks share
PATIENCE = 2  # seconds to wait before a message says so
FILE_MODE = 0o600

_FOLDER_MODE = 0o700
_LONGEST_WAIT = 86400  # seconds: a download ends on its own, and releases the lock
_LOCK = ".lock"  # suffix of a lock's name
_ANOTHER = "another download"
_YOUNG = 7200  # seconds: without locks, a younger file may be in use by another process; no download takes so long
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_DOCUMENT = ".document"
_ARCHIVE = "archive.zip"
_HASHED = ".hashed"
_DOCUMENTS = "documents"
_DOCUMENTS_AN_ARCHIVE = 8  # SHA256SUMS and signatures, from several sites
_DIGEST = re.compile("[0-9a-f]{64}\\Z")
_KEPT_DOCUMENT = re.compile("[0-9a-f]{64}[.]document\\Z")
_IN_A_FOLDER = re.compile("(?:archive[.]zip|[.]tmp[.]archive[.][a-z0-9]{8})\\Z")

Fill = Callable[[PendingFile], None]  # writes an archive into a PendingFile


def open_run_dir(parent: str, name: str) -> Directory:
    """Open the directory of one run; create it if it is missing.

    :param parent: str, an existing directory that is removed with the run.
    :param name: str, of the directory in it.
    :returns: Directory, which the caller closes.
    :raises InstallError: it cannot be created or opened.
    """
    real = os.path.realpath(parent)
    with os_error_context("open directory", real, place="local_tmp"):
        fd = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with Directory(fd, real, trusted_owners(), "local_tmp") as above:
        return _enter(above, name)


def open_cache_dir(path: str) -> Directory:
    """Open the directory of the option ``cache_dir``; create it and its parents.

    :param path: str, absolute.
    :returns: Directory, which the caller closes.
    :raises InstallError: it cannot be created or opened, or other users could write there.
    """
    owners = trusted_owners()
    parent, _slash, name = path.rpartition("/")
    above, _whole = find_trusted_directory(parent or "/", "cache_dir", owners, make=_null_log)
    with above:
        if above.stat(name) is None:
            check_entry(above, None, path, "cache_dir")
            above.make(name, _null_log, _FOLDER_MODE)
    kept = open_trusted_directory(path, "cache_dir", owners, _null_log)
    if kept is None:
        raise InstallError("cache_dir %s vanished" % path, path=path, errno=errno.ENOENT, hint="run it again")
    return _checked(kept, path, "cache_dir")


def find_cache_dir(path: str) -> Optional[Directory]:
    """Open the directory of the option ``cache_dir`` if it is there, and create nothing: for check mode.

    :returns: Directory, which the caller closes, or None. Raises as open_cache_dir().
    """
    kept = open_trusted_directory(path, "cache_dir", trusted_owners(), None)
    return _checked(kept, path, "cache_dir") if kept is not None else None


def _enter(parent: Directory, name: str) -> Directory:
    """Open a directory in a directory of ours, or create it; the caller closes it. Raises InstallError."""
    if parent.stat(name) is None:
        parent.make(name, _null_log, _FOLDER_MODE)
    return _checked(parent.enter(name), parent.at(name), "cache")


def _checked(directory: Directory, path: str, what: str) -> Directory:
    """Return the directory if only trusted users could put files there. Raises InstallError."""
    try:
        check_entry(directory, None, path, what)
        with os_error_context("look at", path, place=directory.place):
            found = os.fstat(directory.fd)
        if found.st_mode & stat.S_IWOTH:  # the sticky bit is enough for a parent, but not here
            raise unsafe_path_error(
                UnsafeReason(
                    "%s can be written by others (%s)" % (directory.path, owner_text(found)),
                    "chmod o-w %s" % quote(directory.path),
                ),
                path,
                what,
            )
    except InstallError:
        directory.close()
        raise
    return directory


def _open_file(directory: Directory, name: str) -> Optional[int]:
    """Open a regular file of ours for reading: int, or None if there is none. Raises InstallError."""
    with os_error_context("open", directory.at(name), place=directory.place):
        try:
            fd = os.open(name, _OPEN, dir_fd=directory.fd)
        except FileNotFoundError:
            return None
        found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in directory.owners.uids:
        os.close(fd)
        raise InstallError(
            "%s is not a regular file of ours (%s)" % (directory.at(name), owner_text(found)),
            path=directory.at(name),
            errno=errno.EPERM,
            hint="remove it",
        )
    return fd


def read_file(directory: Directory, name: str) -> Optional[bytes]:
    """Return the bytes of a file of ours, or None if there is none. Raises InstallError."""
    fd = _open_file(directory, name)
    if fd is None:
        return None
    with os_error_context("read", directory.at(name), place=directory.place), os.fdopen(fd, "rb") as stream:
        return stream.read()


def write_file(directory: Directory, name: str, data: bytes) -> None:
    """Write bytes under a name. Raises InstallError."""
    with PendingFile(directory, "document") as pending:
        pending.write(data)
        _publish_file(pending, name)


def _publish_file(pending: PendingFile, name: str) -> None:
    """Give a PendingFile its name, even if another process does so at the same time. Raises InstallError."""
    pending.finalize(FILE_MODE)
    pending.publish(name, alone=False)


def _remove_file(directory: Directory, name: str) -> None:
    """Remove a file if it exists. Raises InstallError."""
    with os_error_context("remove", directory.at(name), place=directory.place), contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory.fd)


@contextlib.contextmanager
def _exclusive(directory: Directory, name: str, log: Log, waiting: Callable[[], None]) -> Iterator[int]:
    """Run the body in one process at a time.

    :param directory: Directory, in which the lock file is.
    :param name: str, what the body works on.
    :param log: callable(line, warning=False), gets a warning if the file system has no locks.
    :param waiting: callable(), called when another process holds the lock for long.
    :yields: int, the age in seconds from which stale temporary files may be removed.
    :raises LockError: the lock is not free within _LONGEST_WAIT.
    """
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(hold_lock(directory, name + _LOCK, PATIENCE, _null_log, _ANOTHER))
        except LockError:
            waiting()
            held = stack.enter_context(hold_lock(directory, name + _LOCK, _LONGEST_WAIT, _null_log, _ANOTHER))
        if not held:
            log(
                "no locks on the file system of %s: a download may be made more than once" % directory.path,
                warning=True,
            )
        yield 0 if held else _YOUNG


def _log_once(log: Log) -> Log:
    """Return a log that logs each line once."""
    said: Set[str] = set()

    def log_new(line: str, warning: bool = False) -> None:
        if line not in said:
            said.add(line)
            log(line, warning)

    return log_new


def _null_log(line: str, warning: bool = False) -> None:
    """A log that discards every line."""


class Store:
    """Archives and documents in a directory.

    :param directory: Directory, from open_run_dir() or open_cache_dir().
    :param log: callable(line, warning=False).
    :param keep: int, the most archives to keep; None: all.
    """

    def __init__(self, directory: Directory, log: Log, keep: Optional[int] = None) -> None:
        self.directory = directory
        self._log = log
        self._say_once = _log_once(log)
        self._keep = keep

    def document(self, key: str) -> Optional[bytes]:
        """Return the bytes, or None. Raises InstallError."""
        return read_file(self.directory, key + _DOCUMENT)

    def put_document(self, key: str, data: bytes) -> None:
        """Store a document. Raises InstallError."""
        if self.document(key) != data:
            with self.exclusive(_DOCUMENTS, _no_wait):  # all hosts verify it at about the same time
                if self.document(key) != data:
                    write_file(self.directory, key + _DOCUMENT, data)

    def drop_document(self, key: str) -> None:
        """Remove a document. Raises InstallError."""
        _remove_file(self.directory, key + _DOCUMENT)

    def has_archive(self, place: str) -> bool:
        """Whether there is an archive, which is not looked at here: for check mode."""
        with contextlib.suppress(InstallError):  # another run just removed it
            if self._is_folder(place):
                with self.directory.enter(place) as folder:
                    return _is_file(folder, _ARCHIVE)
        return False

    def exclusive(self, name: str, waiting: Callable[[], None]) -> ContextManager[int]:
        """Run the body in one process at a time: see _exclusive()."""
        return _exclusive(self.directory, name, self._say_once, waiting)

    def archive(
        self,
        sha256: str,
        place: str,
        fetch: Fill,
        waiting: Callable[[], None],
        sink: Optional[PendingFile] = None,
    ) -> str:
        """Return the path of the archive with this digest. All of it is hashed, or was in this run.

        :param sha256: str, 64 lower-case hex digits.
        :param place: str of 64 hex digits: see RunCache.archive().
        :param fetch: callable(sink), called if the archive is not here; must leave bytes of this digest in the sink.
        :param waiting: callable(), called when another process holds the lock for long.
        :param sink: PendingFile that receives a copy; needed if there is a limit.
        :returns: str.
        :raises: what ``fetch`` raises, InstallError.
        """
        path = None
        if self._keep is None and self.directory.stat(place) is not None:
            with _enter(self.directory, place) as folder:  # nobody removes it: many processes may hash it at once
                path = self._find(folder, place, sha256, _null_log)
        if path is None:
            with self.exclusive(place, waiting) as age, _enter(self.directory, place) as folder:
                list(remove_stale_temp_files(folder, age))  # the generator removes as it runs
                path = self._find(folder, place, sha256, self._log, sink)
                if path is None:
                    self._fill(folder, place, fetch, sink)
        if path is not None:
            self._log("archive taken from the cache: %s, sha256 %s" % (path, sha256))
        self._evict(place)
        return "%s/%s/%s" % (self.directory.path, place, _ARCHIVE)

    def _find(
        self, folder: Directory, place: str, sha256: str, log: Log, sink: Optional[PendingFile] = None
    ) -> Optional[str]:
        """Return the path of the archive, copied into ``sink``; None if it is not there or not right."""
        fd = _open_file(folder, _ARCHIVE)
        if fd is None:
            return None
        path: str = folder.at(_ARCHIVE)
        try:
            if sink is None:
                known = self._keep is None and read_file(self.directory, place + _HASHED)
                if known == _identity(os.fstat(fd), sha256):
                    return path
                with os_error_context("read", path, place=folder.place):
                    found = hash_of(fd)
                self._note(place, os.fstat(fd), found)
            else:
                with os_error_context("touch", path, place=folder.place):
                    os.utime(fd)  # eviction goes by the time of the last use
                copy_file(fd, path, sink)
                found = sink.sha256
        finally:
            os.close(fd)
        if found == sha256:
            return path
        log("the cached %s is damaged (sha256 %s): fetched again" % (path, found), warning=True)
        if sink is not None:
            sink.restart()
        return None

    def _note(self, place: str, archive: Optional[os.stat_result], sha256: str) -> None:
        """Keep the digest of an archive, so that this run does not hash it again for every host."""
        if self._keep is None and archive is not None:
            with contextlib.suppress(InstallError):  # without the note it is hashed again
                write_file(self.directory, place + _HASHED, _identity(archive, sha256))

    def _fill(self, folder: Directory, place: str, fetch: Fill, sink: Optional[PendingFile]) -> None:
        """Fetch the archive, into ``sink`` as well."""
        with PendingFile(folder, "archive") as pending:
            fetch(sink or pending)
            if sink is not None:
                copy_file(sink.fd, sink.path, pending)
            _publish_file(pending, _ARCHIVE)
            self._note(place, folder.stat(_ARCHIVE), pending.sha256)

    def _evict(self, newest: str) -> None:
        """Remove the least recently used archives above the limit, but neither the newest nor one in use.

        Files that do not look as this class writes them belong to somebody else, and stay.
        """
        if self._keep is None:
            return
        names = self.directory.names()
        others = [name for name in names if _DIGEST.match(name) and name != newest and self._is_folder(name)]
        for name in self._oldest(others, "/" + _ARCHIVE, self._keep - 1):
            with contextlib.suppress(LockError):  # another run is using it
                self._drop(name)
        documents = [name for name in names if _KEPT_DOCUMENT.match(name) and _is_file(self.directory, name)]
        for name in self._oldest(documents, "", self._keep * _DOCUMENTS_AN_ARCHIVE):
            _remove_file(self.directory, name)

    def _is_folder(self, name: str) -> bool:
        """Whether a directory is ours: it has at most an archive, and stale temporary files of a killed run."""
        with contextlib.suppress(InstallError):  # another run just removed it, or it cannot be examined
            if _looks_ours(self.directory, name, stat.S_IFDIR | _FOLDER_MODE):
                with self.directory.enter(name) as folder:
                    return all(_IN_A_FOLDER.match(each) and _is_file(folder, each) for each in folder.names())
        return False

    def _oldest(self, names: List[str], below: str, keep: int) -> List[str]:
        """Return all names but the newest ``keep``, by the modification time of the file ``below`` each."""
        found = {name: self.directory.stat(name + below) for name in names}
        ages = {name: entry.st_mtime if entry else 0 for name, entry in found.items()}
        return sorted(ages, key=ages.__getitem__, reverse=True)[keep:]

    def _drop(self, name: str) -> None:
        with hold_lock(self.directory, name + _LOCK, 0, _null_log, _ANOTHER) as held:
            if not self._is_folder(name):
                return
            with _enter(self.directory, name) as folder:
                list(remove_stale_temp_files(folder, 0 if held else _YOUNG))  # the generator removes as it runs
                _remove_file(folder, _ARCHIVE)
            if not held:
                return  # without a lock, another run may be writing there
            with os_error_context("remove directory", self.directory.at(name), place="cache_dir"):
                os.rmdir(name, dir_fd=self.directory.fd)
            # Remove the lock file while holding the lock: a waiting process checks that its lock file still has this
            # name.
            _remove_file(self.directory, name + _LOCK)
        self._log("cache: %s removed, %s newer ones are kept" % (self.directory.at(name), self._keep))


def _identity(found: os.stat_result, sha256: str) -> bytes:
    """Return a digest with all that changes when a file does: its inode, size and times (inode(7))."""
    numbers = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return ("%s %d %d %d %d %d" % ((sha256,) + numbers)).encode("ascii")


def _is_file(directory: Directory, name: str) -> bool:
    return _looks_ours(directory, name, stat.S_IFREG | FILE_MODE)


def _looks_ours(directory: Directory, name: str, mode: int) -> bool:
    found = directory.stat(name)
    return found is not None and found.st_mode == mode and found.st_uid in directory.owners.uids


def _no_wait() -> None:
    """Log nothing: writing a document is quick."""
