# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds and removes what killed runs left in Ansible's local temporary directory.

ansible-core makes a directory for each run there, ``ansible-local-<pid><8 characters>`` (tempfile.mkdtemp), and removes
it at a normal end. A killed run leaves it behind, with our directory and a whole archive in it. A file in our directory
says which process owns it: machines or containers may share a home directory, and then a pid alone means nothing.
"""

import contextlib
import os
import platform
import re
import stat
import time
from typing import NoReturn, Optional

from ...module_utils._errors import os_error_context
from ...module_utils._records import Log
from .storage import FILE_MODE, RUN_DIR, Folder, open_run_dir

OWNER = "owner"
_RUN = re.compile(r"ansible-local-([0-9]+)[a-z0-9_]{8}\Z")
_LONGEST_RUN = 2 * 86400  # seconds: a run on another machine never leaves its directory untouched for so long


def enter_run(parent: str, log: Log) -> Folder:
    """Open our directory of this run; the first task or lookup of the run removes those of killed runs.

    :param parent: str, the directory that ansible-core made for the run.
    :param log: callable(line, warning=False).
    :returns: Directory, which the caller closes.
    :raises InstallError: it cannot be created or opened, or the directory above cannot be listed.
    """
    run = open_run_dir(parent, RUN_DIR)
    try:
        if claim_run_dir(run, parent):
            remove_stale_run_dirs(parent, RUN_DIR, log)
    except BaseException:
        run.close()
        raise
    return run


def claim_run_dir(run: Folder, parent: str) -> bool:
    """Write into a run's directory which process owns it.

    :param run: Directory, from open_run_dir().
    :param parent: str, the directory that ansible-core made for the run.
    :returns: bool, no owner was written before: this is the run's first task.
    :raises InstallError: the file cannot be written.
    """
    found = _RUN.match(os.path.basename(os.path.realpath(parent)))
    if not found:
        return False
    with os_error_context("create", run.at(OWNER), place=run.place):
        try:  # the first tasks of all hosts run this at once
            fd = os.open(
                OWNER, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE, dir_fd=run.fd
            )
        except FileExistsError:
            return False
        with os.fdopen(fd, "wb") as stream:
            stream.write(_describe(found.group(1)).encode("utf-8"))
    return True


def remove_stale_run_dirs(parent: str, name: str, log: Log) -> None:
    """Remove the directories of runs that have ended.

    :param parent: str, the directory that ansible-core made for this run.
    :param name: str, our directory in it, and in those of other runs.
    :param log: callable(line, warning=False).
    :raises InstallError: the directory above cannot be listed or opened.
    """
    above, own = os.path.split(os.path.realpath(parent))
    with os_error_context("list", above, place="local_tmp"):
        others = [found for found in map(_RUN.match, os.listdir(above)) if found and found.group() != own]
    with contextlib.ExitStack() as stack:
        with os_error_context("open directory", above, place="local_tmp"):
            top = _enter(stack, above)
        for found in others:
            other = found.group()
            folder = os.path.join(above, other, name)
            try:
                if not _is_ours(os.stat(other, dir_fd=top, follow_symlinks=False)):
                    continue
                with contextlib.ExitStack() as entered:
                    outer = _enter(entered, other, top)
                    if not _is_left(outer, name, found.group(1)):
                        continue
                    _remove(outer, name)
                log("left by a run that was killed, removed: %s" % folder)
                with contextlib.suppress(OSError):  # it has other files, which are not ours
                    os.rmdir(other, dir_fd=top)
            except FileNotFoundError:  # its run just ended, or another run was faster
                continue
            except OSError as exc:
                log("left by a run that was killed, cannot be removed: %s (%s)" % (folder, exc), warning=True)


def _enter(stack: contextlib.ExitStack, path: str, above: Optional[int] = None) -> int:
    """Open a directory, not a link; the stack closes the descriptor, which outlives a rename. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    stack.callback(os.close, fd)
    return fd


def _is_ours(found: os.stat_result) -> bool:
    """Whether an os.stat_result is a directory of ours in which no other user can replace files."""
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.geteuid()
        and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _is_left(outer: int, name: str, pid: str) -> bool:
    """Whether another run's directory is ours and its process has ended. Raises OSError."""
    with contextlib.ExitStack() as stack:
        folder = _enter(stack, name, outer)
        if not _is_ours(os.fstat(outer)) or not _is_ours(os.fstat(folder)):
            return False
        with os.fdopen(
            os.open(OWNER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder),
            encoding="utf-8",
            errors="replace",
        ) as stream:
            said = stream.read(1000)
        if said.partition("\n")[0] != _describe(pid).partition("\n")[0]:  # another machine, or a reboot
            return (
                time.time()
                - max(os.stat(each, dir_fd=folder, follow_symlinks=False).st_mtime for each in os.listdir(folder))
                > _LONGEST_RUN
            )
        return said.count("\n") == 2 and said != _describe(pid)  # otherwise the file is still being written


def _remove(outer: int, name: str) -> None:
    """Remove a directory and its contents; follows no link, even if one is swapped in. Raises OSError."""
    for _root, folders, files, fd in os.fwalk(name, topdown=False, onerror=_reraise, dir_fd=outer):
        for each in files:
            os.unlink(each, dir_fd=fd)
        for each in folders:
            if stat.S_ISLNK(os.stat(each, dir_fd=fd, follow_symlinks=False).st_mode):
                os.unlink(each, dir_fd=fd)
            else:
                os.rmdir(each, dir_fd=fd)
    os.rmdir(name, dir_fd=outer)


def _reraise(exc: OSError) -> NoReturn:
    raise exc


def _describe(pid: str) -> str:
    """Describe an owner in two lines: machine, pid namespace and boot; pid and start time, if it runs."""
    here = [platform.node()]
    with contextlib.suppress(OSError):  # not Linux
        here.append(os.readlink("/proc/self/ns/pid"))
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            here.append(stream.read().strip())
    return "%s\n%s %s\n" % (" ".join(here), pid, _began(int(pid)))


def _began(pid: int) -> str:
    """Return a process's start time, which differs for another process with the same pid; "" if it does not run."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()  # proc(5): state is field 3, start time is field 22
        return "" if fields[0] in "ZX" else fields[19]
    except FileNotFoundError:
        pass
    try:
        os.kill(pid, 0)  # without /proc
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "runs"
    return "runs"
