# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests do to the host they run on: other users, small and read-only disks, a disk that lies, other processes.

Everything is real and is undone afterwards, also when the test fails or is interrupted: a process that was started here
is ended with all of its process group. What needs root, strace or mount(8) skips with the reason where that cannot
be had. Runs on Python 3.6.
"""

import contextlib
import ctypes
import errno
import functools
import gc
import json
import os
import pickle
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import traceback

import pytest

ROOT = os.geteuid() == 0
NOBODY = 65534  # an ordinary user, who owns nothing
OTHER_UID = 12345  # another one, whom no test trusts; nobody has to exist under that number
PATIENCE = 120  # seconds; however slow the machine is, what takes that long hangs

needs_root = pytest.mark.skipif(not ROOT, reason="needs root")


class Failed(Exception):
    """What another process died of, with its traceback as text."""


def wait_until(condition, what="the condition"):
    """What the condition gives as soon as that is true. AssertionError after PATIENCE."""
    ends = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < ends, "%s did not come true within %d s" % (what, PATIENCE)
        time.sleep(0.005)


class Clock:
    """In the place of the module ``time`` in a file that is tested: time passes only when somebody says so.

    ``slept`` has the seconds of each sleep, which takes no time. Who sleeps 2000 times is said to hang.
    """

    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def __getattr__(self, name):
        return getattr(time, name)

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        assert len(self.slept) < 2000, "it goes on for ever"
        self.now += seconds


def strike(signum):
    """Send a signal to the main thread, which has it when this returns if it is the caller.

    kill(2) may give it to any thread of the process; where the tests run in parallel there are others.
    """
    signal.pthread_kill(threading.main_thread().ident, signum)


def runs(pid):
    """Whether a process is there and no zombie, which not every init takes away (proc(5), stat)."""
    return state_of(pid) not in ("", "Z", "X")


def children():
    """The processes that this one has started and not yet waited for: set of pids."""
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % name) as stream:
                parent = stream.read().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == os.getpid():
            found.add(int(name))
    return found


def state_of(pid):
    """The letter for the state of a process (proc(5), stat): S sleeps. "" when there is none of that number."""
    try:
        with open("/proc/%d/stat" % pid) as stream:
            return stream.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


# ------------------------------------------------------------------ programs


@contextlib.contextmanager
def started(command, **how):
    """A program that runs beside the body, as the first of a process group of its own.

    :param how: as for subprocess.Popen.
    :yields: Popen. Nothing of the process group is left when the body has ended, however it did.
    """
    with subprocess.Popen(command, start_new_session=True, **how) as process:
        try:
            yield process
        finally:
            _end_group(process.pid)


def finished(command, check=False, **how):
    """subprocess.run() with a limit of PATIENCE, for programs that may start others: none outlives it."""
    with started(command, **how) as process:
        output, errors = process.communicate(timeout=PATIENCE)
    done = subprocess.CompletedProcess(command, process.returncode, output, errors)
    if check:
        done.check_returncode()
    return done


def _end_group(pid):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


# ------------------------------------------------------------------ forked processes


def in_child(function):
    """Call a function in a forked process of its own. Its result, or the exception it ended with, comes back.

    pytest.skip() in it skips the test. One that hangs is Failed after PATIENCE.
    """

    def work(stream):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stream.write(pickle.dumps(_outcome(function)))

    with forked(work) as (pid, stream):
        try:
            data = read_all(stream)
        except BaseException:
            _interrupt(pid)
            raise
        _pid, status = os.waitpid(pid, 0)
    if not data:
        raise Failed("the child process ended with wait status %d" % status)
    result, error, skipped = pickle.loads(data)
    if skipped is not None:
        pytest.skip(skipped)
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


@contextlib.contextmanager
def another_process(function):
    """A forked process that runs ``function(ready)`` beside the body, which begins when ``ready()`` was called.

    pytest.skip() before that skips the test.

    :yields: int, its pid. It is killed at the end, if it still runs.
    """

    def work(stream):
        def ready():
            stream.write(b"!")
            stream.flush()

        try:
            function(ready)
        except pytest.skip.Exception as exc:
            stream.write(exc.msg.encode("utf-8"))
            raise

    with forked(work) as (pid, stream):
        begun = os.read(stream.fileno(), 1)
        if begun != b"!":
            reason = (begun + read_all(stream)).decode("utf-8")
            assert reason, "the other process ended before it was ready"
            pytest.skip(reason)
        yield pid


@contextlib.contextmanager
def forked(work):
    """A forked process, the first of a process group of its own, that runs ``work(stream)`` beside the body.

    :yields: (int, its pid; a stream to read what it writes into its own). Nothing of the process group is left when the
        body has ended, however it did; the body may have waited for the process.
    """
    reading, writing = os.pipe()
    # An interrupt waits: Python swallows it in what it does itself around a fork.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            _end_with(parent)
            os.setpgid(0, 0)
            os.close(reading)
            with os.fdopen(writing, "wb") as stream:
                work(stream)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)  # past pytest, whose copy this process is
    try:
        with contextlib.suppress(PermissionError, ProcessLookupError):  # it has ended already
            os.setpgid(pid, pid)  # here too: whoever comes first
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(writing)
        with os.fdopen(reading, "rb") as stream:
            yield pid, stream
    finally:
        _end_group(pid)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _end_with(parent):
    """Be killed when the parent ends, however it does: PR_SET_PDEATHSIG of prctl(2), which only Linux has."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def processes_with(variable, value):
    """The processes with that variable in their environment, but for this one: list of (pid, command line)."""
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open("/proc/%s/environ" % name, "rb") as file:
                    if ("%s=%s" % (variable, value)).encode() not in file.read().split(b"\0"):
                        continue
                with open("/proc/%s/cmdline" % name, "rb") as file:
                    found.append((int(name), file.read().replace(b"\0", b" ").decode("utf-8", "replace")[:200]))
            except OSError:  # it has ended, or belongs to somebody else
                continue
    return found


def read_all(stream):
    """The rest of a pipe. Raises Failed after PATIENCE."""
    ends, data = time.monotonic() + PATIENCE, b""
    while select.select([stream], [], [], max(0.0, ends - time.monotonic()))[0]:
        block = os.read(stream.fileno(), 65536)
        if not block:
            return data
        data += block
    raise Failed("the child process did not end within %d s" % PATIENCE)


def _interrupt(pid):
    """Have a child end what it has started in process groups of their own; give it some seconds for that."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
    ends = time.monotonic() + 10
    while runs(pid) and time.monotonic() < ends:
        time.sleep(0.005)


def _outcome(function):
    """(result, None, None), (None, the exception it ended with, None), or (None, None, why pytest is to skip)."""
    try:
        return function(), None, None
    except pytest.skip.Exception as exc:  # which cannot be pickled
        return None, None, exc.msg
    except BaseException as exc:  # all of it is the other process's business
        try:
            pickle.loads(pickle.dumps(exc))
        except (AttributeError, TypeError, pickle.PickleError):
            return None, Failed(traceback.format_exc()), None
        return None, exc, None


# ------------------------------------------------------------------ folders, disks, ports


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
def lying_disk(folder, uid, mode=0o40755):
    """A FUSE file system of a user on an empty folder, open to all, in which every name is a directory of root's with mode
    0755, but for the name ``mute``: who asks for that waits as long as the disk is there. With the mode of a regular file it
    is one, over a file that is there. Needs root."""
    try:
        fd = os.open("/dev/fuse", os.O_RDWR)
    except OSError as exc:
        pytest.skip("/dev/fuse: %s" % exc)
    try:
        mount(
            [
                "-i",
                "-t",
                "fuse",
                "-o",
                "fd=%d,rootmode=%o,user_id=%d,group_id=%d,allow_other" % (fd, mode, uid, uid),
                "lies",
                str(folder),
            ],
            pass_fds=(fd,),
        )
        try:
            with another_process(lambda ready: _lie(fd, ready, mode)):
                yield folder
        finally:
            subprocess.check_call(["umount", "-l", str(folder)])
    finally:
        os.close(fd)


def _lie(fd, ready, mode):
    """Answer the kernel (fuse(4); structures and numbers: linux/fuse.h)."""
    ready()
    attributes = struct.pack("<6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, mode, 2, 0, 0, 0, 4096, 0)
    while True:
        request = os.read(fd, 1 << 17)
        _size, operation, unique, node = struct.unpack_from("<IIQQ", request)
        answers = {
            1: struct.pack("<4Q2I", node + 1, 0, 0, 0, 0, 0) + attributes,  # LOOKUP
            3: struct.pack("<Q2I", 0, 0, 0) + attributes,  # GETATTR
            26: struct.pack("<4I2HI", 7, 12, 0, 0, 0, 0, 4096),  # INIT
        }
        if operation != 2 and not request.endswith(b"\0mute\0"):  # FORGET
            body = answers.get(operation, b"")
            os.write(fd, struct.pack("<IiQ", 16 + len(body), 0 if body else -errno.ENOSYS, unique) + body)


def mount(arguments, **settings):
    if not ROOT:
        pytest.skip("mount needs root")
    done = subprocess.run(
        ["mount"] + arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **settings
    )
    if done.returncode:
        pytest.skip("mount %s: %s" % (" ".join(arguments), done.stdout.decode("utf-8", "replace").strip()))


@contextlib.contextmanager
def reserved_ports(count):
    """So many different ports of 127.0.0.1, which nobody answers and the kernel gives to nobody else while the body runs.

    A server that binds one by its number with SO_REUSEADDR may have it: these sockets have that too, and do not listen.

    :yields: list of int.
    """
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for dummy in range(count)]
        for sock in taken:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", 0))
        yield [sock.getsockname()[1] for sock in taken]


@functools.lru_cache(maxsize=None)
def find_strace():
    """(path of strace, None), or (None, why it cannot be used)."""
    path = shutil.which("strace")
    if path is None:
        return None, "strace is not installed"
    done = finished(
        [path, "-f", "--seccomp-bpf", "-o", os.devnull, "-e", "trace=execve", "true"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
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
        textwrap.dedent(source),
        answer,
    )
    command = [strace, "-f", "--seccomp-bpf", "-y", "-qq", "-s", "0", "-o", trace, "-e", "trace=" + ",".join(calls)]
    for fault in faults:
        command += ["-e", "inject=" + fault]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    done = finished(
        command + [sys.executable, "-B", "-c", program],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")
    with open(trace) as stream:
        lines = [line.split(None, 1)[1].strip() for line in stream]
    fired = sum("(INJECTED)" in line for line in lines)
    assert fired >= len(faults), "%d faults, %d fired: %s" % (len(faults), fired, lines)
    with open(answer) as stream:
        return json.load(stream), lines


def open_descriptors():
    """How many this process has. What earlier tests left to be collected is closed first, not in the middle of a test."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@contextlib.contextmanager
def listening(address="127.0.0.1", port=0, deaf=False):
    """A port that accepts; or one that answers nothing: as that of a dead host, since the queue of it is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((address, port))
        server.listen(0 if deaf else 16)
        for _number in range(3 if deaf else 0):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server
