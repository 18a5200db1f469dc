# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server program in the foreground, on free ports of 127.0.0.1: started, waited for, and stopped for sure."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest

HOST = "127.0.0.1"
_PATIENCE = 30          # seconds for a program to answer, and again for it to end
_SYSTEM = os.pathsep.join(("/usr/sbin", "/sbin", "/usr/local/sbin"))    # not on the PATH of every user


def find_program(name, package):
    """The path of a program, also where only root has it on PATH; skips the test where it is not installed.

    :param package: str, the Debian package that has it.
    """
    found = shutil.which(name) or shutil.which(name, path=_SYSTEM)
    if found is None:
        pytest.skip("%s is not installed (Debian: apt install %s)" % (name, package))
    return found


def find_ports(count):
    """So many different free ports."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for dummy in range(count)]
        for sock in taken:
            sock.bind((HOST, 0))
        return [sock.getsockname()[1] for sock in taken]


@contextlib.contextmanager
def running(command, ports, log):
    """The program, while the body runs: every port is answered by then, and none when the body has ended.

    :param command: list of str; the program must stay in the foreground.
    :param log: str, a file for what it prints; shown when it does not come up.
    """
    with open(log, "ab") as printed:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT,
                                   start_new_session=True)
    try:
        for port in ports:
            _wait_for(port, process, log)
        yield
    finally:
        _end(process)


def _wait_for(port, process, log):
    ends = time.monotonic() + _PATIENCE
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        ended = process.poll()
        if ended is not None or time.monotonic() > ends:
            raise AssertionError("%s did not answer on port %d (exit status %s):\n%s" % (
                process.args[0], port, ended, read_text(log)))
        time.sleep(0.02)


def _end(process):
    """Ask it to go, then make it; those that it started are in its process group."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def read_text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def write_text(folder, name, text):
    """Write a file; returns its path."""
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path
