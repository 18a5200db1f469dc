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
import shutil
import stat
import time

from ..module_utils._errors import os_errors
from ._folders import FILE_MODE

OWNER = "owner"
_RUN = re.compile(r"ansible-local-([0-9]+)[a-z0-9_]{8}\Z")
_LONGEST_RUN = 2 * 86400    # seconds: so long nobody on another machine leaves a folder of his run alone


def claim(run, parent):
    """Say in the folder of a run whose it is.

    :param run: Directory, from open_run().
    :param parent: str, the directory that ansible-core made for the run.
    :returns: bool, it was not said before: this is the run's first task. Raises InstallError.
    """
    found = _RUN.match(os.path.basename(os.path.realpath(parent)))
    if not found:
        return False
    with os_errors("create", run.at(OWNER), place=run.place):
        try:    # the first tasks of all hosts come here at once
            fd = os.open(OWNER, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE, dir_fd=run.fd)
        except FileExistsError:
            return False
        with os.fdopen(fd, "wb") as stream:
            stream.write(_describe(found.group(1)).encode("utf-8"))
    return True


def sweep(parent, name, say):
    """Remove what runs left that are no more.

    :param parent: str, the directory that ansible-core made for this run.
    :param name: str, our folder in it, and in those of other runs.
    :param say: callable(line, warning=False).
    """
    above, own = os.path.split(os.path.realpath(parent))
    with os_errors("list", above, place="local_tmp"):
        others = [each for each in os.listdir(above) if _RUN.match(each) and each != own]
    for other in others:
        folder = os.path.join(above, other, name)
        try:
            if _is_left(folder, _RUN.match(other).group(1)):
                shutil.rmtree(folder)
                say("left by a run that was killed, removed: %s" % folder)
                with contextlib.suppress(OSError):      # there is more in it, which is not ours
                    os.rmdir(os.path.dirname(folder))
        except FileNotFoundError:       # its run has just ended, or another run was quicker
            continue
        except OSError as exc:
            say("left by a run that was killed, cannot be removed: %s (%s)" % (folder, exc), warning=True)


def _is_left(folder, pid):
    """Whether a folder is ours, and its run is no more."""
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return False
    with open(os.path.join(folder, OWNER), encoding="utf-8", errors="replace") as stream:
        said = stream.read(1000)
    if said.partition("\n")[0] != _describe(pid).partition("\n")[0]:     # of another machine, or before it was started anew
        return time.time() - max(os.lstat(os.path.join(folder, each)).st_mtime for each in os.listdir(folder)) > _LONGEST_RUN
    return said.count("\n") == 2 and said != _describe(pid)     # or it is just being written


def _describe(pid):
    """Two lines: the machine since it was started, with the space that numbers of processes are of; the process, if it runs."""
    here = [platform.node()]
    with contextlib.suppress(OSError):      # not Linux
        here.append(os.readlink("/proc/self/ns/pid"))
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            here.append(stream.read().strip())
    return "%s\n%s %s\n" % (" ".join(here), pid, _began(int(pid)))


def _began(pid):
    """When a process began, in a form that another one of the same number does not have; "" when there is none."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as stream:
            fields = stream.read().rpartition(")")[2].split()   # proc(5): the state is the third field, the start the 22nd
        return "" if fields[0] in "ZX" else fields[19]
    except FileNotFoundError:
        pass
    try:
        os.kill(pid, 0)     # without /proc
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "runs"
    return "runs"
