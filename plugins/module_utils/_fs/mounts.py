# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file system that an open file is on: its mount, its limits, and who mounted it.

With FUSE, a user can mount a file system of their own, which claims any owners and modes. The kernel records that user
as ``user_id`` (proc(5), mountinfo; fuse(4)).
"""

import errno
import os
import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from .._errors import InstallError, hint_for, os_error_context

_NOT_TOLD = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM)  # no /proc (macOS), or not readable
_NUMBER = re.compile(rb"^mnt_id:\s*(\d+)$", re.MULTILINE)
_ESCAPED = re.compile(rb"\\([0-7]{3})")
_USER = re.compile(rb"(?:^|,)user_id=(\d+)(?:,|$)")


def mount_number(fd: int) -> Optional[int]:
    """Return the number of the mount that a descriptor is on. It is valid while the descriptor is open.

    :returns: None if the system does not report it. Raises OSError.
    """
    found = _NUMBER.search(_read("/proc/self/fdinfo/%d" % fd) or b"")
    return int(found.group(1)) if found else None


def find_mounter(number: Optional[int]) -> Optional[int]:
    """Return the uid of the user who mounted a file system; None for root's mounts, or if the uid is not reported.

    :param number: from mount_number() of a descriptor that is still open; None: unknown.
    Raises OSError; ESTALE if the mount is no longer listed, for example because it was just unmounted.
    """
    if number is None:
        return None
    text = _read("/proc/self/mountinfo")
    if text is None:
        return None
    mounters = read_mounters(text)
    if number not in mounters and number != _number_of_root():
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
    return mounters.get(number)  # None in a chroot(2), where the mount of / is not listed


def read_mounters(text: bytes) -> Dict[int, Optional[int]]:
    """Parse mountinfo into who mounted what.

    :param text: contents of mountinfo. Blanks within a field are escaped in it, and a field may be empty.
    :returns: mount number to uid, or to None if no user is recorded.
    """
    mounters: Dict[int, Optional[int]] = {}
    for fields, end in _lines(text):
        user = _USER.search(b" ".join(fields[end + 3 :]))
        mounters[int(fields[0])] = int(user.group(1)) if user else None
    return mounters


def _lines(text: bytes) -> Iterator[Tuple[List[bytes], int]]:
    """Yield the fields of each mountinfo line, and the index of ``-``; type, source and options follow it."""
    for line in text.splitlines():
        fields = line.split(b" ")
        yield fields, fields.index(b"-", 6)


class Mount(NamedTuple):
    """Where a file system is mounted, and its type."""

    point: str
    kind: str


def find_mount(fd: int) -> Optional[Mount]:
    """Return the mount that an open file is on; None if the system does not report it. Raises OSError."""
    number = mount_number(fd)
    for fields, end in _lines(_read("/proc/self/mountinfo") or b""):
        if int(fields[0]) == number:
            point = _ESCAPED.sub(lambda found: bytes([int(found.group(1), 8)]), fields[4])
            return Mount(os.fsdecode(point), os.fsdecode(fields[end + 1]))
    return None


def describe_mount(fd: int) -> str:
    """Describe the file system of an open file: ``/srv (tmpfs)``, or ``its file system`` if unknown. Raises OSError."""
    mount = find_mount(fd)
    return "%s (%s)" % mount if mount else "its file system"


def file_system_status(fd: int) -> Optional[os.statvfs_result]:
    """Return fstatvfs(3); None if unavailable, as for an O_PATH descriptor before Linux 3.12. Raises OSError."""
    try:
        return os.fstatvfs(fd)
    except OSError as exc:
        if exc.errno not in (errno.EBADF, errno.ENOSYS):
            raise
        return None


def check_free_space(fd: int, needed: int, path: str, place: Optional[str], freed: int = 0) -> None:
    """Refuse early what does not fit: a friendlier ENOSPC, not a guarantee.

    :param fd: of any file or directory on the file system.
    :param needed: bytes.
    :param path: what they are needed for.
    :param place: see hint_for().
    :param freed: bytes that will be freed before.
    Raises InstallError.
    """
    with os_error_context("ask for the free space of", path, place=place):
        room, where = file_system_status(fd), describe_mount(fd)
    if room is None or not room.f_blocks:  # ramfs, and tmpfs without a limit, report no blocks at all
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
    """Return a number of bytes as text: ``35 MB``, or ``9 kB`` below 1 MB; rounded down, or up if ``up`` is set."""
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
