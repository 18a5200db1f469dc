# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Local files that stand for themselves: opened only where nobody but the trusted could have written them.

An archive whose digest is in an unsigned file beside it is as good as the rights on the two, and on the directories above
them. They are judged as the way to the store is.
"""

import errno
import os
import stat
from typing import List, Union

from .._errors import InstallError, VerificationError
from .directory import MAX_LINKS, Directory, TrustedOwners, check_entry, open_trusted_directory, owner_text

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # not to block on a FIFO


def open_trusted_file(path: Union[str, bytes], what: str, owners: TrustedOwners) -> int:
    """Open a file that only the trusted can change or replace.

    :param path: str or bytes, absolute. Symbolic links are followed, and judged.
    :param what: str, what it is, for messages: ``SHA256SUMS``.
    :param owners: Trust.
    :returns: int, a descriptor; whether it is a regular file is still to be looked at.
    :raises VerificationError: others could write it, or something on the way to it.
    :raises OSError: it cannot be opened.
    """
    path = os.fsdecode(path)
    weak: List[str] = []
    try:
        opened = _open(path, what, owners, weak)
    except InstallError as exc:  # as a plain open(2) would say it
        number = exc.errno or errno.EIO
        raise OSError(number, os.strerror(number), path) from exc
    try:
        _check_file(opened, weak)
    except BaseException:
        opened.close()
        raise
    if weak:
        opened.close()
        raise VerificationError(
            "%s %s is not safe: %s, and checksum_policy sha256sums has nothing else to go by" % (what, path, weak[0]),
            path=path,
            hint="keep it below directories that only root or you can write, give checksum, or use checksum_policy signature",
        )
    return opened.fd


def _open(path: str, what: str, owners: TrustedOwners, weak: List[str]) -> Directory:
    """The file as a Directory, to be judged alike; ``weak`` receives who else could write on the way to it."""
    place = path
    for dummy in range(MAX_LINKS + 1):
        parent, _slash, name = place.rpartition("/")
        directory = open_trusted_directory(parent or "/", what, owners, _null_log, safety_warnings=weak)
        if directory is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        with directory:
            entry = directory.stat(name)
            check_entry(directory, entry, path, what, weak)
            if entry is None or not stat.S_ISLNK(entry.st_mode):
                return Directory(os.open(name, _OPEN, dir_fd=directory.fd), directory.at(name), owners)
            if entry.st_uid not in owners.uids:
                weak.append("the symbolic link %s belongs to %s" % (directory.at(name), owner_text(entry)))
            place = directory.at(os.readlink(name, dir_fd=directory.fd))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _check_file(opened: Directory, weak: List[str]) -> None:
    """The rule for directories holds for files, but for the sticky bit, which keeps nobody from writing to a file."""
    found = os.fstat(opened.fd)
    if stat.S_ISREG(found.st_mode) and found.st_mode & stat.S_ISVTX:
        weak.append("%s has the sticky bit (%s)" % (opened.path, owner_text(found)))
    check_entry(opened, None, opened.path, "file", weak)


def _null_log(line: str, warning: bool = False) -> None:
    """The ``say`` of what creates nothing."""
