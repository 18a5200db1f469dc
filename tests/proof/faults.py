# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults by strace(1): the calls that a function makes below a folder, and one of them failing.

The function runs in a forked process of its own, which strace is attached to before it begins. So no interpreter has to
start for a fault, and the same function makes the same calls in the same order every time: a call is named by its name
and its number among those of that name.
"""

import ctypes
import gc
import json
import os
import re
import select
import signal
import subprocess
import time
import traceback
from typing import NamedTuple, Optional

CALLS = "%file,%desc"  # strace's classes: all that take a path or a descriptor
ERRORS = ("EIO", "ENOSPC", "EACCES", "EROFS", "EMFILE")
SIGNALS = ("SIGKILL", "SIGTERM")
LIES = {  # calls that say they did it and did not, and what they say; only those that the protocol says it catches
    "write": ("0", "1"),
    "rename": ("0",),
    "renameat": ("0",),
    "fchmod": ("0",),
    "mkdir": ("0",),
    "mkdirat": ("0",),
}
PATIENCE = 60  # seconds for one run; only so that a hang is seen as one

_LINE = re.compile(r"(?:[0-9]+ +)?([a-z0-9_]+)\((.*)")
_PR_SET_PDEATHSIG = 1  # prctl(2): a signal for when the one that waits for it has ended, however that did
_PR_SET_PTRACER = 0x59616D61  # where Yama lets only parents trace, this lets strace


class Call(NamedTuple):
    """One system call of a trace."""

    name: str
    number: int  # among the calls of that name, from 1
    text: str  # as strace shows it


class Fault(NamedTuple):
    """What goes wrong at one call: an errno, a signal that comes before it, or the value of a lie."""

    call: Call
    kind: str

    @property
    def injection(self):
        if self.kind.startswith("SIG"):
            what = "signal=%s" % self.kind
        elif self.kind.startswith("E"):
            what = "error=%s" % self.kind
        else:
            what = "retval=%s" % self.kind
        return "%s:%s:when=%d" % (self.call.name, what, self.call.number)


class Ending(NamedTuple):
    """How a run in a process of its own ended."""

    answer: Optional[object]  # what the function returned; None when it did not come to that
    traceback: str  # of an exception that got out of it; or that it never came to an end
    signal: int  # that killed it; 0: none


def before_change(number, action):
    """Let something happen in this process right before its so many-th call that changes something, without strace.

    Nothing is undone: for a process that ``run`` has forked.
    """
    left = [number]

    def watched(real):
        def call(*arguments, **settings):
            left[0] -= 1
            if left[0] == 0:
                action()
            return real(*arguments, **settings)

        return call

    for name in ("open", "write", "fsync", "fchmod", "rename", "unlink", "mkdir", "rmdir", "symlink"):
        setattr(os, name, watched(getattr(os, name)))
    return left


def run(function, uid=None, attach=None, patience=PATIENCE):
    """Call a function in a forked process.

    :param function: callable() -> something that fits into JSON.
    :param uid: int, the user to become; None: stay who we are.
    :param attach: callable(pid) -> the process that traces it, called before the function begins.
    :param patience: seconds; a function that takes longer is ended, and has a hang in the place of a traceback.
    :returns: Ending.
    """
    starting, start = os.pipe()
    answers, answering = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(start)
        os.close(answers)
        _be_the_child(function, uid, starting, answering)
    os.close(starting)
    os.close(answering)
    tracer = None
    try:
        if attach is not None:
            tracer = attach(pid)
        os.write(start, b"!")
    finally:
        os.close(start)
        data = _read_all(answers, patience)
        if data is None:
            os.kill(pid, signal.SIGKILL)
        _pid, status = os.waitpid(pid, 0)
        if tracer is not None:
            tracer.communicate(timeout=PATIENCE)  # its output is whole once it has ended
    if data is None:
        return Ending(None, "no end within %s s" % patience, 0)
    answer, trouble = json.loads(data.decode("ascii")) if data else (None, "")
    return Ending(answer, trouble, os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)


def _read_all(fd, seconds):
    """All that comes out of a pipe, which is closed then; None: its other end was not closed in time."""
    ends, data = time.monotonic() + seconds, b""
    with os.fdopen(fd, "rb", buffering=0) as stream:
        while select.select([stream], [], [], max(0, ends - time.monotonic()))[0]:
            block = stream.read(65536)
            if not block:
                return data
            data += block
    return None


def _be_the_child(function, uid, starting, answering):
    answer, trouble = None, ""
    gc.disable()  # what earlier tests left would be closed, and written, at a moment of its own: calls would be miscounted
    try:
        if uid is not None:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
        _let_trace()
        # Not by read(2): a call that strace may or may not see must not be one that is counted.
        waiting = select.poll()
        waiting.register(starting, select.POLLIN)
        ((_starting, events),) = waiting.poll()
        if not events & select.POLLIN:
            os._exit(1)  # the other end was closed: nobody wants this any more
        answer = function()
    except BaseException:
        trouble = traceback.format_exc()
    try:
        data = json.dumps([answer, trouble]).encode("ascii")
        try:
            os.write(answering, data)
        except OSError:
            os.write(answering, data)  # the fault was for a call that never came
    finally:
        os._exit(0)  # past pytest, whose copy this process is: nothing may unwind it, least of all an error


def _let_trace():
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1 & (1 << 64) - 1), 0, 0, 0)


def trace(strace, function, folder, log, uid=None):
    """The calls that a function makes with a path or descriptor of a folder, of what is in it, or on the way to it.

    :param strace: str, path of strace.
    :param folder: str.
    :param log: str, a file for strace's output.
    :returns: (Ending, list of Call).
    """
    ending = run(function, uid, _attach(strace, log))
    return ending, [call for call in read_trace(log) if _is_about(call.text, folder)]


def strike(strace, function, fault, log, uid=None):
    """Run a function with one fault.

    :returns: (Ending, bool: the fault was seen to strike).
    """
    ending = run(function, uid, _attach(strace, log, fault))
    with open(log, encoding="utf-8", errors="replace") as stream:
        lines = stream.read().splitlines()
    if not fault.kind.startswith("SIG"):
        return ending, any("(INJECTED)" in line for line in lines)
    return ending, any(
        line.startswith("---") and fault.kind in line or "killed by " + fault.kind in line for line in lines
    )


def _attach(strace, log, fault=None):
    command = [strace, "-y", "-qq", "-s", "0", "-o", log, "-e"]
    if fault is None:
        command += ["trace=" + CALLS]
    else:
        command += ["trace=" + fault.call.name, "-e", "inject=" + fault.injection]

    def start(pid):
        process = subprocess.Popen(command + ["-p", str(pid)], stderr=subprocess.PIPE)
        ends = time.monotonic() + PATIENCE
        while not _is_traced(pid):
            if process.poll() is not None or time.monotonic() > ends:
                process.kill()
                raise AssertionError("strace did not attach: %s" % process.communicate()[1].decode("utf-8", "replace"))
            time.sleep(0.0005)
        return process

    return start


def _is_traced(pid):
    with open("/proc/%d/status" % pid, encoding="ascii", errors="replace") as stream:
        return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in stream)


def read_trace(log):
    """The calls in strace's output, numbered: list of Call."""
    seen, calls = {}, []
    with open(log, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            match = _LINE.match(line)
            if match:
                name = match.group(1)
                seen[name] = seen.get(name, 0) + 1
                calls.append(Call(name, seen[name], line.strip()))
    return calls


def _is_about(text, folder):
    """A call's text names the folder, something in it, or a directory on the way to it."""
    for path in re.findall(r'[<"](/[^>"]*)[>"]', text):
        if path == "/" or (folder + "/").startswith(path.rstrip("/") + "/") or path.startswith(folder + "/"):
            return True
    return False
