# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals that ask a process to stop become errors, so that temporary files go and the operator reads why."""

import contextlib
import errno
import signal
import threading

from ._errors import InstallError

_ASKING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name))


@contextlib.contextmanager
def stoppable():
    """While the body runs, SIGTERM, SIGINT and SIGHUP raise InstallError (EINTR) in it, once."""
    if threading.current_thread() is not threading.main_thread():
        yield       # signals belong to the main thread (Python's signal module)
        return

    def stop(signum, frame):
        for asking in listening:
            signal.signal(asking, signal.SIG_IGN)   # the clean-up runs to its end
        raise InstallError("stopped by %s" % signal.Signals(signum).name, errno=errno.EINTR, hint="run it again")

    listening = [asking for asking in _ASKING if signal.getsignal(asking) != signal.SIG_IGN]   # nohup stays nohup
    before = [(asking, signal.signal(asking, stop)) for asking in listening]
    try:
        yield
    finally:
        for asking, handler in before:
            signal.signal(asking, handler)
