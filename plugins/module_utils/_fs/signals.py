# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals that ask a process to stop become errors, so that temporary files go and the operator reads why."""

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

    :param path: str, what the body works on, for the message.
    Raised again at the end of a body that swallowed it: who was asked to stop must not report success. Raised in place of
    any error that came of it, as when the stop struck between close(2) and the note that it was done, or in a wait of
    Python's queue, which then releases a lock that it does not hold.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread (Python's signal module)
        return

    def stop(signum: int, frame: Optional[FrameType]) -> NoReturn:
        for asking, _handler in before:
            signal.signal(asking, signal.SIG_IGN)  # the clean-up runs to its end
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
    before = [(asking, handler) for asking, handler in handlers if handler != signal.SIG_IGN]  # nohup stays nohup
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
    """Signals that ask to stop wait until the body is done: a change and the note that it was made belong together.

    One that waited while the body failed does not hide that error.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ASKING)
    try:
        yield
    except BaseException:
        with contextlib.suppress(InstallError):  # the stop, which strikes in here
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
