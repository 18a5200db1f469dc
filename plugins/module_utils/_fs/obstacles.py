# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be seen to keep a change from being made: rights, mounts and room. Looks only.

It refuses only what is bound to fail. What cannot be told (quotas, file systems that do not count) is left to the act itself.
"""

import errno
import os
import stat

from .._errors import InstallError, RunCheckError, hint_for, os_error_context
from .accounts import user_name
from .directory import Directory, owner_text
from .mounts import describe_mount, file_system_status, find_mount

_COUNTING = ("ext2", "ext3", "ext4", "overlay", "tmpfs", "xfs")  # file systems on whose count of inodes one can rely
_OF_ROOT = "look for an immutable attribute (lsattr), root_squash of an NFS server or a security module"


def check_writing(directory: Directory, doing: str, path: str) -> None:
    """Refuse a directory in which the user that this runs as can neither make nor remove a name.

    :param directory: Directory.
    :param doing: str, what has to be done, as a verb: ``write``.
    :param path: str, to what.
    Raises InstallError.
    """
    _check_access(directory, ".", os.W_OK | os.X_OK, doing, path)


def check_lock(directory: Directory, name: str) -> None:
    """Refuse a directory in which a lock can neither be opened nor made. Raises InstallError."""
    found = directory.stat(name)
    if found is None:
        check_writing(directory, "make the lock", directory.at(name))
    elif stat.S_ISREG(found.st_mode):  # anything else is refused by a better name when it is taken
        _check_access(directory, name, os.R_OK | os.W_OK, "open the lock", directory.at(name))


def _check_access(directory: Directory, name: str, rights: int, doing: str, path: str) -> None:
    # access(2) knows modes, access control lists, capabilities and mounts, but its caller cannot tell a no from a fault
    # of the storage: what is refused has to be refused twice.
    if _may(directory, name, rights) or _may(directory, name, rights):
        return
    with os_error_context("look at", directory.at(name), place=directory.place):
        room, where = file_system_status(directory.fd), describe_mount(directory.fd)
        found = os.stat(name, dir_fd=directory.fd)
    if room is not None and room.f_flag & os.ST_RDONLY:
        raise InstallError(
            "cannot %s %s: %s is mounted read-only" % (doing, path, where),
            path=path,
            errno=errno.EROFS,
            hint=hint_for(errno.EROFS, directory.place),
        )
    us = os.geteuid()
    raise InstallError(
        "cannot %s %s: %s may not write to %s (%s) on %s"
        % (doing, path, user_name(us), os.path.normpath(directory.at(name)), owner_text(found), where),
        path=path,
        errno=errno.EACCES,
        hint=hint_for(errno.EACCES, directory.place) if us else _OF_ROOT,
    )


def _may(directory: Directory, name: str, rights: int) -> bool:
    return os.access(name, rights, dir_fd=directory.fd, effective_ids=os.access in os.supports_effective_ids)


def check_exec(directory: Directory, path: str) -> None:
    """Refuse a directory on a mount from which nothing can be started. Raises RunCheckError, InstallError."""
    with os_error_context("look at", directory.path, place=directory.place):
        room, where = file_system_status(directory.fd), describe_mount(directory.fd)
    if room is not None and room.f_flag & getattr(os, "ST_NOEXEC", 0):
        raise RunCheckError(
            "run check of %s: %s is mounted noexec, so nothing can be run from there" % (path, where),
            path=path,
            errno=errno.EACCES,
            hint="remount it with exec, choose another base_dir, or set run_check: false",
        )


def check_names(directory: Directory, path: str) -> None:
    """Refuse a file system on which no new name can be made, for want of inodes.

    :param path: str, what the name is needed for.
    Raises InstallError.
    """
    with os_error_context("look at", directory.path, place=directory.place):
        room, mount = file_system_status(directory.fd), find_mount(directory.fd)
    if room is None or mount is None or mount.kind not in _COUNTING:
        return
    if room.f_files and not (room.f_favail if os.geteuid() else room.f_ffree):
        raise InstallError(
            "no inode free on %s, one needed for %s" % (describe_mount(directory.fd), path),
            path=path,
            errno=errno.ENOSPC,
            hint=hint_for(errno.ENOSPC, directory.place),
        )
