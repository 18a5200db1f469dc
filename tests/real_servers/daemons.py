# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server program in the foreground, on free ports of 127.0.0.1: started, waited for, and stopped for sure."""

import contextlib
import functools
import os
import shutil
import socket
import subprocess

import pytest
from support.system import PATIENCE, started, wait_until

HOST = "127.0.0.1"
MARK = "/everything-before-this-is-in-the-log"  # the path of a request that is in no list of what was asked
_SYSTEM = os.pathsep.join(("/usr/sbin", "/sbin", "/usr/local/sbin"))  # not on the PATH of every user


def find_program(name, package):
    """The path of a program, also where only root has it on PATH; skips the test where it is not installed.

    :param package: str, the Debian package that has it.
    """
    found = shutil.which(name) or shutil.which(name, path=_SYSTEM)
    if found is None:
        pytest.skip("%s is not installed (Debian: apt install %s)" % (name, package))
    return found


@contextlib.contextmanager
def running(command, ports, log):
    """The program, while the body runs: every port is answered by then, and none when the body has ended.

    :param command: list of str; the program must stay in the foreground.
    :param log: str, a file for what it prints; shown when it does not come up.
    """
    with open(log, "ab") as printed, started(
        command, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT
    ) as process:
        for port in ports:
            wait_until(functools.partial(_has_come_up, process, port), "an answer on port %d" % port)
            assert process.poll() is None, "%s ended with exit status %s:\n%s" % (
                command[0],
                process.returncode,
                read_text(log),
            )
        yield


def _has_come_up(process, port):
    return answers(port) or process.poll() is not None  # or it never will


def answers(port):
    """Whether anybody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def catch_up(port):
    """Return when a server that works in one thread has noted all that it has answered so far.

    A client has an answer before the server's log has the line for it; what is asked next is answered after that.
    """
    with socket.create_connection((HOST, port), timeout=PATIENCE) as client:
        client.sendall(b"GET %s HTTP/1.0\r\n\r\n" % MARK.encode("ascii"))
        while client.recv(65536):
            pass


def read_text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def write_text(folder, name, text):
    """Write a file; returns its path."""
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path
