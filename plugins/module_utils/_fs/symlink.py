# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stable symbolic link: read it, switch it with one rename, remove it. Change it only under the link lock."""

import contextlib
import errno
import hashlib
import os
import re
import stat
import time
from typing import NamedTuple, Optional

from .._errors import InstallError, after_change, os_error_context
from .._records import BINARY_CAP, PRODUCT
from .directory import Directory
from .hashing import hash_of


class LinkState(NamedTuple):
    """What is at the path of the link."""

    kind: str  # absent, link, file, directory (or a link to one), other
    target: Optional[str]  # target of a link
    size: Optional[int]  # bytes of a regular file
    sha256: Optional[str]  # hash of a regular file that may be replaced


# No hard links on this file system, too many of them, or fs.protected_hardlinks guards another user's file (proc(5)).
_NO_SECOND_NAME = (errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS)
_ABSENT = LinkState("absent", None, None, None)


def version_in(path: Optional[str]) -> Optional[str]:
    """Return the version in a path ``.../<version>/terraform``, as a target has it; None for any other path."""
    found = re.search(r"/([0-9]+\.[0-9]+\.[0-9]+[^/]*)/%s\Z" % PRODUCT, path or "")
    return found.group(1) if found else None


def read_link_state(directory: Directory, name: str, hashed: bool = False) -> LinkState:
    """Return what is at a name. With ``hashed``, also hash a regular file. Raises InstallError."""
    found: Optional[os.stat_result] = directory.stat(name)
    path = directory.at(name)
    if found is None:
        return _ABSENT
    if stat.S_ISLNK(found.st_mode):
        with os_error_context("read the link", path, place=directory.place):
            try:
                target = os.readlink(name, dir_fd=directory.fd)
            except FileNotFoundError:
                return _ABSENT  # it was removed in between
        return LinkState("directory" if _leads_to_directory(directory, name) else "link", target, None, None)
    if stat.S_ISREG(found.st_mode):
        small = found.st_size <= BINARY_CAP  # a sparse file can have any size: do not hash it for hours
        return LinkState("file", None, found.st_size, _digest(directory, name, path) if hashed and small else None)
    return LinkState("directory" if stat.S_ISDIR(found.st_mode) else "other", None, None, None)


def _leads_to_directory(directory: Directory, name: str) -> bool:
    """Return whether a link leads to a directory, as /bin does on many systems; False if its target is out of reach."""
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=directory.fd).st_mode)
    except OSError:
        return False


def check_replaceable(link_state: LinkState, path: str, force: bool) -> None:
    """Refuse to replace something that is not a link, or a link to a directory. Raises InstallError.

    :param path: of the link, for messages.
    :param force: link_force: a regular file may be replaced.
    """
    if link_state.kind == "directory":
        leads = " (a link to %s)" % link_state.target if link_state.target else ""
        raise InstallError(
            "link %s is a directory%s, expected a symbolic link to a file, or nothing" % (path, leads),
            path=path,
            errno=errno.EEXIST,
            hint="name the link in it: %s/%s" % (path, PRODUCT),
        )
    if link_state.kind == "other":
        raise InstallError(
            "link %s: there is something that is neither a link nor a file, expected a symbolic link or nothing" % path,
            path=path,
            errno=errno.EEXIST,
            hint="move it out of the way or choose another link",
        )
    if link_state.kind == "file" and not force:
        raise InstallError(
            "link %s: there is a regular file of %s bytes, expected a symbolic link or nothing"
            % (path, link_state.size),
            path=path,
            errno=errno.EEXIST,
            hint="move it out of the way, or link_force: true to replace it",
        )


def switch_link(directory: Directory, name: str, target: str, backup: bool = False) -> Optional[str]:
    """Make the link point to a target, atomically: create a temporary link with a fixed name beside it, rename it over.

    :param backup: keep the file that is there now, beside the link.
    :returns: the name of the kept file; None if there is none.
    Raises InstallError; its ``changed`` is set if the link was switched and a later step failed.
    """
    path = directory.at(name)
    aside = _temporary_name(name)
    kept: Optional[str] = None
    try:
        with os_error_context("prepare the link", directory.at(aside), place=directory.place):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside, dir_fd=directory.fd)
            os.symlink(target, aside, dir_fd=directory.fd)
        if backup:
            kept = _back_up(directory, name)
            directory.sync()  # otherwise a power cut could leave the link without the backup
        with os_error_context("switch the link", path, place=directory.place):
            os.rename(aside, name, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
    except InstallError:
        with contextlib.suppress(OSError):
            os.unlink(aside, dir_fd=directory.fd)
        if kept:
            _restore_backup(directory, kept, name)
        raise
    with after_change():
        directory.sync(done="link %s points to %s" % (path, target))
        found = read_link_state(directory, name).target
        if found != target:
            raise InstallError(
                "link %s points to %s after it was switched to %s" % (path, found, target),
                path=path,
                errno=errno.EIO,
                hint="another process changes that link",
            )
    return kept


def backup_name(name: str, pid: object = "<pid>", date: str = "<date>") -> str:
    """Return the name of a kept file, as ansible-core's own modules choose it (basic.AnsibleModule.backup_local)."""
    return "%s.%s.%s~" % (name, pid, date)


def _back_up(directory: Directory, name: str) -> str:
    """Keep the file by a hard link, or else by a rename, and return the new name. Never copy it: all of it is kept."""
    kept = backup_name(name, os.getpid(), time.strftime("%Y-%m-%d@%H:%M:%S"))
    with os_error_context("keep %s as" % directory.at(name), directory.at(kept), place=directory.place):
        try:
            os.link(name, kept, src_dir_fd=directory.fd, dst_dir_fd=directory.fd, follow_symlinks=False)
        except OSError as exc:
            if exc.errno not in _NO_SECOND_NAME:
                raise
            if directory.stat(kept) is not None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from exc
            os.rename(name, kept, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
    return kept


def _restore_backup(directory: Directory, kept: str, name: str) -> None:
    """Undo _back_up(), without hiding an error in flight."""
    with contextlib.suppress(OSError):
        try:
            os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
        except FileNotFoundError:
            os.rename(kept, name, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
        else:
            os.unlink(kept, dir_fd=directory.fd)


def remove_link(directory: Directory, name: str) -> None:
    """Remove the link. Raises InstallError; its ``changed`` is set if it is gone but may not survive a power cut."""
    with os_error_context("remove the link", directory.at(name), place=directory.place):
        os.unlink(name, dir_fd=directory.fd)
    directory.sync(done="link %s is removed" % directory.at(name))


def _temporary_name(name: str) -> str:
    """Return a name of fixed length, so that a link with a long name can have a temporary one beside it."""
    return ".iac-platform-link.%s" % hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def _digest(directory: Directory, name: str, path: str) -> str:
    with os_error_context("read", path, place=directory.place):
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory.fd)
        try:
            return hash_of(fd)
        finally:
            os.close(fd)
