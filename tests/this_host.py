# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests do to the host they run on: other users, small and read-only disks, a disk that lies, other processes.

Everything is real and is undone afterwards. What needs root, strace or mount(8) skips with the reason where that cannot
be had. Runs on Python 3.6.
"""

import contextlib
import errno
import functools
import json
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import textwrap
import traceback

import pytest

ROOT = os.geteuid() == 0
NOBODY = 65534          # an ordinary user, who owns nothing
STRANGER = 12345        # another one, whom no test trusts; nobody has to exist under that number

needs_root = pytest.mark.skipif(not ROOT, reason="needs root")


class Failed(Exception):
    """What another process died of, with its traceback as text."""


def in_child(function):
    """Call a function in a forked process of its own. Its result, or the exception it ended with, comes back."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        answer = pickle.dumps(_outcome(function))
        with os.fdopen(writing, "wb") as stream:
            stream.write(answer)
        os._exit(0)     # past pytest, whose copy this process is
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        data = stream.read()
    _pid, status = os.waitpid(pid, 0)
    if not data:
        raise Failed("the child process ended with wait status %d" % status)
    result, error = pickle.loads(data)
    if error is not None:
        raise error
    return result


def as_plain_user(function, uid=NOBODY, gid=NOBODY):
    """in_child(), as a user without any privilege: the one given where we are root, else the one we are."""
    def stepped_down():
        if ROOT:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        return function()
    return in_child(stepped_down)


def _outcome(function):
    try:
        return function(), None
    except BaseException as exc:    # all of it is the other process's business
        try:
            pickle.loads(pickle.dumps(exc))
        except (AttributeError, TypeError, pickle.PickleError):
            return None, Failed(traceback.format_exc())
        return None, exc


@contextlib.contextmanager
def another_process(function):
    """A forked process that runs ``function(ready)`` beside the body, which begins when ``ready()`` was called.

    :yields: int, its pid. It is killed at the end, if it still runs.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            function(lambda: os.write(writing, b"!"))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    try:
        begun = os.read(reading, 1)
        os.close(reading)
        assert begun, "the other process ended before it was ready"
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):    # the body may have waited for it
            os.waitpid(pid, 0)


@contextlib.contextmanager
def open_folder():
    """A folder of ours that every user can reach, in the directory for temporary files, as its real path."""
    folder = os.path.realpath(tempfile.mkdtemp(prefix="terraform-binary-test-"))
    os.chmod(folder, 0o755)
    try:
        yield folder
    finally:
        os.chmod(folder, 0o700)
        shutil.rmtree(folder)


@contextlib.contextmanager
def small_disk(folder, options="size=64k"):
    """A tmpfs on an empty folder. Needs root."""
    mount(["-t", "tmpfs", "-o", options, "tmpfs", str(folder)])
    try:
        os.chmod(str(folder), 0o755)
        yield folder
    finally:
        subprocess.check_call(["umount", "-l", str(folder)])


@contextlib.contextmanager
def mounted_again(folder, options):
    """The folder bound onto itself, with ``ro`` or ``noexec``. Needs root."""
    mount(["--bind", str(folder), str(folder)])
    try:
        mount(["-o", "remount,bind," + options, str(folder)])
        yield folder
    finally:
        subprocess.check_call(["umount", "-l", str(folder)])


@contextlib.contextmanager
def lying_disk(folder, uid):
    """A FUSE file system of a user on an empty folder, open to all, in which every name is a directory of root's with mode
    0755, but for the name ``mute``: who asks for that waits as long as the disk is there. Needs root."""
    try:
        fd = os.open("/dev/fuse", os.O_RDWR)
    except OSError as exc:
        pytest.skip("/dev/fuse: %s" % exc)
    try:
        mount(["-i", "-t", "fuse", "-o", "fd=%d,rootmode=40755,user_id=%d,group_id=%d,allow_other" % (fd, uid, uid), "lies",
               str(folder)], pass_fds=(fd,))
        try:
            with another_process(lambda ready: _lie(fd, ready)):
                yield folder
        finally:
            subprocess.check_call(["umount", "-l", str(folder)])
    finally:
        os.close(fd)


def _lie(fd, ready):
    """Answer the kernel (fuse(4); structures and numbers: linux/fuse.h)."""
    ready()
    attributes = struct.pack("<6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
    while True:
        request = os.read(fd, 1 << 17)
        _size, operation, unique, node = struct.unpack_from("<IIQQ", request)
        answers = {
            1: struct.pack("<4Q2I", node + 1, 0, 0, 0, 0, 0) + attributes,  # LOOKUP
            3: struct.pack("<Q2I", 0, 0, 0) + attributes,                   # GETATTR
            26: struct.pack("<4I2HI", 7, 12, 0, 0, 0, 0, 4096),             # INIT
        }
        if operation != 2 and not request.endswith(b"\0mute\0"):            # FORGET
            body = answers.get(operation, b"")
            os.write(fd, struct.pack("<IiQ", 16 + len(body), 0 if body else -errno.ENOSYS, unique) + body)


def mount(arguments, **settings):
    if not ROOT:
        pytest.skip("mount needs root")
    done = subprocess.run(["mount"] + arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **settings)
    if done.returncode:
        pytest.skip("mount %s: %s" % (" ".join(arguments), done.stdout.decode("utf-8", "replace").strip()))


@functools.lru_cache(maxsize=None)
def find_strace():
    """(path of strace, None), or (None, why it cannot be used)."""
    path = shutil.which("strace")
    if path is None:
        return None, "strace is not installed"
    done = subprocess.run([path, "-f", "-o", os.devnull, "true"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    if done.returncode:
        return None, "strace does not work here: %s" % done.stdout.decode("utf-8", "replace").strip()
    return path, None


def traced(folder, source, calls, *faults):
    """Run Python source in a process of its own under strace(1).

    :param folder: an existing folder, for the trace.
    :param source: str; it leaves its result, which has to fit into JSON, in ``result``.
    :param calls: list of str, the system calls to record.
    :param faults: str, each for ``-e inject=``: ``fsync:error=EIO:when=1``. That each fired is asserted.
    :returns: (result, list of str: one line for each call from the line ``# go`` of the source on).
    """
    strace, reason = find_strace()
    if strace is None:
        pytest.skip(reason)
    trace, answer = os.path.join(str(folder), "trace"), os.path.join(str(folder), "answer")
    program = "import json\n%s\nwith open(%r, 'w') as stream:\n    json.dump(result, stream)\n" % (
        textwrap.dedent(source), answer)
    command = [strace, "-f", "-y", "-qq", "-s", "0", "-o", trace, "-e", "trace=" + ",".join(calls)]
    for fault in faults:
        command += ["-e", "inject=" + fault]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    done = subprocess.run(command + [sys.executable, "-B", "-c", program], env=environment, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")
    with open(trace) as stream:
        lines = [line.split(None, 1)[1].strip() for line in stream]
    fired = sum("(INJECTED)" in line for line in lines)
    assert fired >= len(faults), "%d faults, %d fired: %s" % (len(faults), fired, lines)
    with open(answer) as stream:
        return json.load(stream), lines


def open_descriptors():
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))
