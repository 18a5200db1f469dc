# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock on one name: flock(2) with a deadline.

The kernel releases the lock when its holder ends, however that happens. The text in the file (who, where, since when)
is only for the messages of those who wait. The file normally stays: if it were unlinked, two processes could hold
"the" lock at once. remove_lock() unlinks it safely, because whoever gets a lock checks that the name still leads to
the same file.
"""

import contextlib
import errno
import fcntl
import os
import random
import signal
import stat
import threading
import time
from types import FrameType
from typing import Callable, Iterator, NoReturn, Optional, Set, Tuple

from .._errors import InstallError, LockError, os_error_context
from .._records import Log
from .accounts import account_text
from .directory import Directory

LOCK_MODE = 0o600
_HELD = (errno.EAGAIN, errno.EINTR)  # the only two that mean that another process holds it
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
_TRY_SECONDS = 5.0  # even LOCK_NB can block on NFS
_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
_OWN: Set[Tuple[int, int]] = set()  # (device, inode) of the locks that this process holds


class _Blocked(Exception):
    """Raised by the alarm around one call of flock."""


@contextlib.contextmanager
def hold_lock(
    directory: Directory,
    name: str,
    timeout: float,
    log: Log,
    who: str = "another installer",
) -> Iterator[bool]:
    """Hold the lock for the body.

    :param directory: the open directory of the lock file.
    :param name: the lock file's name in it.
    :param timeout: seconds to wait for another holder. With 0, try only once more, because is_held() in another
        process also holds the lock for an instant.
    :param who: what messages call another holder.
    :yields: False if the file system has no locks. The final rename still decides then, but young temporary files may
        belong to another run.
    Raises LockError, with the text that the holder wrote, when the time is up; InstallError for any other errno.
    """
    path = directory.at(name)
    fd, held = _take(directory, name, path, timeout, log, who)
    mine: Optional[Tuple[int, int]] = None
    try:
        if held:
            _write_holder(fd)
            mine = _identity(fd, path)
            _OWN.add(mine)
        yield held
    finally:
        if mine is not None:
            _OWN.discard(mine)
        _close(fd)


def is_held(directory: Directory, name: str) -> Optional[bool]:
    """Return whether another process holds the lock now; None if that is unknown. Creates nothing.

    Raises InstallError for a lock file that can be opened but not examined.
    """
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory.fd)
    except FileNotFoundError:
        return False
    except OSError:
        return None  # an ordinary user cannot open root's lock; callers do not rely on this alone
    try:
        if _identity(fd, directory.at(name)) in _OWN:
            return False
        number = _flock(fd, fcntl.LOCK_SH)
        if not number:
            # A failed close can leave the descriptor open (POSIX), and with it a lock that blocks this process.
            _flock(fd, fcntl.LOCK_UN)
    finally:
        _close(fd)
    return {0: False}.get(number, True if number in _HELD else None)


def remove_lock(directory: Directory, name: str, unused: Callable[[], bool]) -> str:
    """Unlink a lock file while holding its lock. Nothing else may be done under the lock after that.

    A process that waited for the file or opened it before gets a lock on a file without a name. It notices that and
    starts over.

    :param unused: called under the lock; returns whether the thing that the lock protects does not exist.
    :returns: why the file stays; empty if it is gone. Raises InstallError.
    """
    path = directory.at(name)
    fd = _open(directory, name, path)
    try:
        held, word = _try(fd, directory, name, path)
        if not held:
            return "no locks on its file system (%s)" % word if held is False else "another process has it (%s)" % word
        if not unused():
            return "it is in use again"
        with os_error_context("unlink", path):
            os.unlink(name, dir_fd=directory.fd)
        return ""
    finally:
        _close(fd)


def _take(directory: Directory, name: str, path: str, timeout: float, log: Log, who: str) -> Tuple[int, bool]:
    """Return (fd, whether it is locked)."""
    deadline = time.monotonic() + timeout
    pause = 0.02
    waited = False
    while True:
        fd = _open(directory, name, path)
        held: Optional[bool] = None
        try:
            held, word = _try(fd, directory, name, path)
        finally:
            if held is None:
                _close(fd)
        if held is not None:
            if not held:
                log("no locks on the file system of %s (%s): going on without" % (path, word), warning=True)
            return fd, held
        if waited and time.monotonic() >= deadline:
            raise LockError(
                "%s holds %s (%s); waited %d s" % (who, path, word, timeout),
                path=path,
                errno=errno.EAGAIN,
                hint="wait for it to end or raise lock_timeout",
            )
        if not waited:
            log("waiting for %s: %s is held (%s)" % (who, path, word))
            waited = True
        time.sleep(max(min(pause * random.uniform(0.5, 1.0), deadline - time.monotonic()), 0.01))
        pause = min(pause * 1.5, 0.5)


def _try(fd: int, directory: Directory, name: str, path: str) -> Tuple[Optional[bool], str]:
    """Return (True: locked, None: another process holds it, False: no locks here; a text about that)."""
    number = _flock(fd, fcntl.LOCK_EX)
    if number in _NO_LOCKS:
        return False, errno.errorcode[number]
    if number in _HELD:
        return None, _read_holder(fd)
    if number:
        with os_error_context("lock", path, place=directory.place):
            raise OSError(number, os.strerror(number))
    there: Optional[os.stat_result] = directory.stat(name)
    if there is None or (there.st_dev, there.st_ino) != _identity(fd, path):
        return None, "its file was removed just now"  # a lock on a file without a name protects nothing
    return True, ""


def _open(directory: Directory, name: str, path: str) -> int:
    with os_error_context("open the lock", path, place=directory.place):
        try:
            fd = os.open(name, _OPEN, LOCK_MODE, dir_fd=directory.fd)
        except OSError as exc:
            if exc.errno != errno.ELOOP:
                raise
            raise _not_ours(path, "is a symbolic link") from exc
    try:
        directory.check_mount(fd, name)
        with os_error_context("look at the lock", path):
            found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _not_ours(path, "is not a regular file (%s)" % stat.filemode(found.st_mode))
        if found.st_nlink > 1:  # our text would be written into a file with another name
            raise _not_ours(path, "has %d names" % found.st_nlink)
        if found.st_uid not in directory.owners.uids or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise _not_ours(
                path,
                "belongs to or can be written by others (%s, %s)" % (account_text(found), stat.filemode(found.st_mode)),
            )
    except InstallError:
        _close(fd)
        raise
    return fd


def _not_ours(path: str, found: str) -> InstallError:
    return InstallError(
        "lock %s %s, expected our own file of mode 0600" % (path, found),
        path=path,
        errno=errno.EPERM,
        hint="remove it when no installer is running",
    )


def _close(fd: int) -> None:
    with contextlib.suppress(OSError):  # only the text for waiting processes was written through it
        os.close(fd)


def _identity(fd: int, path: str) -> Tuple[int, int]:
    with os_error_context("look at the lock", path):
        found = os.fstat(fd)
    return found.st_dev, found.st_ino


def _flock(fd: int, how: int) -> int:
    """Try flock once and return the errno, 0 for success. In the main thread, an alarm limits the time."""
    if threading.current_thread() is not threading.main_thread():
        return _flock_now(fd, how)

    def blocked(signum: int, frame: Optional[FrameType]) -> NoReturn:
        raise _Blocked()

    before = signal.signal(signal.SIGALRM, blocked)
    running = signal.setitimer(signal.ITIMER_REAL, _TRY_SECONDS)
    try:
        try:
            return _flock_now(fd, how)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)  # inside the outer try, because the alarm may strike right here
    except _Blocked:
        return errno.EAGAIN
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *running)


def _flock_now(fd: int, how: int) -> int:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except OSError as exc:
        return exc.errno or errno.EIO
    return 0


def _write_holder(fd: int) -> None:
    """Write who holds the lock, for waiting processes. Best effort: a full disk must not stop a removal or a link."""
    words = "pid %d on %s since %s\n" % (
        os.getpid(),
        os.uname().nodename,
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, words.encode("ascii", "replace"), 0)


def _read_holder(fd: int) -> str:
    try:
        text = os.pread(fd, 200, 0).decode("ascii", "replace")
    except OSError:
        text = ""
    return " ".join(text.split()) or "holder unknown"
