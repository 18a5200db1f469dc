# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn signals that ask the process to stop into errors, so that temporary files go and the operator reads why."""

import contextlib
import errno
import signal
import threading
from types import FrameType
from typing import Iterator, List, NoReturn, Optional, Tuple

from .._errors import InstallError

_ASKING: Tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)
)


@contextlib.contextmanager
def raise_on_signal(path: Optional[str] = None) -> Iterator[None]:
    """While the body runs, SIGTERM, SIGINT and SIGHUP raise InstallError (EINTR) in it, once.

    :param path: what the body works on, for the message.
    If the body swallows the error, it is raised again at the end: a process that was asked to stop must not report
    success. It also replaces any error that it caused: for example, if the signal comes between close(2) and the
    assignment after it, or in a wait of Python's queue, which then releases a lock that it does not hold.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can set signal handlers (Python's signal module)
        return

    def stop(signum: int, frame: Optional[FrameType]) -> NoReturn:
        for asking, _handler in before:
            signal.signal(asking, signal.SIG_IGN)  # let the clean-up finish
        doing = " while working on %s" % path if path else ""
        stopped.append(
            InstallError(
                "stopped by %s%s" % (signal.Signals(signum).name, doing),
                path=path,
                errno=errno.EINTR,
                hint="run it again",
            )
        )
        raise stopped[0]

    handlers = [(asking, signal.getsignal(asking)) for asking in _ASKING]
    before = [(asking, handler) for asking, handler in handlers if handler != signal.SIG_IGN]  # respect nohup(1)
    stopped: List[InstallError] = []
    try:
        for asking, _handler in before:
            signal.signal(asking, stop)
        yield
        if stopped:
            raise stopped[0]
    except Exception as exc:
        if stopped and exc is not stopped[0] and _caused_by(exc, stopped[0]):
            raise stopped[0] from exc
        raise
    finally:
        for asking, handler in before:
            signal.signal(asking, handler)


def _caused_by(exc: Optional[BaseException], first: BaseException) -> bool:
    while exc is not None and exc is not first:
        exc = exc.__cause__ or exc.__context__
    return exc is first


@contextlib.contextmanager
def defer_signals() -> Iterator[None]:
    """Delay signals that ask to stop until the body is done: a change and the note that it was made belong together.

    If the body fails, a delayed signal does not hide its error.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ASKING)
    try:
        yield
    except BaseException:
        with contextlib.suppress(InstallError):  # the delayed signal raises here
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
