# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes what is left in a base dir after all versions: the lock files, and then the base dir if it is empty.

A concurrent install loses nothing: a lock file is removed only under its own lock (see remove_lock()), and rmdir(2)
refuses a directory that is not empty.
"""

import errno
import functools
import os
import stat
from typing import Collection, List, NamedTuple, Optional, Set, Tuple

from .._errors import InstallError, errno_text, os_error_context
from .._fs.directory import Directory, check_entry, open_trusted_directory, trusted_owners
from .._fs.lock import is_held, remove_lock
from .._fs.signals import defer_signals, raise_on_signal
from .._records import DEFAULT_BASE_DIR, PRODUCT, Log, Request
from .._versions.version import is_exact, sort_key
from .installed import version_of_lock

_STAYS = (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY, errno.ENOENT)  # another process uses it, or removed it first
_SHOWN = 10  # number of names that a line lists


class Leftovers(NamedTuple):
    """What is in a base dir besides the versions that are removed."""

    locks: Tuple[str, ...]  # names of lock files to remove
    base: bool  # then remove the base dir, too
    left: Tuple[str, ...]  # a line for each thing that stays, with the reason


def find_versions(request: Request) -> List[str]:
    """List the versions that a removal of everything concerns: directories in the base dir, and the target of ``link``.

    :returns: versions, the oldest first. Raises InstallError.
    """
    base = _open_base(request)
    names: Set[str] = set()
    if base is not None:
        with base:
            found = [(name, base.stat(name)) for name in base.names() if is_exact(name)]
            names.update(name for name, entry in found if entry is not None and stat.S_ISDIR(entry.st_mode))
    target = os.readlink(request.link) if request.link and os.path.islink(request.link) else ""
    folder, _slash, name = target.rpartition("/")
    if name == PRODUCT and os.path.dirname(folder) == request.base_dir and is_exact(os.path.basename(folder)):
        names.add(os.path.basename(folder))
    return sorted(names, key=sort_key)


def find_leftovers(request: Request, gone: Collection[str] = (), ours: bool = False) -> Leftovers:
    """Find what to remove besides the versions.

    :param gone: names of the version directories that are about to be removed.
    :param ours: the base dir contained versions of ours. Without them and without a lock of ours, an empty base dir may
        belong to anybody: it stays unless it is the default one.
    Raises InstallError.
    """
    base = _open_base(request)
    if base is None:
        return Leftovers((), False, ())
    with base:
        try:
            return _find_leftovers(base, request, gone, ours)
        except InstallError as exc:
            if exc.errno != errno.ENOENT or not base.is_gone():
                raise
            return Leftovers((), False, ())


def remove_leftovers(request: Request, log: Log, ours: bool = False) -> Tuple[Tuple[str, ...], Tuple[str, ...]]:
    """Remove the leftovers, after the versions.

    :param log: callable(line, warning=False).
    :param ours: as for find_leftovers().
    :returns: (removed paths, a line for each thing that stays, with the reason). Raises InstallError.
    """
    base = _open_base(request)
    if base is None:
        return (), ()
    removed: List[str] = []
    left: List[str] = []
    with base, raise_on_signal(request.base_dir):
        try:
            _remove_leftovers(base, request, ours, removed, left)
        except InstallError as exc:
            exc.changed = exc.changed or bool(removed)
            if exc.errno != errno.ENOENT or not base.is_gone():  # another run removed it first
                raise
        finally:
            for path in removed:
                log("removed: %s" % path)
    return tuple(removed), tuple(left)


def _remove_leftovers(base: Directory, request: Request, ours: bool, removed: List[str], left: List[str]) -> None:
    """Fill the two lists that remove_leftovers() returns. Raises InstallError."""
    rest = _find_leftovers(base, request, (), ours)
    left += rest.left
    for name in rest.locks:
        with defer_signals():
            why = remove_lock(base, name, functools.partial(_is_unused, base, name))
            (left if why else removed).append("%s/%s%s" % (request.base_dir, name, why and ": " + why))
    if removed:
        base.sync(done="lock files in %s are removed" % request.base_dir)
    if rest.base and not left:
        with defer_signals():
            why = _remove(base, request)
            (left if why else removed).append(request.base_dir + (why and ": " + why))


def _is_unused(base: Directory, name: str) -> bool:
    """Return whether the version that a lock's name belongs to does not exist."""
    return base.stat(str(version_of_lock(name))) is None


def _open_base(request: Request) -> Optional[Directory]:
    return open_trusted_directory(
        request.base_dir,
        "base_dir",
        trusted_owners(request.uid),
        None,
        safety_warnings=[] if request.allow_unsafe else None,
    )


def _find_leftovers(base: Directory, request: Request, gone: Collection[str], ours: bool) -> Leftovers:
    # The removal of these versions creates their locks if they do not exist yet.
    going = [".terraform-%s.lock" % name for name in gone if is_exact(name)]
    names = sorted(set(base.names()).difference(gone).union(going, [".terraform-link.lock"] if going else []))
    locks: List[str] = []
    left: List[str] = []
    for name in names:
        version = version_of_lock(name)
        if version is None or version in names:
            continue  # a lock stays with its version
        check_entry(base, base.stat(name), request.base_dir, "base_dir")
        held = is_held(base, name)
        if held is False:
            locks.append(name)
        else:
            left.append(
                "%s/%s: %s"
                % (
                    request.base_dir,
                    name,
                    "another process holds it" if held else "whether anybody holds it cannot be told",
                )
            )
    others = [name for name in names if version_of_lock(name) is None]
    if others:
        shown = ", ".join(others[:_SHOWN]) + (" and %d more" % (len(others) - _SHOWN) if len(others) > _SHOWN else "")
        left.append("%s: what else is in it is not ours, or came meanwhile: %s" % (request.base_dir, shown))
    if left or base.is_gone():
        return Leftovers(tuple(locks), False, tuple(left))
    known = locks or gone or ours or request.base_dir == DEFAULT_BASE_DIR
    why = _find_obstacle(base, request) or (
        "" if known else "it is empty, and nothing in it says that this module made it"
    )
    return Leftovers(tuple(locks), not why, ("%s: %s" % (request.base_dir, why),) if why else ())


def _open_parent(request: Request) -> Tuple[Optional[Directory], str]:
    """Return the open directory that contains the base dir, and the base dir's name in it."""
    parent, _slash, name = request.base_dir.rpartition("/")
    above = open_trusted_directory(
        parent or "/",
        "base_dir",
        trusted_owners(request.uid),
        None,
        safety_warnings=[] if request.allow_unsafe else None,
    )
    return above, name


def _find_obstacle(base: Directory, request: Request) -> str:
    """Return why an empty base dir could not be removed, for messages; empty if nothing is known to prevent it."""
    above, name = _open_parent(request)
    if above is None:
        return "it was moved away just now"
    with above:
        entry = above.stat(name)
        with os_error_context("look at", request.base_dir):
            own, parent = os.fstat(base.fd), os.fstat(above.fd)
        if entry is None or (entry.st_dev, entry.st_ino) != (own.st_dev, own.st_ino):
            return (
                "it is a symbolic link"
                if entry is not None and stat.S_ISLNK(entry.st_mode)
                else "it was moved away just now"
            )
        if own.st_dev != parent.st_dev:
            return "it is the top of a file system"
        sticky = parent.st_mode & stat.S_ISVTX and os.geteuid() not in (0, parent.st_uid, own.st_uid)
        effective = {"effective_ids": True} if os.access in os.supports_effective_ids else {}
        if sticky or not os.access(".", os.W_OK | os.X_OK, dir_fd=above.fd, **effective):
            return "this user may not change %s" % above.path
        return ""


def _remove(base: Directory, request: Request) -> str:
    """Remove the base dir; return why it stays, or an empty text if it is gone. Raises InstallError."""
    why = _find_obstacle(base, request)
    if why:
        return why
    above, name = _open_parent(request)
    if above is None:
        return "it was moved away just now"
    with above:
        with os_error_context("remove directory", request.base_dir):
            try:
                os.rmdir(name, dir_fd=above.fd)
            except OSError as exc:
                if exc.errno not in _STAYS:
                    raise
                return errno_text(exc.errno)
        above.sync(done="%s is removed" % request.base_dir)
    return ""
