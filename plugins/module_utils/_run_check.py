# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smoke test of an installed binary: it starts, answers ``version`` and exits with 0.

Not its identity: that is the hash (0.12.22 misreports its own version).
"""

import contextlib
import errno
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from ._errors import RunCheckError, cleaned, errno_text, os_errors
from ._interrupts import undisturbed

TIME_LIMIT = 60         # seconds
_BUSY_SECONDS = 5       # ETXTBSY: a process that was forked while the file was written still holds it
_SHOWN = 200            # characters of output in a message
_BY_HAND = "run it by hand on this host, or run_check: false"
_NOT_ALLOWED = ("look for a mode without x, directories that its owner may not enter, noexec mounts, fapolicyd or SELinux "
                "on this host, or run_check: false")
_NOT_OURS = "is this the platform of this host? run_check: false skips this"
_HINTS = {
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.ENOEXEC: _NOT_OURS,
    errno.ENOENT: _NOT_OURS,    # of what it needs to start
    errno.ETXTBSY: "another process has it open for writing: find and end that one",
}


def run(path, time_limit=TIME_LIMIT):
    """Run ``path version -json`` in an empty directory with a clean environment.

    :param path: str, the binary.
    :param time_limit: seconds.
    :returns: str, what it said of itself in a word: its version, or the first line of its output.
    Raises RunCheckError.

    Root runs a binary that belongs to somebody else as that user, who could put other bytes into it at any time.
    """
    with _empty_directory(path) as nowhere, _children(), contextlib.ExitStack() as stack:
        stack.enter_context(undisturbed())  # a stop meanwhile would lose sight of what was started
        process = _start(path, nowhere, _owner(path, nowhere))
        output, complaint = _finish(process, path, time_limit, stack.close)
    if process.returncode != 0:
        raise RunCheckError("run check of %s: %s, expected exit status 0; it said: %s" % (
            path, _ending(process.returncode), _first_line(complaint or output) or "nothing"), path=path, hint=_BY_HAND)
    return _version(output)


@contextlib.contextmanager
def _empty_directory(path):
    with os_errors("make an empty directory for the run check of", path, RunCheckError,
                   hint="the run check needs room in /tmp or TMPDIR on this host; run_check: false skips it"):
        nowhere = tempfile.mkdtemp(prefix="terraform-run-check-")
    try:
        yield nowhere
    finally:
        shutil.rmtree(nowhere, ignore_errors=True)  # never hides an error in flight


def _owner(path, nowhere):
    """Who shall run it.

    :returns: (uid, gid) of the binary's owner, to whom the empty directory is given; None: as we are.
    """
    with os_errors("run check of", path, RunCheckError, hint=_BY_HAND):
        uid = os.stat(path).st_uid
        if os.geteuid() or not uid:
            return None
        try:
            gid = pwd.getpwuid(uid).pw_gid
        except KeyError:
            gid = uid   # a uid without a name has no group of its own, but none of root's either
        os.chown(nowhere, uid, gid)
    return uid, gid


@contextlib.contextmanager
def _children():
    """Exit statuses can be had: with SIGCHLD ignored, as some parents leave it, every one would read as 0."""
    if threading.current_thread() is not threading.main_thread():
        yield       # signals belong to the main thread (Python's signal module)
        return
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if before is None else before)


def _start(path, nowhere, owner):
    def become():
        os.setgroups([])
        os.setgid(owner[1])
        os.setuid(owner[0])

    environment = {"PATH": os.defpath, "HOME": nowhere, "TMPDIR": nowhere, "LC_ALL": "C", "CHECKPOINT_DISABLE": "1"}
    give_up = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            return subprocess.Popen([path, "version", "-json"], cwd=nowhere, env=environment, stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                                    preexec_fn=become if owner else None)
        except OSError as exc:
            if exc.errno != errno.ETXTBSY or time.monotonic() >= give_up:
                raise RunCheckError(
                    "run check of %s: it cannot be started: %s" % (path, errno_text(exc.errno, exc)), path=path,
                    errno=exc.errno, hint=_HINTS.get(exc.errno, _BY_HAND)) from exc
        except subprocess.SubprocessError as exc:   # what become() raised, without its reason
            raise RunCheckError("run check of %s: this process cannot become uid %d, its owner" % (path, owner[0]),
                                path=path, hint=_BY_HAND) from exc
        time.sleep(0.1)


def _finish(process, path, time_limit, let_stop):
    """What it wrote to its output and its error output; nothing that it started is left when it did not end in time.

    :param let_stop: callable(), from which on a stop may strike, and does if one came before.
    """
    with process, os_errors("run check of", path, RunCheckError, hint=_BY_HAND):
        try:
            let_stop()
            return process.communicate(timeout=time_limit)
        except subprocess.TimeoutExpired:
            raise RunCheckError("run check of %s: no answer to version -json within %d s" % (path, time_limit),
                                path=path, hint=_BY_HAND) from None
        finally:
            if process.poll() is None:  # not reaped yet, so that the number still is its own
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)


def _ending(status):
    if status >= 0:
        return "exit status %d" % status
    try:
        return "ended by %s" % signal.Signals(-status).name
    except ValueError:
        return "ended by signal %d" % -status


def _version(output):
    try:
        said = json.loads(output.decode("utf-8"))["terraform_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        said = None     # before 0.13 there was no -json
    return (isinstance(said, str) and _shown(said)) or _first_line(output) or "nothing"


def _first_line(output):
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return _shown(lines[0]) if lines else ""


def _shown(text):
    return cleaned(text)[:_SHOWN]
