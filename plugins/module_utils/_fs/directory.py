# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories that nobody but the trusted can change: opened once, judged on the way, named by descriptor afterwards.

A path is only as good as the weakest directory on the way to it: whoever may rename one component replaces everything
below. So a path is walked from the root one component at a time, each judged by its owner and mode, and what comes
after is relative to the descriptor that was judged (openat(2), O_NOFOLLOW), never to the path again.
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
MAX_LINKS = 40  # symbolic links on one path, as path_resolution(7)

_LOOK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_NO_DIRECTORY_SYNC = (errno.EINVAL, errno.ENOTSUP)  # file systems that cannot sync a directory say one of these
_ACL = "system.posix_acl_access"
_NO_ACL = (errno.ENODATA, errno.ENOTSUP, errno.ENOENT)  # none set, no such thing on this file system, no /proc


class TrustedOwners(NamedTuple):
    """Who may be able to change what lies on the way."""

    uids: FrozenSet[int]
    gids: FrozenSet[int]  # groups whose write permission does no harm while nobody else is in them


class UnsafeReason(NamedTuple):
    """Why others could change something."""

    reason: str
    remedy: Optional[str] = None  # what to do, where something would do


def trusted_owners(owner: Optional[int] = None) -> TrustedOwners:
    """Root, the effective user and the owner asked for; for a plain user its primary group as well.

    :param owner: int or None, the uid that the binary shall belong to.
    """
    uid = os.geteuid()
    uids = {0, uid} if owner is None else {0, uid, owner}
    return TrustedOwners(frozenset(uids), frozenset({0} if uid == 0 else {0, os.getegid()}))


class Directory:
    """An open directory. Names given to its methods are single components, relative to its descriptor.

    :param fd: int, owned by this object, whose ``fd`` is -1 once it is closed.
    :param path: str, where the walk found it: links resolved.
    :param owners: Trust, by which entries are judged.
    :param place: str, the option that led here, by which errors tell the way out: see hint_for().
    :param mount: (number, uid or None), which mount the directory above is on and who mounted that, if known.
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
            with contextlib.suppress(OSError):  # nothing was written through it, and an error may be in flight
                os.close(fd)

    def at(self, name: str) -> str:
        """The full path of an entry."""
        return os.path.join(self.path, name)

    def stat(self, name: str) -> Optional[os.stat_result]:
        """lstat(2) of an entry; None when there is none. Raises InstallError."""
        with os_error_context("look at", self.at(name), place=self.place):
            try:
                return os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            except FileNotFoundError:
                return None

    def described(self) -> str:
        """Its path with owner and mode, read from the descriptor. Raises InstallError."""
        with os_error_context("look at directory", self.path, place=self.place):
            return "%s (%s)" % (self.path, owner_text(os.fstat(self.fd)))

    def unsafe_reason(self, entry: Optional[os.stat_result]) -> Optional[UnsafeReason]:
        """Who but the trusted could replace an entry of this directory.

        :param entry: os.stat_result of the entry, None when it does not exist yet.
        :returns: Weakness; None when nobody could. Raises InstallError.
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
        """Who but the trusted may write here by its mode.

        :returns: (words about them, maybe none; the command that takes it from them); ("", None) when nobody may.
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
        """The uid of the user who mounted the file system that this is on; None: root, or it cannot be told.

        A mount has its number while something on it is open, so the same number as above means the same mount.
        """
        number = mount_number(self.fd)
        if self._mount is None or self._mount[0] != number:
            self._mount = (number, find_mounter(number))
        return self._mount[1]

    def check_mount(self, fd: int, name: str) -> None:
        """Refuse a file that another user mounted over the one of that name: it claims whatever owner it likes (fuse(4)).

        :param fd: int, the file, open.
        :raises InstallError: its file system was mounted by somebody who is not trusted.
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
        """Whether more users and groups have rights here than the mode tells: its group bits then are the mask of
        all of them (acl(5)). Linux only; elsewhere such lists do not show in the mode, and are not seen."""
        if not hasattr(os, "getxattr"):
            return False
        with os_error_context("look at the access control list of", self.path, place=self.place):
            try:
                return bool(os.getxattr("/proc/self/fd/%d" % self.fd, _ACL))  # by descriptor O_PATH forbids it
            except OSError as exc:
                if exc.errno not in _NO_ACL:
                    raise
                return False

    def make(self, name: str, log: Log, mode: int = DIRECTORY_MODE) -> None:
        """Create a sub-directory, its mode set whatever the umask, checked and durable. A twin's is as good as ours."""
        path = self.at(name)
        umask = os.umask(0o777 & ~mode)  # so that a kill between mkdir and fchmod locks nobody out
        try:
            with os_error_context("create directory", path, place=self.place):
                os.mkdir(name, mode, dir_fd=self.fd)
        except InstallError as exc:
            if exc.errno != errno.EEXIST:
                raise
            return
        finally:
            os.umask(umask)
        with os_error_context("set the mode of the new directory", path, place=self.place):
            fd = os.open(name, _READ, dir_fd=self.fd)
            try:
                made = os.fstat(fd)
                if made.st_mode & 0o777 != mode and os.fstat(self.fd).st_uid in (0, os.geteuid()):
                    os.fchmod(
                        fd, mode
                    )  # an access control list may take bits away; of another owner it may be another one
                    made = os.fstat(fd)
            finally:
                os.close(fd)
        if made.st_mode & 0o777 != mode:  # that it is a directory was a condition of the open
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
        """Open a sub-directory that is there; it is the caller's to close. Raises InstallError."""
        path = self.at(name)
        with os_error_context("open directory", path, place=self.place):
            fd = os.open(name, _LOOK, dir_fd=self.fd)
        return Directory(fd, os.path.normpath(path), self.owners, self.place, self._mount)

    def sync(self, done: Optional[str] = None) -> None:
        """fsync(2) of the directory: what was created, renamed or unlinked in it survives a power cut.

        :param done: str, what has already happened in it: an error then says so and has ``changed`` set.
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
        """The entries' names, sorted; raises InstallError."""
        with os_error_context("list directory", self.path, place=self.place):
            fd = os.open(".", _READ, dir_fd=self.fd)
            try:
                return sorted(os.listdir(fd))
            finally:
                os.close(fd)

    def is_gone(self) -> bool:
        """Whether its path leads somewhere else by now, or nowhere. Raises InstallError."""
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
    """Open the directory at an absolute path, every component judged on the way.

    :param path: str, absolute.
    :param what: str, how the user calls it, for messages: ``base_dir``.
    :param owners: Trust.
    :param log: callable(line), told of every directory that is created; None: nothing is created.
    :param create: bool, create what is missing.
    :param tolerated: list that receives what would be refused, for allow_unsafe_base_dir; None: refuse.
    :returns: Directory, or None when something is missing and create is off.
    Raises InstallError. The directory itself is not judged here but with what is to be put into it.
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
    """Open as much as there is of the way to a directory; see walk().

    :param make: callable(line), told of every directory that is created; None: nothing is.
    :returns: (Directory, bool: it is the one at the path, and not one above it, in which the next component is missing).
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
                check_entry(here, None, path, what, safety_warnings)  # check mode promises no more than can be kept
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
    """Refuse (or note in ``tolerated``) an entry of a directory that others could replace; see walk().

    :param own: bool, the directory belongs to the store, whose rules nothing relaxes.
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
    """The refusal of a place that others could change, by a Weakness.

    :param yields: bool, allow_unsafe_base_dir would let it pass.
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
    """``alice:users, drwxrwxr-x`` for a stat result."""
    return "%s, %s" % (account_text(found), stat.filemode(found.st_mode))


def kind_text(found: os.stat_result) -> str:
    """``a symbolic link``, ``a regular file of 12 bytes`` and so on, for a stat result."""
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
