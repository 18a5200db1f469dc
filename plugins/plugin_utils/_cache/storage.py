# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories of the controller in which only we can write, and locks that give one process a name to work on.

New directories and files have mode 0700 and 0600. A file is read only if it is a regular file of ours, and it appears
complete or not at all. On a file system without locks, several processes may work on a name at once: each writes its
own file, and the last one stays.
"""

import contextlib
import errno
import os
import stat
from shlex import quote
from typing import Callable, Iterator, Optional, Set

from ...module_utils._errors import InstallError, LockError, os_error_context
from ...module_utils._fs.atomic_file import PendingFile
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
from ...module_utils._fs.lock import hold_lock
from ...module_utils._records import Log

RUN_DIR = "terraform_binary"  # in Ansible's local temporary directory, which all forks share
PATIENCE = 2  # seconds to wait before a message says so
LONGEST_WAIT = 86400  # seconds: a download ends on its own, and releases the lock
FILE_MODE = 0o600
FOLDER_MODE = 0o700
LOCK = ".lock"  # suffix of a lock's name
ANOTHER = "another download"
YOUNG = 7200  # seconds: without locks, a younger file may be in use by another process; no download takes so long

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

Folder = Directory  # an alias for files that may not import _fs.directory


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
        return enter(above, name)


def open_cache_dir(path: str) -> Directory:
    """Open the directory of the option ``cache_dir``; create it and its parents.

    :param path: str, absolute.
    :returns: Directory, which the caller closes.
    :raises InstallError: it cannot be created or opened, or other users could write there.
    """
    owners = trusted_owners()
    parent, _slash, name = path.rpartition("/")
    above, _whole = find_trusted_directory(parent or "/", "cache_dir", owners, make=null_log)
    with above:
        if above.stat(name) is None:
            check_entry(above, None, path, "cache_dir")
            above.make(name, null_log, FOLDER_MODE)
    kept = open_trusted_directory(path, "cache_dir", owners, null_log)
    if kept is None:
        raise InstallError("cache_dir %s vanished" % path, path=path, errno=errno.ENOENT, hint="run it again")
    return _checked(kept, path, "cache_dir")


def find_cache_dir(path: str) -> Optional[Directory]:
    """Open the directory of the option ``cache_dir`` if it is there, and create nothing: for check mode.

    :returns: Directory, which the caller closes, or None. Raises as open_cache_dir().
    """
    kept = open_trusted_directory(path, "cache_dir", trusted_owners(), None)
    return _checked(kept, path, "cache_dir") if kept is not None else None


def enter(parent: Directory, name: str) -> Directory:
    """Open a directory in a directory of ours, or create it; the caller closes it. Raises InstallError."""
    if parent.stat(name) is None:
        parent.make(name, null_log, FOLDER_MODE)
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


def open_file(directory: Directory, name: str) -> Optional[int]:
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
    fd = open_file(directory, name)
    if fd is None:
        return None
    with os_error_context("read", directory.at(name), place=directory.place), os.fdopen(fd, "rb") as stream:
        return stream.read()


def write_file(directory: Directory, name: str, data: bytes) -> None:
    """Write bytes under a name. Raises InstallError."""
    with PendingFile(directory, "document") as pending:
        pending.write(data)
        publish_file(pending, name)


def publish_file(pending: PendingFile, name: str) -> None:
    """Give a PendingFile its name, even if another process does so at the same time. Raises InstallError."""
    pending.finalize(FILE_MODE)
    pending.publish(name, alone=False)


def remove_file(directory: Directory, name: str) -> None:
    """Remove a file if it exists. Raises InstallError."""
    with os_error_context("remove", directory.at(name), place=directory.place), contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory.fd)


@contextlib.contextmanager
def exclusive(directory: Directory, name: str, log: Log, waiting: Callable[[], None]) -> Iterator[int]:
    """Run the body in one process at a time.

    :param directory: Directory, in which the lock file is.
    :param name: str, what the body works on.
    :param log: callable(line, warning=False), gets a warning if the file system has no locks.
    :param waiting: callable(), called when another process holds the lock for long.
    :yields: int, the age in seconds from which stale temporary files may be removed.
    :raises LockError: the lock is not free within LONGEST_WAIT.
    """
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(hold_lock(directory, name + LOCK, PATIENCE, null_log, ANOTHER))
        except LockError:
            waiting()
            held = stack.enter_context(hold_lock(directory, name + LOCK, LONGEST_WAIT, null_log, ANOTHER))
        if not held:
            log(
                "no locks on the file system of %s: a download may be made more than once" % directory.path,
                warning=True,
            )
        yield 0 if held else YOUNG


def log_once(log: Log) -> Log:
    """Return a log that logs each line once."""
    said: Set[str] = set()

    def log_new(line: str, warning: bool = False) -> None:
        if line not in said:
            said.add(line)
            log(line, warning)

    return log_new


def null_log(line: str, warning: bool = False) -> None:
    """A log that discards every line."""
