# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open local files, and those that are trusted only because no untrusted user could have written them.

If the digest of an archive comes from an unsigned file beside it, the archive is only as safe as the permissions of
the two files and of the directories above them. Those are checked like the way to the store.
"""

import errno
import os
import stat
from typing import List, Union

from .._errors import InstallError, VerificationError
from .directory import MAX_LINKS, Directory, TrustedOwners, check_entry, open_trusted_directory, owner_text

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # do not block on a FIFO


def open_trusted_file(path: Union[str, bytes], what: str, owners: TrustedOwners) -> int:
    """Open a file that only trusted users can change or replace.

    :param path: absolute. Symbolic links are followed, and checked.
    :param what: what the file is, for messages: ``SHA256SUMS``.
    :returns: a descriptor. The caller checks whether it is a regular file.
    :raises VerificationError: untrusted users could write the file or something on the way to it.
    :raises OSError: it cannot be opened.
    """
    path = os.fsdecode(path)
    weak: List[str] = []
    try:
        opened = _open(path, what, owners, weak)
    except InstallError as exc:  # with the errno that open(2) would give
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
    """Return the file as a Directory, so that the same checks work; ``weak`` receives why the way to it is unsafe."""
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
    """Apply the rule for directories, but reject the sticky bit: on a file it stops nobody from writing."""
    found = os.fstat(opened.fd)
    if stat.S_ISREG(found.st_mode) and found.st_mode & stat.S_ISVTX:
        weak.append("%s has the sticky bit (%s)" % (opened.path, owner_text(found)))
    check_entry(opened, None, opened.path, "file", weak)


def _null_log(line: str, warning: bool = False) -> None:
    """A log that discards its lines, for a caller that creates nothing."""


def open_any(path: str, what: str) -> int:
    """Open a file for reading, no matter who could write it: int, a descriptor. Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # so that a FIFO does not block
