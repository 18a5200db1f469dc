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

from ..module_utils._directories import (
    Directory, Weakness, explore, judge, trust_of, unsafe, walk, whose_text)
from ..module_utils._errors import InstallError, LockError, os_errors
from ..module_utils._files import PendingFile
from ..module_utils._lock import locked
from ..module_utils._model import Log

PATIENCE = 2            # seconds of waiting that are not worth a word
LONGEST_WAIT = 86400    # seconds: a download ends by itself, and with it the lock
FILE_MODE = 0o600
FOLDER_MODE = 0o700
LOCK = ".lock"          # suffix of a lock's name
ANOTHER = "another download"
YOUNG = 7200            # seconds: what is younger may be another's work where there are no locks; no download takes so long

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK

Folder = Directory      # its name for files that may not import _directories


def open_run(parent: str, name: str) -> Directory:
    """The folder of one run; made if it is not there.

    :param parent: str, an existing directory that goes with the run.
    :returns: Directory, to be closed. Raises InstallError.
    """
    real = os.path.realpath(parent)
    with os_errors("open directory", real, place="local_tmp"):
        fd = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with Directory(fd, real, trust_of(), "local_tmp") as above:
        return enter(above, name)


def open_kept(path: str) -> Directory:
    """The folder that ``cache_dir`` names; what is missing of the way to it is made. Refused where others could write.

    :param path: str, absolute.
    :returns: Directory, to be closed. Raises InstallError.
    """
    trust = trust_of()
    parent, _slash, name = path.rpartition("/")
    above, _whole = explore(parent or "/", "cache_dir", trust, make=silence)
    with above:
        if above.stat(name) is None:
            judge(above, None, path, "cache_dir")
            above.make(name, silence, FOLDER_MODE)
    kept = walk(path, "cache_dir", trust, silence)
    if kept is None:
        raise InstallError("cache_dir %s vanished" % path, path=path, errno=errno.ENOENT, hint="run it again")
    return _checked(kept, path, "cache_dir")


def enter(parent: Directory, name: str) -> Directory:
    """A folder in a folder of ours, made if it is not there; to be closed. Raises InstallError."""
    if parent.stat(name) is None:
        parent.make(name, silence, FOLDER_MODE)
    return _checked(parent.enter(name), parent.at(name), "cache")


def _checked(directory: Directory, path: str, what: str) -> Directory:
    """The directory, unless others than the trusted could put files there. Raises InstallError."""
    try:
        judge(directory, None, path, what)
        with os_errors("look at", path, place=directory.place):
            found = os.fstat(directory.fd)
        if found.st_mode & stat.S_IWOTH:    # a sticky one would do on the way, not here
            raise unsafe(Weakness("%s can be written by others (%s)" % (directory.path, whose_text(found)),
                                  "chmod o-w %s" % quote(directory.path)), path, what)
    except InstallError:
        directory.close()
        raise
    return directory


def open_file(directory: Directory, name: str) -> Optional[int]:
    """A regular file of ours, open for reading: int, or None when there is none. Raises InstallError."""
    with os_errors("open", directory.at(name), place=directory.place):
        try:
            fd = os.open(name, _OPEN, dir_fd=directory.fd)
        except FileNotFoundError:
            return None
        found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in directory.trust.uids:
        os.close(fd)
        raise InstallError("%s is not a regular file of ours (%s)" % (directory.at(name), whose_text(found)),
                           path=directory.at(name), errno=errno.EPERM, hint="remove it")
    return fd


def read(directory: Directory, name: str) -> Optional[bytes]:
    """The bytes of a file of ours, or None when there is none. Raises InstallError."""
    fd = open_file(directory, name)
    if fd is None:
        return None
    with os_errors("read", directory.at(name), place=directory.place), os.fdopen(fd, "rb") as stream:
        return stream.read()


def write(directory: Directory, name: str, data: bytes) -> None:
    """Have these bytes under a name. Raises InstallError."""
    with PendingFile(directory, "document") as pending:
        pending.write(data)
        publish(pending, name)


def publish(pending: PendingFile, name: str) -> None:
    """Give a PendingFile its name, whoever else does so now. Raises InstallError."""
    pending.settle(FILE_MODE)
    pending.publish(name, alone=False)


def remove(directory: Directory, name: str) -> None:
    """Have no file of that name. Raises InstallError."""
    with os_errors("remove", directory.at(name), place=directory.place), contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory.fd)


@contextlib.contextmanager
def turn(directory: Directory, name: str, say: Log, waiting: Callable[[], None]) -> Iterator[int]:
    """The body runs in one process at a time.

    :param name: str, what it works on.
    :param say: callable(line, warning=False), told when there are no locks here.
    :param waiting: callable(), called when another one takes its time.
    :yields: int, the age in seconds from which on what others left may be removed.
    """
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(locked(directory, name + LOCK, PATIENCE, silence, ANOTHER))
        except LockError:
            waiting()
            held = stack.enter_context(locked(directory, name + LOCK, LONGEST_WAIT, silence, ANOTHER))
        if not held:
            say("no locks on the file system of %s: a download may be made more than once" % directory.path, warning=True)
        yield 0 if held else YOUNG


def once(say: Log) -> Log:
    """A ``say`` that says each line once."""
    said: Set[str] = set()

    def say_once(line: str, warning: bool = False) -> None:
        if line not in said:
            said.add(line)
            say(line, warning)
    return say_once


def silence(line: str, warning: bool = False) -> None:
    """The ``say`` of what is not worth a word."""
