# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's lock on one name: flock(2), waited for with a deadline, never unlinked.

The lock goes with its holder, however that ends; the text in the file (who, where, since when) is only for the
message of those who wait. Unlinking a lock file would let two processes hold "the" lock at once, so it stays.
"""

import contextlib
import errno
import fcntl
import os
import platform
import random
import signal
import stat
import threading
import time

from ._errors import InstallError, LockError, os_errors

LOCK_MODE = 0o600
_HELD = (errno.EAGAIN, errno.EINTR)     # the only two that mean "someone has it"
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
_TRY_SECONDS = 5.0                      # LOCK_NB itself can block on NFS
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class _Blocked(Exception):
    """The alarm around one try of flock."""


@contextlib.contextmanager
def locked(directory, name, timeout, say):
    """Hold the lock for the body.

    :param directory: an open directory with ``fd`` and ``at(name)``.
    :param name: str, the lock file's name in it.
    :param timeout: number of seconds to wait for another holder; 0: do not wait.
    :param say: callable(line, warning=False).
    :yields: bool, False where the file system has no locks: the final rename still decides, but young temporary
        files may be another's.
    Raises LockError with the holder's own words when the time is up; InstallError for every other errno.
    """
    path = directory.at(name)
    fd, held = _take(directory, name, path, time.monotonic() + timeout, timeout, say)
    try:
        if held:
            _sign(fd)
        yield held
    finally:
        os.close(fd)


def is_held(directory, name):
    """Whether another process holds the lock now; None when that cannot be told. Creates nothing."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory.fd)
    except FileNotFoundError:
        return False
    except OSError:
        return None     # a plain user cannot look at root's lock; nothing is decided on this alone
    try:
        number = _flock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)
    return {0: False}.get(number, True if number in _HELD else None)


def _take(directory, name, path, deadline, timeout, say):
    pause = 0.02
    told = False
    while True:
        fd = _open(directory, name, path)
        number = _flock(fd, fcntl.LOCK_EX)
        if number == 0 and _same_file(fd, directory, name):
            return fd, True
        if number in _NO_LOCKS:
            say("no locks on the file system of %s (%s): going on without" % (path, errno.errorcode[number]),
                warning=True)
            return fd, False
        holder = _holder(fd)
        os.close(fd)
        if number and number not in _HELD:
            raise InstallError("lock %s: %s" % (path, os.strerror(number)), path=path, errno=number)
        if number and time.monotonic() >= deadline:
            raise LockError(
                "another installer holds %s (%s); waited %d s" % (path, holder, timeout), path=path,
                errno=number, hint="wait for it to end or raise lock_timeout")
        if number and not told:
            say("waiting for another installer: %s is held (%s)" % (path, holder))
            told = True
        time.sleep(min(pause * random.uniform(0.5, 1.0), max(deadline - time.monotonic(), 0.0)) if number else 0)
        pause = min(pause * 1.5, 0.5)


def _open(directory, name, path):
    with os_errors("open the lock", path):
        try:
            fd = os.open(name, _OPEN | os.O_CREAT | os.O_EXCL, LOCK_MODE, dir_fd=directory.fd)
        except FileExistsError:
            fd = os.open(name, _OPEN | os.O_CREAT, LOCK_MODE, dir_fd=directory.fd)
        found = os.fstat(fd)
    wrong = None
    if not stat.S_ISREG(found.st_mode):
        wrong = "is not a regular file (%s)" % stat.filemode(found.st_mode)
    elif found.st_uid not in directory.trust.uids or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        wrong = "belongs to or can be written by others (%d:%d, %s)" % (
            found.st_uid, found.st_gid, stat.filemode(found.st_mode))
    if wrong:
        os.close(fd)
        raise InstallError("lock %s %s, expected our own file of mode 0600" % (path, wrong), path=path,
                           errno=errno.EPERM, hint="remove it when no installer is running")
    return fd


def _same_file(fd, directory, name):
    """A lock on a file that was removed meanwhile is no lock."""
    try:
        there = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    mine = os.fstat(fd)
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def _flock(fd, how):
    """One try; the errno, 0 for success. Bounded by an alarm where signals can be had (the main thread)."""
    if threading.current_thread() is not threading.main_thread():
        return _flock_now(fd, how)

    def blocked(signum, frame):
        raise _Blocked()

    before = signal.signal(signal.SIGALRM, blocked)
    signal.setitimer(signal.ITIMER_REAL, _TRY_SECONDS)
    try:
        return _flock_now(fd, how)
    except _Blocked:
        return errno.EAGAIN
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _flock_now(fd, how):
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except OSError as exc:
        return exc.errno
    return 0


def _sign(fd):
    """Leave word for those who wait. Best effort: a full disk must not stop a removal or a link."""
    words = "pid %d on %s since %s\n" % (os.getpid(), platform.node(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, words.encode("ascii", "replace"), 0)


def _holder(fd):
    try:
        text = os.pread(fd, 200, 0).decode("ascii", "replace")
    except OSError:
        text = ""
    return " ".join(text.split()) or "it left no word"
