# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the system's log, where the machine has none of its own and we may put one."""

import contextlib
import fcntl
import os
import socket
import tempfile
import threading

LOG = "/dev/log"
_TURN = os.path.join(tempfile.gettempdir(), "terraform-binary-tests-log.lock")


@contextlib.contextmanager
def catch_log():
    """A list of the messages that come to the log while the body runs, complete when it has ended.

    None where we are not root, or where there is a log already, which is not ours to replace.
    """
    if os.geteuid() != 0:
        yield None
        return
    with open(_TURN, "a", encoding="ascii") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # tests run side by side, and there is one log
        if _is_served():
            yield None
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(LOG)  # a test that was killed may have left it
        log = Log()
        try:
            yield log.messages
        finally:
            log.close()


def _is_served():
    """Whether somebody reads what is sent to the log."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        return os.path.lexists(LOG) and probe.connect_ex(LOG) == 0


class Log:
    """A stand-in for the system's log: keeps what is sent to its socket."""

    def __init__(self):
        self.messages = []
        self._caught_up = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(LOG)
        os.chmod(LOG, 0o666)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            message = self._socket.recv(65536)
            if not message:
                break
            self.messages.append(message.decode("utf-8", "replace"))
        self._caught_up.set()

    def close(self):
        """Read what is still waiting, then go."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", LOG)
        os.unlink(LOG)
        assert self._caught_up.wait(30)
        self._socket.close()
