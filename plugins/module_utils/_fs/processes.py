# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel reports about processes: how many a user has, how many are allowed, and the children of a process.

Most of it comes from /proc (proc(5)). Without /proc, as on macOS, there is no information.
"""

import contextlib
import errno
import os
import re
import resource
import signal
import subprocess
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple, Union

TASKS_HINT = (
    "raise that limit (docker and podman: --pids-limit; systemd: TasksMax=; else ulimit -u, kernel.pid_max), "
    "or end other processes"
)
_DELETED = " (deleted)"
_GROUPS = "/sys/fs/cgroup"
_THREADS = re.compile(rb"^Threads:\s*(\d+)", re.MULTILINE)
_USER = re.compile(rb"^Uid:\s*(\d+)", re.MULTILINE)
_FIRST_PID_NAMESPACE = 0xEFFFFFFC  # inode of /proc/self/ns/pid outside of containers (linux/proc_ns.h)
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PATIENCE = 5  # seconds for a killed process to end: a hanging file system can keep it for ever


def count_tasks(uid: int) -> Optional[int]:
    """Return how many processes and threads a user has, as RLIMIT_NPROC counts them (getrlimit(2)).

    :returns: None if not all of them are visible, as in a container. Raises OSError.
    """
    try:
        if os.stat("/proc/self/ns/pid").st_ino != _FIRST_PID_NAMESPACE:
            return None
    except FileNotFoundError:
        return None
    states = ((_USER.search(text), _THREADS.search(text)) for text in _read_states())
    return sum(int(threads.group(1)) for user, threads in states if user and threads and int(user.group(1)) == uid)


class Executables(NamedTuple):
    """The files that processes run, each with the pid of one of them."""

    files: Dict[Tuple[int, int], int]  # by device and inode
    paths: Dict[str, int]  # as the kernel names them; " (deleted)" is cut off
    hidden: Dict[str, int]  # by the name of a process whose file cannot be looked at


def list_executables() -> Executables:
    """List the files that all visible processes run (proc(5), /proc/pid/exe).

    If a file cannot be looked at, for whatever reason, as on a file server that is down, what is known still counts: its
    path, if that can be read, and the name of the process. Raises OSError.
    """
    found = Executables({}, {}, {})
    for pid in sorted(int(number) for number in _list_proc() if number.isdigit()):
        # The process may have ended just now. A thread of the kernel runs no file.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            try:
                path = os.readlink("/proc/%d/exe" % pid)
                found.paths.setdefault(path[: -len(_DELETED)] if path.endswith(_DELETED) else path, pid)
                status = os.stat("/proc/%d/exe" % pid)
                found.files.setdefault((status.st_dev, status.st_ino), pid)
            except OSError as exc:
                if exc.errno not in (errno.ENOENT, errno.ESRCH):
                    _add_name(found.hidden, pid)
    return found


def _add_name(hidden: Dict[str, int], pid: int) -> None:
    """Add the name of a process (proc(5), /proc/pid/comm), unless it may not be seen either (hidepid)."""
    with contextlib.suppress(PermissionError):
        with open("/proc/%d/comm" % pid, encoding="utf-8", errors="replace") as stream:
            hidden.setdefault(stream.read().rstrip("\n"), pid)


def _list_proc() -> List[str]:
    try:
        return os.listdir("/proc")
    except FileNotFoundError:  # not Linux
        return []


def _read_states() -> Iterator[bytes]:
    """Yield what /proc reports about each process."""
    for number in os.listdir("/proc"):
        text = None
        if number.isdigit():
            # The process may have ended just now, or be hidden.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                with open("/proc/%s/status" % number, "rb") as stream:
                    text = stream.read()
        if text:
            yield text


@contextlib.contextmanager
def ending_children() -> Iterator[None]:
    """End the child processes that the body started.

    On Linux, also end what those leave behind: their orphans become our children meanwhile. Processes that cannot be
    ended stay. Raises OSError if the children cannot be listed.
    """
    _adopt(1)
    try:
        others = find_children()
        try:
            yield
        finally:
            _end_children(others)
    finally:
        _adopt(0)


def _adopt(yes: int) -> None:
    try:
        import ctypes

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, AttributeError):  # Python without ctypes; not Linux
        return
    prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(yes), 0, 0, 0)


def find_children(pid: Union[int, str] = "self") -> Set[int]:
    """Return the pids of our child processes, or of those of another process; none if not reported. Raises OSError."""
    found: Set[int] = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir("/proc/%s/task" % pid):
            with open("/proc/%s/task/%s/children" % (pid, thread)) as stream:
                found.update(map(int, stream.read().split()))
    return found


def has_ended(process: "subprocess.Popen[Any]") -> bool:
    """Return whether a process has ended, without reaping it, so that its pid is not reused yet."""
    if not hasattr(os, "waitid"):  # macOS
        return process.poll() is not None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def end_group(process: "subprocess.Popen[Any]") -> None:
    """Kill a process that has its own session, with its process group, and reap it if it ends in time."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE)


def _end_children(others: Set[int]) -> None:
    ends = time.monotonic() + _PATIENCE
    while time.monotonic() < ends:
        left = find_children() - others  # what they leave behind is ended in the next turn
        if not left:
            return
        # Stop them all first: if processes that fork all the time were killed one by one, others would take their
        # place. A stopped process reaps none of its children, so these pids are not reused.
        with _before_others():
            for pid in _stop_all(left, ends):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.001)


@contextlib.contextmanager
def _before_others() -> Iterator[None]:
    """Give the body real-time priority if allowed: processes that fork all the time would leave us little time."""
    before = None
    with contextlib.suppress(OSError, AttributeError):  # not root; not Linux
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        if before:
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, *before)


def _stop_all(children: Set[int], ends: float) -> Set[int]:
    """Stop processes and all their descendants, so that they start no more; return the pids."""
    stopped: Set[int] = set()
    found = children
    while found and time.monotonic() < ends:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGSTOP)
        stopped |= found
        found = stopped.union(*map(find_children, stopped)) - stopped
    return stopped | found


def describe_task_limits() -> str:
    """Return the limits on processes and threads that apply to us: ``ulimit -u 4096, pids.max 20``."""
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    words = "ulimit -u %s" % ("unlimited" if limit == resource.RLIM_INFINITY else limit)
    most = _find_pids_max()
    return words if most is None else "%s, pids.max %s" % (words, most)


def _find_pids_max() -> Optional[int]:
    """Return the lowest pids.max of our control groups (cgroups(7)); None if there is none or it cannot be read."""
    limits = []
    for folder in _control_groups():
        while folder.startswith(_GROUPS):
            with contextlib.suppress(OSError, ValueError), open(os.path.join(folder, "pids.max")) as stream:
                limits.append(int(stream.read()))  # or "max"
            folder = os.path.dirname(folder)
    return min(limits) if limits else None


def _control_groups() -> Iterator[str]:
    """Yield the directories of our control groups that can limit processes."""
    try:
        with open("/proc/self/cgroup") as stream:
            lines = stream.read().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            yield _GROUPS + path
        elif "pids" in controllers.split(","):
            yield os.path.join(_GROUPS, "pids") + path
