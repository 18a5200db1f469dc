# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What controllers that were killed left in Ansible's local temporary directory: found by who made it, and removed.

ansible-core makes a directory for each run there, ``ansible-local-<pid><8 characters>`` (tempfile.mkdtemp), and removes it when
it ends by itself. Killed, it leaves that with our folder and the whole archive in it. Our folder says whose it is: a home
directory may be shared by machines, or by containers, whose numbers of processes mean nothing here.
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
from .storage import FILE_MODE, Folder

OWNER = "owner"
_RUN = re.compile(r"ansible-local-([0-9]+)[a-z0-9_]{8}\Z")
_LONGEST_RUN = 2 * 86400  # seconds: so long nobody on another machine leaves a folder of his run alone


def claim_run_dir(run: Folder, parent: str) -> bool:
    """Say in the folder of a run whose it is.

    :param run: Directory, from open_run().
    :param parent: str, the directory that ansible-core made for the run.
    :returns: bool, it was not said before: this is the run's first task. Raises InstallError.
    """
    found = _RUN.match(os.path.basename(os.path.realpath(parent)))
    if not found:
        return False
    with os_error_context("create", run.at(OWNER), place=run.place):
        try:  # the first tasks of all hosts come here at once
            fd = os.open(
                OWNER, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE, dir_fd=run.fd
            )
        except FileExistsError:
            return False
        with os.fdopen(fd, "wb") as stream:
            stream.write(_describe(found.group(1)).encode("utf-8"))
    return True


def remove_stale_run_dirs(parent: str, name: str, log: Log) -> None:
    """Remove what runs left that are no more.

    :param parent: str, the directory that ansible-core made for this run.
    :param name: str, our folder in it, and in those of other runs.
    :param log: callable(line, warning=False).
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
                with contextlib.suppress(OSError):  # there is more in it, which is not ours
                    os.rmdir(other, dir_fd=top)
            except FileNotFoundError:  # its run has just ended, or another run was quicker
                continue
            except OSError as exc:
                log("left by a run that was killed, cannot be removed: %s (%s)" % (folder, exc), warning=True)


def _enter(stack: contextlib.ExitStack, path: str, above: Optional[int] = None) -> int:
    """A descriptor of a directory, closed by the stack, whatever becomes of its name. Raises OSError; links are none."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    stack.callback(os.close, fd)
    return fd


def _is_ours(found: os.stat_result) -> bool:
    """Whether an os.stat_result is of a directory of ours, in which nobody else can put anything in another's place."""
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.geteuid()
        and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _is_left(outer: int, name: str, pid: str) -> bool:
    """Whether a folder in the directory of another run is ours, and its run is no more. Raises OSError."""
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
        if (
            said.partition("\n")[0] != _describe(pid).partition("\n")[0]
        ):  # of another machine, or before it was started anew
            return (
                time.time()
                - max(os.stat(each, dir_fd=folder, follow_symlinks=False).st_mtime for each in os.listdir(folder))
                > _LONGEST_RUN
            )
        return said.count("\n") == 2 and said != _describe(pid)  # or it is just being written


def _remove(outer: int, name: str) -> None:
    """Remove a directory with all that is in it; no link is followed, whatever is exchanged meanwhile. Raises OSError."""
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
    """Two lines: the machine since it was started, with the space that numbers of processes are of; the process, if it runs."""
    here = [platform.node()]
    with contextlib.suppress(OSError):  # not Linux
        here.append(os.readlink("/proc/self/ns/pid"))
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            here.append(stream.read().strip())
    return "%s\n%s %s\n" % (" ".join(here), pid, _began(int(pid)))


def _began(pid: int) -> str:
    """When a process began, in a form that another one of the same number does not have; "" when there is none."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as stream:
            fields = (
                stream.read().rpartition(")")[2].split()
            )  # proc(5): the state is the third field, the start the 22nd
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
