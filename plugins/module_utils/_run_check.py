# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smoke test of an installed binary: it starts, answers ``version`` and exits with 0.

Not its identity: that is the hash (0.12.22 misreports its own version).
"""

import errno
import json
import os
import subprocess
import tempfile
import time

from ._errors import RunCheckError, errno_text

TIME_LIMIT = 60         # seconds
_BUSY_SECONDS = 5       # ETXTBSY: a process that was forked while the file was written still holds it
_SHOWN = 200            # characters of output in a message
_CANNOT = (errno.EACCES, errno.EPERM)


def run(path, time_limit=TIME_LIMIT):
    """Run ``path version -json`` in an empty directory with a clean environment.

    :param path: str, the binary.
    :param time_limit: seconds.
    :returns: str, what it said of itself in a word: its version, or the first line of its output.
    Raises RunCheckError.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="terraform-run-check-") as nowhere:
            process = _start(path, nowhere)
            output, complaint = _finish(process, path, time_limit)
    except OSError as exc:
        raise RunCheckError(
            "run check of %s: it cannot be started: %s" % (path, errno_text(exc.errno, exc)), path=path, errno=exc.errno,
            hint="look for noexec mounts, fapolicyd or SELinux on this host, or run_check: false"
            if exc.errno in _CANNOT else "is this the platform of this host? run_check: false skips this") from exc
    if process.returncode != 0:
        raise RunCheckError("run check of %s: exit status %d, expected 0; it said: %s" % (
            path, process.returncode, _first_line(complaint or output) or "nothing"), path=path,
            hint="run it by hand on this host, or run_check: false")
    return _version(output)


def _start(path, nowhere):
    environment = {"PATH": os.defpath, "HOME": nowhere, "TMPDIR": nowhere, "LC_ALL": "C", "CHECKPOINT_DISABLE": "1"}
    give_up = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            return subprocess.Popen([path, "version", "-json"], cwd=nowhere, env=environment, stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as exc:
            if exc.errno != errno.ETXTBSY or time.monotonic() >= give_up:
                raise
        time.sleep(0.1)


def _finish(process, path, time_limit):
    with process:
        try:
            return process.communicate(timeout=time_limit)
        except subprocess.TimeoutExpired:
            process.kill()
            raise RunCheckError("run check of %s: no answer to version -json within %d s" % (path, time_limit),
                                path=path, hint="run it by hand on this host, or run_check: false") from None
        except BaseException:
            process.kill()
            raise


def _version(output):
    try:
        return str(json.loads(output.decode("utf-8"))["terraform_version"])[:_SHOWN]
    except (ValueError, KeyError, TypeError):
        return _first_line(output) or "nothing"     # before 0.13 there was no -json


def _first_line(output):
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return "".join(char if char.isprintable() else "?" for char in lines[0])[:_SHOWN] if lines else ""
