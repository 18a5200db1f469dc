# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smoke test of an installed binary: it starts, answers ``version`` and exits with 0.

It does not check the identity, which is the hash (0.12.22 reports a wrong version). The owner of the binary may be
anybody, and can write other bytes into it or put another file in its place at any time. So the file that was hashed is
the file that is started, as its owner and within limits.
"""

import contextlib
import errno
import json
import os
import pwd
import resource
import selectors
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from .._errors import RunCheckError, errno_text, os_error_context, printable
from .._fs.accounts import user_name
from .._fs.processes import TASKS_HINT, count_tasks, describe_task_limits, end_group, ending_children, has_ended

_User = Tuple[int, int]  # uid and gid

TIME_LIMIT = 60  # seconds
OUTPUT_LIMIT = 64 << 10  # bytes of each of its two output streams
CPU_LIMIT = 60  # seconds of processor time
MEMORY_LIMIT = 1 << 30  # bytes of data; addresses are not limited, because Go reserves far more of them
FILE_LIMIT = 1 << 20  # bytes of a file; before 1.3, Terraform writes a small log file
TASK_LIMIT = 512  # processes and threads, in addition to those that its user has
_BUSY_SECONDS = 5  # of ETXTBSY: a process that was forked while the file was written still has it open
_LONGEST_PAUSE = 0.05  # seconds between checks whether it has ended
_CLEANING = 10  # seconds for removing the directory as its owner
_PREFIX = "terraform-run-check-"
_LEFT = 86400  # seconds after which such a directory belongs to a killed run
_A_FEW = 3  # number of these that one run removes, because their owners can make a removal slow
# Number of the system call keyctl(2) by machine, from the kernel's unistd.h: the C library has no function for it.
_KEYCTL = {"x86_64": 250, "aarch64": 219, "ppc64le": 271, "s390x": 280, "i686": 288, "armv7l": 311}
_JOIN_SESSION_KEYRING = 1
_SHOWN = 200  # characters of output that a message quotes
_BY_HAND = (
    "the check allows %d s of processor time, %d MiB of memory and files of %d MiB: run it by hand there, "
    "or run_check: false" % (CPU_LIMIT, MEMORY_LIMIT >> 20, FILE_LIMIT >> 20)
)
_NOT_ALLOWED = "look for a mode without x, noexec mounts, fapolicyd or SELinux there, or run_check: false"
_NOT_OURS = "is it the right platform? run_check: false skips this"
_HINTS: Dict[Optional[int], str] = {
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EAGAIN: TASKS_HINT + "; run_check: false skips this",
    errno.ENOEXEC: _NOT_OURS,
    errno.ENOENT: _NOT_OURS,  # for example, no dynamic loader of that name
    errno.ETXTBSY: "another process has it open for writing: find and end that one",
}


def run_check(
    fd: int, path: str, owner: Optional[int] = None, unsafe: bool = False, time_limit: float = TIME_LIMIT
) -> str:
    """Run ``version -json`` of an open file in an empty directory with a clean environment.

    Root runs the binary of another user as that user.

    :param fd: the binary, open for reading. The caller has checked its bytes. This descriptor is started.
    :param path: the path of the binary, for messages.
    :param owner: the uid that will own the binary; None: the one that owns the open file.
    :param unsafe: untrusted users could have put another file at that path. Then a system without /proc, which can
        start only paths, must not start it.
    :param time_limit: seconds.
    :returns: the version that it reported, or else the first line of its output.
    Raises RunCheckError.
    """
    user = _user(fd, owner)
    with _children(), _empty_directory(path, user) as (nowhere, folder), os_error_context(
        "run check of", path, RunCheckError, hint=_BY_HAND
    ), ending_children():
        process = _start(fd, path, nowhere, folder, user, unsafe)
        output, complaint = _finish(process, path, time_limit)
    if process.returncode != 0:
        raise RunCheckError(
            "run check of %s: %s, expected exit status 0; it said: %s"
            % (path, _ending(process.returncode), _first_line(complaint or output) or "nothing"),
            path=path,
            hint=_BY_HAND,
        )
    return _version(output)


@contextlib.contextmanager
def _empty_directory(path: str, user: Optional[_User]) -> Iterator[Tuple[str, int]]:
    """Create an empty directory, owned by that user or by us; yield its path and a descriptor.

    Once it belongs to another user, its path can lead anywhere. So root uses the descriptor, and removes the directory
    as its owner.
    """
    with os_error_context(
        "make an empty directory for the run check of",
        path,
        RunCheckError,
        hint="the run check needs room in /tmp or TMPDIR; run_check: false skips it",
    ):
        with contextlib.suppress(OSError):  # directories that cannot be listed stay
            _remove_left(tempfile.gettempdir())
        nowhere = tempfile.mkdtemp(prefix=_PREFIX)
        folder = os.open(nowhere, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        if user:
            os.fchown(folder, *user)
    try:
        yield nowhere, folder
    finally:
        os.close(folder)
        _remove(nowhere, user)


def _remove(nowhere: str, user: Optional[_User]) -> None:
    """Remove a directory that belongs to that user or to us, as far as possible: an error may be in flight."""
    if user:
        _empty(nowhere, user)
        with contextlib.suppress(OSError):  # it stays if its owner left files in it or replaced it
            os.rmdir(nowhere)
    else:
        with contextlib.suppress(RecursionError):  # directories nested too deep
            shutil.rmtree(nowhere, ignore_errors=True)


def _remove_left(parent: str) -> None:
    """Remove some directories of killed run checks. Raises OSError if they cannot be listed."""
    old: List[Tuple[str, int]] = []
    for path in (os.path.join(parent, name) for name in os.listdir(parent) if name.startswith(_PREFIX)):
        with contextlib.suppress(FileNotFoundError):
            found = os.lstat(path)
            if stat.S_ISDIR(found.st_mode) and time.time() - found.st_mtime > _LEFT:
                old.append((path, found.st_uid))
    for path, uid in [(path, uid) for path, uid in old if os.geteuid() in (0, uid)][:_A_FEW]:
        _remove(path, _account(uid))


def _empty(nowhere: str, user: _User) -> None:
    """Remove a directory as its owner, within a time limit."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):  # do not hide an error in flight
        # AnsibleModule.run_command(), which pylint asks for here and below, has no descriptors, limits or user.
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            ["/bin/rm", "-rf", "--", nowhere],
            cwd="/",
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: _become(user),
        )
        try:
            process.wait(_CLEANING)
        finally:
            end_group(process)


def _become(user: _User) -> None:
    """Become that user for good: root sets the real, effective and saved ids at once (setuid(2))."""
    os.setgroups([])
    os.setgid(user[1])
    os.setuid(user[0])


def _keyring_leaver() -> Callable[[], object]:
    """Return a callable that gives the process an empty session keyring (session-keyring(7)).

    Without that, the keys of root's session stay accessible after the change of user. If the call is refused, as in
    containers, keys cannot be read either.
    """
    call = _KEYCTL.get(os.uname().machine)
    try:
        import ctypes

        syscall = ctypes.CDLL(None).syscall
    except (ImportError, AttributeError):  # Python without ctypes; not Linux
        call = None
    return (lambda: None) if call is None else (lambda: syscall(call, _JOIN_SESSION_KEYRING, None))


def _user(fd: int, owner: Optional[int]) -> Optional[_User]:
    """Return (uid, gid) of the binary's owner, to run it as; None: run it as we are."""
    return _account(os.fstat(fd).st_uid if owner is None else owner)


def _account(uid: int) -> Optional[_User]:
    """Return (uid, gid) of a user that we have to become; None if we are not root, or the user is root."""
    if os.geteuid() or not uid:
        return None
    try:
        return uid, pwd.getpwuid(uid).pw_gid
    except KeyError:
        return uid, uid  # a uid without an account has no group of its own, but must not get root's


@contextlib.contextmanager
def _children() -> Iterator[None]:
    """Make exit statuses available: if SIGCHLD is ignored, as some parents leave it, every status reads as 0."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can set signal handlers (Python's signal module)
        return
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if before is None else before)


def _start(
    fd: int,
    path: str,
    nowhere: str,
    folder: int,
    user: Optional[_User],
    unsafe: bool,
) -> "subprocess.Popen[bytes]":
    environment = {
        "PATH": os.defpath,
        "HOME": nowhere,
        "TMPDIR": nowhere,
        "LC_ALL": "C",
        "CHECKPOINT_DISABLE": "1",
        "GOMAXPROCS": "2",  # few threads, also on large hosts
    }
    image, leave_keys = _image(fd, path, unsafe), _keyring_leaver()

    def restrain() -> None:
        for number, limit in _limits(user[0] if user else os.getuid()):
            resource.setrlimit(number, limit)
        if user:
            leave_keys()
            _become(user)
        os.fchdir(folder)  # by descriptor, as that user: the path may lead where only root may go

    give_up = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            return subprocess.Popen(  # pylint: disable=ansible-bad-function
                [path, "version", "-json"],
                bufsize=0,
                executable=image,
                pass_fds=(fd,),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=restrain,
            )
        except OSError as exc:
            if exc.errno != errno.ETXTBSY or time.monotonic() >= give_up:
                limit = " (%s)" % describe_task_limits() if exc.errno == errno.EAGAIN else ""
                raise RunCheckError(
                    "run check of %s: it cannot be started: %s%s" % (path, errno_text(exc.errno, exc), limit),
                    path=path,
                    errno=exc.errno,
                    hint=_HINTS.get(exc.errno, _BY_HAND),
                ) from exc
        except subprocess.SubprocessError as exc:  # restrain() failed; Python does not pass its reason on
            raise RunCheckError(
                "run check of %s: this process cannot set limits%s"
                % (path, " or cannot become user %s, its owner" % user_name(user[0]) if user else ""),
                path=path,
                hint=_BY_HAND,
            ) from exc
        time.sleep(0.1)


def _image(fd: int, path: str, unsafe: bool) -> str:
    """Return the name by which execve(2) starts the open file itself, whatever its path now leads to."""
    image = "/proc/self/fd/%d" % fd
    if os.path.exists(image):
        return image
    if unsafe:
        raise RunCheckError(
            "run check of %s: without /proc only its path can be started, and other users there "
            "could have another file there" % path,
            path=path,
            hint="choose a base_dir that only root or you can write, or run_check: false",
        )
    return path


def _limits(uid: int) -> List[Tuple[int, Tuple[int, int]]]:
    """Return pairs of a resource and its (soft, hard) limits for setrlimit(2), never above the present ones."""
    wanted = [
        ("RLIMIT_CORE", 0, 0),
        ("RLIMIT_CPU", CPU_LIMIT, CPU_LIMIT + 1),
        ("RLIMIT_DATA", MEMORY_LIMIT, MEMORY_LIMIT),
        ("RLIMIT_FSIZE", FILE_LIMIT, FILE_LIMIT),
    ]
    tasks = count_tasks(uid) if uid else None  # the kernel does not limit root's
    if tasks is not None:
        wanted.append(("RLIMIT_NPROC", tasks + TASK_LIMIT, tasks + TASK_LIMIT))
    limits: List[Tuple[int, Tuple[int, int]]] = []
    for name, soft, hard in wanted:
        number = getattr(resource, name)
        most = resource.getrlimit(number)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        limits.append((number, (soft, hard)))
    return limits


def _finish(process: "subprocess.Popen[bytes]", path: str, time_limit: float) -> Tuple[bytes, bytes]:
    """Return its standard output and standard error. However it ended, its process group is killed."""
    pipes = [pipe for pipe in (process.stdout, process.stderr) if pipe is not None]  # both, as _start() creates them
    with contextlib.ExitStack() as opened:
        for pipe in pipes:
            opened.enter_context(pipe)
        try:
            return _listen(process, [pipe.fileno() for pipe in pipes], path, time.monotonic() + time_limit, time_limit)
        finally:
            end_group(process)


def _listen(
    process: "subprocess.Popen[bytes]",
    streams: List[int],
    path: str,
    ends: float,
    time_limit: float,
) -> Tuple[bytes, bytes]:
    """Return what it wrote until it ended. Processes that it started can keep the pipes open: do not wait for them."""
    said = dict.fromkeys(streams, b"")
    pause: float = 0
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while True:
            ended = has_ended(process)  # check this first, so that everything it wrote can be read
            ready = [key.fd for key, _events in selector.select(0 if ended else pause)]
            for stream in ready:
                data = os.read(stream, OUTPUT_LIMIT - len(said[stream]))
                said[stream] += data
                if len(said[stream]) >= OUTPUT_LIMIT:
                    raise RunCheckError(
                        "run check of %s: it wrote %d KiB or more, expected an answer to version -json"
                        % (path, OUTPUT_LIMIT >> 10),
                        path=path,
                        hint=_BY_HAND,
                    )
                if not data:
                    selector.unregister(stream)
            if ended and not ready:
                return said[streams[0]], said[streams[1]]
            if time.monotonic() >= ends:
                raise RunCheckError(
                    "run check of %s: no answer to version -json within %d s" % (path, time_limit),
                    path=path,
                    hint=_BY_HAND,
                )
            pause = 0 if ready else min(2 * pause + 0.001, _LONGEST_PAUSE)


def _ending(status: int) -> str:
    if status >= 0:
        return "exit status %d" % status
    try:
        return "ended by %s" % signal.Signals(-status).name
    except ValueError:
        return "ended by signal %d" % -status


def _version(output: bytes) -> str:
    try:
        said = json.loads(output.decode("utf-8"))["terraform_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        said = None  # before 0.13 there was no -json
    return (_quoted_output(said) if isinstance(said, str) else "") or _first_line(output) or "nothing"


def _first_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return _quoted_output(lines[0]) if lines else ""


def _quoted_output(text: str) -> str:
    return printable(text)[:_SHOWN]
