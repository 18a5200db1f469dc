# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories that only trusted users can change: checked on the way, opened once, then used by descriptor.

A path is only as safe as the weakest directory on it: whoever can rename one component can replace everything below.
So a path is opened from the root, one component at a time. Each component's owner and mode are checked. Every later
name is relative to the checked descriptor (openat(2), O_NOFOLLOW), and the path is not used again.
"""

import contextlib
import errno
import os
import stat
from shlex import quote
from typing import FrozenSet, List, NamedTuple, Optional, Tuple

from .._errors import InstallError, os_error_context
from .._records import Log
from .accounts import account_text, other_members, user_name
from .mounts import find_mounter, mount_number

DIRECTORY_MODE = 0o755
MAX_LINKS = 40  # symbolic links that one path may lead through, as in path_resolution(7)

_LOOK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NO_DIRECTORY_SYNC = (errno.EINVAL, errno.ENOTSUP)  # from file systems that cannot sync a directory
_ACL = "system.posix_acl_access"
_NO_ACL = (errno.ENODATA, errno.ENOTSUP, errno.ENOENT)  # no ACL set, no ACLs on this file system, no /proc


class TrustedOwners(NamedTuple):
    """Users and groups who may be able to change the components of a path."""

    uids: FrozenSet[int]
    gids: FrozenSet[int]  # may have write permission as long as only trusted users are in them


class UnsafeReason(NamedTuple):
    """Why untrusted users could change something."""

    reason: str
    remedy: Optional[str] = None  # what the operator can do about it, if anything


def trusted_owners(owner: Optional[int] = None) -> TrustedOwners:
    """Return root, the effective user and the requested owner; for a user other than root also its primary group.

    :param owner: the uid that will own the binary, if one was requested.
    """
    uid = os.geteuid()
    uids = {0, uid} if owner is None else {0, uid, owner}
    return TrustedOwners(frozenset(uids), frozenset({0} if uid == 0 else {0, os.getegid()}))


class Directory:
    """An open directory. The names that its methods take are single components, relative to its descriptor.

    :param fd: a descriptor that this object now owns; ``fd`` is -1 after close().
    :param path: where it was found, with links resolved.
    :param owners: the users whose entries are trusted.
    :param place: the option that led here, for the hints of errors: see hint_for().
    :param mount: (number, uid or None): the mount of the directory above and who mounted it, if known.
    """

    def __init__(
        self,
        fd: int,
        path: str,
        owners: TrustedOwners,
        place: Optional[str] = None,
        mount: Optional[Tuple[Optional[int], Optional[int]]] = None,
    ) -> None:
        self.fd = fd
        self.path = path
        self.owners = owners
        self.place = place
        self._mount = mount

    def __enter__(self) -> "Directory":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            with contextlib.suppress(OSError):  # nothing was written through it; do not hide an error in flight
                os.close(fd)

    def at(self, name: str) -> str:
        """Return the full path of an entry."""
        return os.path.join(self.path, name)

    def stat(self, name: str) -> Optional[os.stat_result]:
        """Return lstat(2) of an entry; None if there is none. Raises InstallError."""
        with os_error_context("look at", self.at(name), place=self.place):
            try:
                return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            except FileNotFoundError:
                return None

    def described(self) -> str:
        """Return its path with owner and mode, read from the descriptor. Raises InstallError."""
        with os_error_context("look at directory", self.path, place=self.place):
            return "%s (%s)" % (self.path, owner_text(os.fstat(self.fd)))

    def unsafe_reason(self, entry: Optional[os.stat_result]) -> Optional[UnsafeReason]:
        """Return why an untrusted user could replace an entry of this directory; None if nobody could.

        :param entry: lstat(2) of the entry; None if it does not exist yet.
        Raises InstallError.
        """
        with os_error_context("look at directory", self.path, place=self.place):
            own = os.fstat(self.fd)
            mounter = self._find_mounter()
        if mounter is not None and mounter not in self.owners.uids:
            return UnsafeReason(
                "%s (%s) is on a file system that user %s mounted" % (self.path, owner_text(own), user_name(mounter)),
                _switch_user_hint(mounter),
            )
        if own.st_uid not in self.owners.uids:
            return UnsafeReason("%s belongs to %s" % (self.path, owner_text(own)), _switch_user_hint(own.st_uid))
        others, command = self._writers(own)
        if command is None:
            return None
        written = "%s can be written by others (%s%s)" % (self.path, owner_text(own), others)
        if not own.st_mode & stat.S_ISVTX:
            return UnsafeReason(written, "%s %s" % (command, quote(self.path)))
        if entry is not None and entry.st_uid not in self.owners.uids:
            return UnsafeReason("%s and the entry in it belongs to %s" % (written, owner_text(entry)))
        return None

    def _writers(self, own: os.stat_result) -> Tuple[str, Optional[str]]:
        """Return who else may write here by the mode.

        :returns: (text about them, maybe empty; command that revokes their right); ("", None) if nobody else may.
        """
        if own.st_mode & stat.S_IWOTH:
            return "", "chmod go-w"
        if not own.st_mode & stat.S_IWGRP:
            return "", None
        if own.st_gid not in self.owners.gids:
            return "", "chmod g-w"
        others = other_members(own.st_gid, self.owners.uids)
        if others:
            return "; in that group: %s" % others, "chmod g-w"
        if self._has_acl():
            return "; by its access control list", "setfacl -b"
        return "", None

    def _find_mounter(self) -> Optional[int]:
        """Return the uid of the user who mounted this file system; None for root, or if unknown.

        A mount keeps its number while something on it is open: the number of the directory above means the same mount.
        """
        number = mount_number(self.fd)
        if self._mount is None or self._mount[0] != number:
            self._mount = (number, find_mounter(number))
        return self._mount[1]

    def check_mount(self, fd: int, name: str) -> None:
        """Refuse a file on a mount that an untrusted user put over that name: it claims any owner it likes (fuse(4)).

        :param fd: the open file.
        Raises InstallError.
        """
        with os_error_context("look at", self.at(name), place=self.place):
            number = mount_number(fd)
            mounter = None if self._mount and self._mount[0] == number else find_mounter(number)
        if mounter is not None and mounter not in self.owners.uids:
            raise InstallError(
                "%s is on a file system that user %s mounted over it" % (self.at(name), user_name(mounter)),
                path=self.at(name),
                errno=errno.EACCES,
                hint="umount it, and ask who did that",
            )

    def _has_acl(self) -> bool:
        """Return whether the ACL gives rights to more users or groups than the mode shows.

        With an ACL, the mode's group bits are the mask of all its entries (acl(5)). Linux only: on other systems an ACL
        does not show in the mode, and is not noticed.
        """
        if not hasattr(os, "getxattr"):
            return False
        with os_error_context("look at the access control list of", self.path, place=self.place):
            try:
                return bool(os.getxattr("/proc/self/fd/%d" % self.fd, _ACL))  # O_PATH does not allow fgetxattr(2)
            except OSError as exc:
                if exc.errno not in _NO_ACL:
                    raise
                return False

    def make(self, name: str, log: Log, mode: int = DIRECTORY_MODE) -> None:
        """Create a sub-directory with exactly this mode, check it and sync. Accept one that a concurrent run created.

        :param log: called with a line when the directory was created.
        :param mode: permission bits, whatever the umask.
        Raises InstallError.
        """
        path = self.at(name)
        umask = os.umask(0o777 & ~mode)  # so the mode is right if we are killed before fchmod
        try:
            with os_error_context("create directory", path, place=self.place):
                os.mkdir(name, mode, dir_fd=self.fd)
        except InstallError as exc:
            if exc.errno != errno.EEXIST:
                raise
            self.sync()  # the other run may be killed before it does this
            return
        finally:
            os.umask(umask)
        with os_error_context("set the mode of the new directory", path, place=self.place):
            fd = os.open(name, _READ, dir_fd=self.fd)
            try:
                made = os.fstat(fd)
                if made.st_mode & 0o777 != mode and os.fstat(self.fd).st_uid in (0, os.geteuid()):
                    # An ACL may have removed bits. If another user owns the parent, this may not be the one we made.
                    os.fchmod(fd, mode)
                    made = os.fstat(fd)
            finally:
                os.close(fd)
        if made.st_mode & 0o777 != mode:  # open() has already checked that it is a directory
            raise InstallError(
                "created directory %s but found %s there, expected %s"
                % (path, owner_text(made), stat.filemode(stat.S_IFDIR | mode)),
                path=path,
                errno=errno.EIO,
                hint="the file system ignores modes, a default access control list changes them, or another process does: choose "
                "another place",
            )
        self.sync()
        log("directory created and checked: %s (%s)" % (path, stat.filemode(made.st_mode)))

    def enter(self, name: str) -> "Directory":
        """Open an existing sub-directory. The caller closes it. Raises InstallError."""
        path = self.at(name)
        with os_error_context("open directory", path, place=self.place):
            fd = os.open(name, _LOOK, dir_fd=self.fd)
        return Directory(fd, os.path.normpath(path), self.owners, self.place, self._mount)

    def sync(self, done: Optional[str] = None) -> None:
        """Call fsync(2) on the directory, so that created, renamed and unlinked names survive a power cut.

        :param done: what has already happened in it: an error then says so and has ``changed`` set.
        Raises InstallError.
        """
        try:
            with os_error_context("sync directory", self.path, place=self.place):
                self._fsync()
        except InstallError as exc:
            if done is None:
                raise
            unsure = InstallError(
                "%s, but it is not certain to survive a power cut: %s" % (done, exc),
                path=self.path,
                errno=exc.errno,
                hint=exc.hint,
            )
            unsure.changed = True
            raise unsure from exc

    def _fsync(self) -> None:
        fd = os.open(".", _READ, dir_fd=self.fd)
        try:
            os.fsync(fd)
        except OSError as exc:
            if exc.errno not in _NO_DIRECTORY_SYNC:
                raise
        finally:
            os.close(fd)

    def names(self) -> List[str]:
        """Return the names of its entries, sorted. Raises InstallError."""
        with os_error_context("list directory", self.path, place=self.place):
            fd = os.open(".", _READ, dir_fd=self.fd)
            try:
                return sorted(os.listdir(fd))
            finally:
                os.close(fd)

    def is_gone(self) -> bool:
        """Return whether its path now leads nowhere or to another directory. Raises InstallError."""
        with os_error_context("look at directory", self.path):
            own = os.fstat(self.fd)
            try:
                there = os.stat(self.path)
            except FileNotFoundError:
                return True
        return (own.st_dev, own.st_ino) != (there.st_dev, there.st_ino)


def open_trusted_directory(
    path: str,
    what: str,
    owners: TrustedOwners,
    log: Optional[Log],
    create: bool = False,
    safety_warnings: Optional[List[str]] = None,
) -> Optional[Directory]:
    """Open the directory at an absolute path, and check every component on the way.

    :param path: absolute.
    :param what: the option's name, for messages: ``base_dir``.
    :param log: called with a line for every directory that is created; None: create nothing.
    :param create: create missing directories.
    :param safety_warnings: list that receives why a component is unsafe, for allow_unsafe_base_dir; None: refuse it.
    :returns: Directory; None if something is missing and nothing is created.
    Raises InstallError. The last directory is not checked here: check_entry() does that for each entry put into it.
    """
    here, whole = find_trusted_directory(path, what, owners, safety_warnings, log if create else None)
    if whole:
        return here
    here.close()
    return None


def find_trusted_directory(
    path: str,
    what: str,
    owners: TrustedOwners,
    safety_warnings: Optional[List[str]] = None,
    make: Optional[Log] = None,
) -> Tuple[Directory, bool]:
    """Open as much of the way to a directory as exists; see open_trusted_directory().

    :param make: called with a line for every directory that is created; None: create nothing.
    :returns: (Directory, True if it is the one at the path). With False, it is one above, without the next component.
    Raises InstallError.
    """
    todo = [name for name in reversed(path.split("/")) if name]
    links = 0
    here = _open_root(owners, what)
    try:
        while todo:
            name = todo.pop()
            entry = here.stat(name)
            if entry is None:
                check_entry(here, None, path, what, safety_warnings)  # so that check mode predicts only what will work
                if make is None:
                    return here, False
                here.make(name, make)
                entry = _make_directory(here, name)
            check_entry(here, entry, path, what, safety_warnings)
            if stat.S_ISLNK(entry.st_mode):
                links += 1
                target = _read_link(here, name, entry, path, what, links, safety_warnings)
                todo.extend(part for part in reversed(target.split("/")) if part)
                if target.startswith("/"):
                    here.close()
                    here = _open_root(owners, what)
                continue
            if not stat.S_ISDIR(entry.st_mode):
                raise InstallError(
                    "%s %s: %s is not a directory but %s" % (what, path, here.at(name), kind_text(entry)),
                    path=here.at(name),
                    errno=errno.ENOTDIR,
                    hint="move it out of the way or choose another path",
                )
            below = here.enter(name)
            here.close()
            here = below
    except BaseException:
        here.close()
        raise
    return here, True


def _open_root(owners: TrustedOwners, place: str) -> Directory:
    with os_error_context("open directory", "/"):
        return Directory(os.open("/", _LOOK), "/", owners, place)


def _make_directory(here: Directory, name: str) -> os.stat_result:
    entry = here.stat(name)
    if entry is None:
        raise InstallError(
            "created directory %s but it is not there" % here.at(name),
            path=here.at(name),
            errno=errno.ENOENT,
            hint="another process removes it",
        )
    return entry


def _read_link(
    here: Directory,
    name: str,
    entry: os.stat_result,
    path: str,
    what: str,
    links: int,
    safety_warnings: Optional[List[str]],
) -> str:
    if entry.st_uid not in here.owners.uids:
        _check_reason(
            UnsafeReason(
                "the symbolic link %s belongs to %s" % (here.at(name), owner_text(entry)),
                _switch_user_hint(entry.st_uid),
            ),
            path,
            what,
            safety_warnings,
        )
    if links > MAX_LINKS:
        raise InstallError(
            "%s %s leads through more than %d symbolic links" % (what, path, MAX_LINKS),
            path=path,
            errno=errno.ELOOP,
            hint="do they form a loop? write the path without them",
        )
    with os_error_context("read the link", here.at(name), place=here.place):
        return os.readlink(name, dir_fd=here.fd)


def check_entry(
    here: Directory,
    entry: Optional[os.stat_result],
    path: str,
    what: str,
    safety_warnings: Optional[List[str]] = None,
    own: bool = False,
) -> None:
    """Refuse an entry of a directory that untrusted users could replace, or add the reason to ``safety_warnings``.

    :param here: the directory.
    :param entry: lstat(2) of the entry; None if it does not exist yet.
    :param path, what, safety_warnings: as for open_trusted_directory().
    :param own: the directory belongs to the store, whose rules no option relaxes.
    Raises InstallError.
    """
    unsafe_reason = here.unsafe_reason(entry)
    if unsafe_reason:
        _check_reason(unsafe_reason, path, what, safety_warnings, own)


def _check_reason(
    unsafe_reason: UnsafeReason, path: str, what: str, safety_warnings: Optional[List[str]], own: bool = False
) -> None:
    if safety_warnings is None:
        raise unsafe_path_error(unsafe_reason, path, what, not own and what in ("base_dir", "link"))
    if unsafe_reason.reason not in safety_warnings:
        safety_warnings.append(unsafe_reason.reason)


def unsafe_path_error(unsafe_reason: UnsafeReason, path: str, what: str, yields: bool = False) -> InstallError:
    """Return the error for a place that untrusted users could change.

    :param yields: allow_unsafe_base_dir would allow it, so the hint names that option.
    """
    us = user_name(os.geteuid())
    ways = (
        [unsafe_reason.remedy]
        if unsafe_reason.remedy and (yields or not unsafe_reason.remedy.startswith("become"))
        else []
    )
    if yields:
        ways.append("allow_unsafe_base_dir: true")
    ways.append("use a %s below directories that only %s can write" % (what, us if us == "root" else "root or %s" % us))
    return InstallError(
        "%s %s is not safe: %s, so others than %s could replace what is installed"
        % (what, path, unsafe_reason.reason, us),
        path=path,
        errno=errno.EPERM,
        hint=", or ".join(ways),
    )


def _switch_user_hint(uid: int) -> str:
    return "become_user: %s" % user_name(uid)


def owner_text(found: os.stat_result) -> str:
    """Return owner, group and mode of a stat result as ``alice:users, drwxrwxr-x``."""
    return "%s, %s" % (account_text(found), stat.filemode(found.st_mode))


def kind_text(found: os.stat_result) -> str:
    """Return the file type of a stat result: ``a symbolic link``, ``a regular file of 12 bytes`` and so on."""
    if stat.S_ISREG(found.st_mode):
        return "a regular file of %d bytes" % found.st_size
    kinds = (
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((text for test, text in kinds if test(found.st_mode)), "something unknown")
