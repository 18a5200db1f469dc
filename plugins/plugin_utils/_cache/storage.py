# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's folders: nobody but us can write there, and one process at a time works on a name.

What is made here has mode 0700 or 0600. A file is read only if it is a regular one of ours, and appears whole or not at
all. Where the file system has no locks, several work on a name at once: each brings its own file, and the last one stays.
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

PATIENCE = 2  # seconds of waiting that are not worth a word
LONGEST_WAIT = 86400  # seconds: a download ends by itself, and with it the lock
FILE_MODE = 0o600
FOLDER_MODE = 0o700
LOCK = ".lock"  # suffix of a lock's name
ANOTHER = "another download"
YOUNG = 7200  # seconds: what is younger may be another's work where there are no locks; no download takes so long

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

Folder = Directory  # its name for files that may not import _directories


def open_run_dir(parent: str, name: str) -> Directory:
    """The folder of one run; made if it is not there.

    :param parent: str, an existing directory that goes with the run.
    :returns: Directory, to be closed. Raises InstallError.
    """
    real = os.path.realpath(parent)
    with os_error_context("open directory", real, place="local_tmp"):
        fd = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with Directory(fd, real, trusted_owners(), "local_tmp") as above:
        return enter(above, name)


def open_cache_dir(path: str) -> Directory:
    """The folder that ``cache_dir`` names; what is missing of the way to it is made. Refused where others could write.

    :param path: str, absolute.
    :returns: Directory, to be closed. Raises InstallError.
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


def enter(parent: Directory, name: str) -> Directory:
    """A folder in a folder of ours, made if it is not there; to be closed. Raises InstallError."""
    if parent.stat(name) is None:
        parent.make(name, null_log, FOLDER_MODE)
    return _checked(parent.enter(name), parent.at(name), "cache")


def _checked(directory: Directory, path: str, what: str) -> Directory:
    """The directory, unless others than the trusted could put files there. Raises InstallError."""
    try:
        check_entry(directory, None, path, what)
        with os_error_context("look at", path, place=directory.place):
            found = os.fstat(directory.fd)
        if found.st_mode & stat.S_IWOTH:  # a sticky one would do on the way, not here
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
    """A regular file of ours, open for reading: int, or None when there is none. Raises InstallError."""
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
    """The bytes of a file of ours, or None when there is none. Raises InstallError."""
    fd = open_file(directory, name)
    if fd is None:
        return None
    with os_error_context("read", directory.at(name), place=directory.place), os.fdopen(fd, "rb") as stream:
        return stream.read()


def write_file(directory: Directory, name: str, data: bytes) -> None:
    """Have these bytes under a name. Raises InstallError."""
    with PendingFile(directory, "document") as pending:
        pending.write(data)
        publish_file(pending, name)


def publish_file(pending: PendingFile, name: str) -> None:
    """Give a PendingFile its name, whoever else does so now. Raises InstallError."""
    pending.finalize(FILE_MODE)
    pending.publish(name, alone=False)


def remove_file(directory: Directory, name: str) -> None:
    """Have no file of that name. Raises InstallError."""
    with os_error_context("remove", directory.at(name), place=directory.place), contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory.fd)


@contextlib.contextmanager
def exclusive(directory: Directory, name: str, log: Log, waiting: Callable[[], None]) -> Iterator[int]:
    """The body runs in one process at a time.

    :param name: str, what it works on.
    :param log: callable(line, warning=False), told when there are no locks here.
    :param waiting: callable(), called when another one takes its time.
    :yields: int, the age in seconds from which on what others left may be removed.
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
    """A ``say`` that says each line once."""
    said: Set[str] = set()

    def log_new(line: str, warning: bool = False) -> None:
        if line not in said:
            said.add(line)
            log(line, warning)

    return log_new


def null_log(line: str, warning: bool = False) -> None:
    """The ``say`` of what is not worth a word."""
