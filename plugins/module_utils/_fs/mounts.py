# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file system that an open file is on: its mount, what that allows, and who mounted it.

A user may mount a file system of their own with FUSE, and it then claims whatever owners and modes they like. The kernel
knows better: it notes the user as ``user_id`` (proc(5), mountinfo; fuse(4)).
"""

import errno
import os
import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from .._errors import InstallError, hint_for, os_error_context

_NOT_TOLD = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM)  # no /proc (macOS), or not for us
_NUMBER = re.compile(rb"^mnt_id:\s*(\d+)$", re.MULTILINE)
_ESCAPED = re.compile(rb"\\([0-7]{3})")
_USER = re.compile(rb"(?:^|,)user_id=(\d+)(?:,|$)")


def mount_number(fd: int) -> Optional[int]:
    """The number of the mount that a descriptor is on, which holds while the descriptor is open.

    :returns: int, or None where the system does not tell. Raises OSError.
    """
    found = _NUMBER.search(_read("/proc/self/fdinfo/%d" % fd) or b"")
    return int(found.group(1)) if found else None


def find_mounter(number: Optional[int]) -> Optional[int]:
    """The uid of the user who mounted a file system; None for root's own, and where the system does not tell.

    :param number: int, from mount_number() of a descriptor that is still open; None: not told.
    Raises OSError; ESTALE for a mount that is gone from the list, as one that was unmounted under us.
    """
    if number is None:
        return None
    text = _read("/proc/self/mountinfo")
    if text is None:
        return None
    mounters = read_mounters(text)
    if number not in mounters and number != _number_of_root():
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
    return mounters.get(number)  # in a chroot(2) the mount of / is not listed


def read_mounters(text: bytes) -> Dict[int, Optional[int]]:
    """Who mounted what, by the text of mountinfo.

    :param text: bytes; blanks within a field are escaped in it, and a field may be empty.
    :returns: dict, number of the mount to uid, or to None where no user is named.
    """
    mounters: Dict[int, Optional[int]] = {}
    for fields, end in _lines(text):
        user = _USER.search(b" ".join(fields[end + 3 :]))
        mounters[int(fields[0])] = int(user.group(1)) if user else None
    return mounters


def _lines(text: bytes) -> Iterator[Tuple[List[bytes], int]]:
    """The fields of each line of mountinfo, and where those end whose number varies: type, source and options follow."""
    for line in text.splitlines():
        fields = line.split(b" ")
        yield fields, fields.index(b"-", 6)


class Mount(NamedTuple):
    """Where a file system is mounted, and of what type it is."""

    point: str
    kind: str


def find_mount(fd: int) -> Optional[Mount]:
    """The Mount that an open file is on; None where the system does not tell. Raises OSError."""
    number = mount_number(fd)
    for fields, end in _lines(_read("/proc/self/mountinfo") or b""):
        if int(fields[0]) == number:
            point = _ESCAPED.sub(lambda found: bytes([int(found.group(1), 8)]), fields[4])
            return Mount(os.fsdecode(point), os.fsdecode(fields[end + 1]))
    return None


def describe_mount(fd: int) -> str:
    """The file system of an open file in words: ``/srv (tmpfs)``, as far as the system tells. Raises OSError."""
    mount = find_mount(fd)
    return "%s (%s)" % mount if mount else "its file system"


def file_system_status(fd: int) -> Optional[os.statvfs_result]:
    """What fstatvfs(3) says; None where it says nothing: of a descriptor with O_PATH, before Linux 3.12. Raises OSError."""
    try:
        return os.fstatvfs(fd)
    except OSError as exc:
        if exc.errno not in (errno.EBADF, errno.ENOSYS):
            raise
        return None


def check_free_space(fd: int, needed: int, path: str, place: Optional[str], freed: int = 0) -> None:
    """Refuse early what cannot fit: a friendlier ENOSPC, not a guarantee.

    :param fd: int, of anything on the file system.
    :param needed: int, bytes.
    :param path: str, what they are needed for.
    :param place: str, as for hint_for().
    :param freed: int, bytes that are given back before.
    Raises InstallError.
    """
    with os_error_context("ask for the free space of", path, place=place):
        room, where = file_system_status(fd), describe_mount(fd)
    if room is None or not room.f_blocks:  # ramfs, and tmpfs without a limit, say that they have no blocks at all
        return
    free = room.f_frsize * (room.f_bavail if os.geteuid() else room.f_bfree)
    if needed > free + freed:
        raise InstallError(
            "%s free on %s, %s needed for %s" % (megabytes(free), where, megabytes(needed, up=True), path),
            path=path,
            errno=errno.ENOSPC,
            hint=hint_for(errno.ENOSPC, place),
        )


def megabytes(count: int, up: bool = False) -> str:
    """A number of bytes in words: ``35 MB``, or ``9 kB`` below one; rounded down, or up for what is needed."""
    unit, name = (10**6, "MB") if count >= 10**6 else (1000, "kB")
    return "%d %s" % ((count + (unit - 1 if up else 0)) // unit, name)


def _number_of_root() -> Optional[int]:
    fd = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        return mount_number(fd)
    finally:
        os.close(fd)


def _read(path: str) -> Optional[bytes]:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as exc:
        if exc.errno not in _NOT_TOLD:
            raise
        return None
