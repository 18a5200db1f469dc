# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks for what would stop a change: permissions, mounts and free inodes. Read-only.

They refuse only what is certain to fail. What they cannot see (quotas, file systems that do not count inodes) shows
when the change is made.
"""

import errno
import os
import stat

from .._errors import InstallError, RunCheckError, hint_for, os_error_context
from .accounts import user_name
from .directory import Directory, owner_text
from .mounts import describe_mount, file_system_status, find_mount

_COUNTING = ("ext2", "ext3", "ext4", "overlay", "tmpfs", "xfs")  # file systems with a reliable inode count
_OF_ROOT = "look for an immutable attribute (lsattr), root_squash of an NFS server or a security module"


def check_writing(directory: Directory, doing: str, path: str) -> None:
    """Raise InstallError if the current user can neither create nor remove names in a directory.

    :param doing: what has to be done, as a verb: ``write``.
    :param path: the path that the verb applies to.
    """
    _check_access(directory, ".", os.W_OK | os.X_OK, doing, path)


def check_lock(directory: Directory, name: str) -> None:
    """Raise InstallError if a lock file in a directory can be neither opened nor created."""
    found = directory.stat(name)
    if found is None:
        check_writing(directory, "make the lock", directory.at(name))
    elif stat.S_ISREG(found.st_mode):  # hold_lock() refuses anything else with a better message
        _check_access(directory, name, os.R_OK | os.W_OK, "open the lock", directory.at(name))


def _check_access(directory: Directory, name: str, rights: int, doing: str, path: str) -> None:
    # access(2) respects modes, ACLs, capabilities and mounts. But its answer looks the same for a refusal and for a
    # storage error, so only a second "no" counts.
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
    """Raise RunCheckError if a directory is on a mount with noexec; InstallError if it cannot be examined.

    :param path: the binary that would be run, for messages.
    """
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
    """Raise InstallError if the file system has no free inode for a new name.

    :param path: what the name is needed for.
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
