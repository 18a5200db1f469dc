# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals that ask a run to stop: it ends with an error and cleans up, and never claims success."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import InstallError, os_error_context
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.atomic_file import PendingFile
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.directory import (
    open_trusted_directory,
    trusted_owners,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.lock import hold_lock, is_held
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.signals import defer_signals, raise_on_signal
from support.system import another_process, open_folder, started, strike

ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers():
    """What each test finds and has to leave behind: handlers of its own, which note the signal."""
    noted = []

    def note(signum, frame):
        noted.append(signum)

    before = [(asking, signal.signal(asking, note)) for asking in ASKING]
    yield noted
    after = [signal.getsignal(asking) for asking in ASKING]
    for asking, handler in before:
        signal.signal(asking, handler)
    assert after == [note] * len(ASKING), "a handler was not put back"


@pytest.mark.parametrize("asking", ASKING)
def test_a_signal_becomes_an_error(handlers, asking):
    with pytest.raises(InstallError) as caught, raise_on_signal():
        strike(asking)
        pytest.fail("the body went on")
    assert str(caught.value) == "stopped by %s" % asking.name
    assert (caught.value.errno, caught.value.hint) == (errno.EINTR, "run it again")
    assert handlers == []


def test_afterwards_signals_do_what_they_did_before(handlers):
    with raise_on_signal():
        pass
    with pytest.raises(InstallError), raise_on_signal():
        strike(signal.SIGTERM)
    for asking in ASKING:
        strike(asking)
    assert handlers == list(ASKING)


@pytest.mark.parametrize("second", ASKING)
def test_the_clean_up_runs_to_its_end(second):
    cleaned = []
    with pytest.raises(InstallError, match="stopped by SIGTERM"), raise_on_signal():
        try:
            strike(signal.SIGTERM)
        finally:
            strike(second)
            cleaned.append(True)
    assert cleaned == [True]


def test_who_swallows_the_stop_still_fails():
    """Code that carries on after an InstallError must not turn a stop into a success."""
    went_on = []
    with pytest.raises(InstallError, match="stopped by SIGHUP"), raise_on_signal():
        with contextlib.suppress(InstallError):
            strike(signal.SIGHUP)
        went_on.append(True)
    assert went_on == [True]


def test_another_error_after_a_swallowed_stop_is_the_one_reported():
    with pytest.raises(ValueError), raise_on_signal():
        with contextlib.suppress(InstallError):
            strike(signal.SIGHUP)
        raise ValueError()


def test_an_error_that_came_of_the_stop_does_not_hide_it():
    """A stop in the middle of removing a directory was reported as "Bad file descriptor"."""
    with pytest.raises(InstallError) as caught, raise_on_signal(), os_error_context("work on", "/srv"):
        try:
            strike(signal.SIGTERM)
        finally:
            raise OSError(errno.EBADF, "Bad file descriptor")
    assert (caught.value.errno, str(caught.value)) == (errno.EINTR, "stopped by SIGTERM")


def test_an_error_of_a_lock_that_came_of_the_stop_does_not_hide_it():
    """A stop in the middle of a wait for an answer was reported as "release unlocked lock"."""
    lock = threading.Lock()
    with pytest.raises(InstallError) as caught, raise_on_signal():
        with lock:
            lock.release()  # as threading.Condition does while it waits
            strike(signal.SIGHUP)
    assert (caught.value.errno, str(caught.value)) == (errno.EINTR, "stopped by SIGHUP")
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_what_was_ignored_stays_ignored(handlers):
    """nohup(1)."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with raise_on_signal():
            strike(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_error_of_the_body_passes_and_the_handlers_come_back():
    with pytest.raises(KeyError), raise_on_signal():
        raise KeyError("body")


def test_beside_the_main_thread_the_body_runs_all_the_same(handlers):
    ran = []

    def work():
        with raise_on_signal():
            ran.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    strike(signal.SIGTERM)
    assert len(ran) == 1 and handlers == [signal.SIGTERM]


PROGRAM = """
import sys, time
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import atomic_file, directory, lock, signals
try:
    place = directory.open_trusted_directory(sys.argv[1], "base_dir", directory.trusted_owners(), None)
    with signals.raise_on_signal():
        with lock.hold_lock(place, "a.lock", 600, lambda line: print(line, flush=True)):
            with atomic_file.PendingFile(place, "binary") as pending:
                pending.write(b"half of it")
                print("half way", flush=True)
                time.sleep(600)
except _errors.InstallError as exc:
    print(exc, flush=True)
    sys.exit(3)
"""


def installer_in(place):
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    return started([sys.executable, "-B", "-c", PROGRAM, place], env=environment, stdout=subprocess.PIPE)


@pytest.mark.parametrize("asking", ASKING)
def test_a_stopped_installer_leaves_no_temporary_file_and_no_lock(asking):
    with open_folder() as place, installer_in(place) as installer:
        assert installer.stdout.readline() == b"half way\n"
        assert len(os.listdir(place)) == 2
        installer.send_signal(asking)
        assert installer.stdout.read().decode() == "stopped by %s\n" % asking.name
        assert installer.wait() == 3
        assert os.listdir(place) == ["a.lock"]
        with open_trusted_directory(place, "base_dir", trusted_owners(), None) as directory:
            assert is_held(directory, "a.lock") is False


def test_a_killed_installer_leaves_its_temporary_file_and_no_lock():
    with open_folder() as place, installer_in(place) as installer:
        installer.stdout.readline()
        installer.kill()
        installer.wait()
        assert len(os.listdir(place)) == 2
        with open_trusted_directory(place, "base_dir", trusted_owners(), None) as directory:
            with hold_lock(directory, "a.lock", 0, None), PendingFile(directory, "binary"):
                assert len(os.listdir(place)) == 3


def test_who_waits_for_the_lock_can_be_stopped():
    def hold(ready):
        with open_trusted_directory(place, "base_dir", trusted_owners(), None) as directory, hold_lock(
            directory, "a.lock", 60, None
        ):
            ready()
            signal.pause()

    with open_folder() as place, another_process(hold), installer_in(place) as waiting:
        assert waiting.stdout.readline().startswith(b"waiting for another installer")
        waiting.terminate()
        assert waiting.stdout.read() == b"stopped by SIGTERM\n"
        assert waiting.wait() == 3


def test_the_message_names_what_was_worked_on():
    with pytest.raises(InstallError) as caught:
        with raise_on_signal("/srv/store/1.13.4/terraform"):
            strike(signal.SIGTERM)
            pytest.fail("the body went on")
    assert caught.value.path == "/srv/store/1.13.4/terraform"
    assert str(caught.value) == "stopped by SIGTERM while working on /srv/store/1.13.4/terraform"


def test_a_stop_waits_for_what_belongs_together():
    done = []
    with pytest.raises(InstallError):
        with raise_on_signal():
            with defer_signals():
                strike(signal.SIGTERM)
                done.append("renamed")
                done.append("noted")
            done.append("went on")
    assert done == ["renamed", "noted"]
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_stop_that_waited_hides_no_error():
    with pytest.raises(ValueError, match="the first one"), raise_on_signal():
        with defer_signals():
            strike(signal.SIGTERM)
            raise ValueError("the first one")
    assert not set(ASKING) & set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def test_what_was_blocked_before_stays_blocked():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    try:
        with defer_signals():
            pass
        assert signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
