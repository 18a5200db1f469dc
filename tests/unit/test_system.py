# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests start is gone afterwards, however they end; what other processes say comes back, a skip as a skip."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from support import system
from support.system import (
    Failed,
    another_process,
    as_plain_user,
    children,
    finished,
    in_child,
    reserved_ports,
    runs,
    started,
    strike,
    wait_until,
)


@pytest.fixture
def family(tmp_path):
    """(command, callable that gives the pids of what it is and what it has started): a shell and a child in its group."""
    path = tmp_path / "pids"
    command = ["sh", "-c", "sleep 600 & echo $$ $! >%s.part; mv %s.part %s; wait" % (path, path, path)]
    return command, lambda: [int(word) for word in wait_until(path.exists) and path.read_text().split()]


@pytest.fixture
def interrupt():
    """Interrupt this process as Ctrl-C does."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: strike(signal.SIGINT)
    signal.signal(signal.SIGINT, before)


def assert_gone(pids):
    for pid in pids:
        wait_until(lambda gone=pid: not runs(gone), "the end of process %d" % pid)


@pytest.fixture
def no_child_left():
    """No process of the test's is left when it has ended, beside those that were there before."""
    before = children()
    yield
    assert children() == before


# ------------------------------------------------------------------ programs


def test_a_program_and_what_it_started_are_gone_after_the_body(family):
    command, find_pids = family
    with started(command) as process:
        pids = find_pids()
        assert len(pids) == 2 and pids[0] == process.pid and all(map(runs, pids))
    assert_gone(pids)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("error", [AssertionError, KeyboardInterrupt])
def test_they_are_gone_after_a_body_that_failed(family, error):
    command, find_pids = family
    with pytest.raises(error), started(command):
        pids = find_pids()
        raise error()
    assert_gone(pids)


def test_they_are_gone_after_an_interrupt(family, interrupt):
    command, find_pids = family
    with pytest.raises(KeyboardInterrupt), started(command):
        pids = find_pids()
        interrupt()
    assert_gone(pids)


def test_what_a_program_left_behind_is_gone(tmp_path):
    """The program itself has ended before."""
    with started(["sh", "-c", "sleep 600 >/dev/null & echo $!"], stdout=subprocess.PIPE) as process:
        pid = int(process.stdout.read())
        assert process.wait() == 0 and runs(pid)
    assert_gone([pid])


def test_a_program_that_takes_too_long_is_gone(family, monkeypatch):
    command, find_pids = family
    real = subprocess.Popen.communicate
    monkeypatch.setattr(
        subprocess.Popen, "communicate", lambda process, timeout: find_pids() and real(process, timeout=timeout / 1e6)
    )
    with pytest.raises(subprocess.TimeoutExpired):
        finished(command)
    assert_gone(find_pids())


def test_a_finished_program_is_reported():
    done = finished(["sh", "-c", "echo out; echo err >&2; exit 3"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    with pytest.raises(subprocess.CalledProcessError):
        finished(["false"], check=True)
    assert finished(["true"], check=True).returncode == 0


# ------------------------------------------------------------------ forked processes


def test_a_result_comes_back():
    parent = os.getpid()
    assert in_child(lambda: (os.getppid(), "x" * 200000)) == (parent, "x" * 200000)
    assert as_plain_user(os.geteuid) == (system.NOBODY if system.ROOT else os.geteuid())


def test_an_exception_comes_back():
    def fail():
        raise OSError(errno.EIO, "x")

    with pytest.raises(OSError) as caught:
        in_child(fail)
    assert caught.value.errno == errno.EIO


def test_an_exception_that_cannot_travel_comes_back_as_text():
    class Local(Exception):
        pass

    def fail():
        raise Local("why")

    with pytest.raises(Failed, match="Local: why"):
        in_child(fail)
    with pytest.raises(Failed, match="wait status 9"):
        in_child(lambda: os.kill(os.getpid(), signal.SIGKILL))


def skip():
    pytest.skip("there is no such program")


@pytest.mark.parametrize("call", [in_child, as_plain_user])
def test_a_skip_in_a_child_is_a_skip(call):
    with pytest.raises(pytest.skip.Exception) as caught:
        call(skip)
    assert caught.value.msg == "there is no such program"


@pytest.mark.usefixtures("no_child_left")
def test_a_skip_in_another_process_is_a_skip():
    with pytest.raises(pytest.skip.Exception) as caught, another_process(lambda ready: skip()):
        pytest.fail("the body ran")
    assert caught.value.msg == "there is no such program"


def test_another_process_that_is_never_ready_fails():
    with pytest.raises(AssertionError, match="before it was ready"), another_process(lambda ready: None):
        pytest.fail("the body ran")


@pytest.mark.usefixtures("no_child_left")
@pytest.mark.parametrize("error", [AssertionError, KeyboardInterrupt])
def test_another_process_and_what_it_started_are_gone(family, error):
    command, find_pids = family

    def work(ready):
        subprocess.Popen(command)
        ready()
        signal.pause()

    with pytest.raises(error), another_process(work) as pid:
        pids = [pid] + find_pids()
        assert all(map(runs, pids))
        raise error()
    assert_gone(pids)


@pytest.mark.usefixtures("no_child_left")
def test_a_child_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(system, "PATIENCE", 0.05)
    with pytest.raises(Failed, match="did not end within"):
        in_child(signal.pause)


@pytest.mark.usefixtures("no_child_left")
def test_a_child_ends_what_it_started_when_the_test_is_interrupted(family, interrupt):
    """That is in process groups of its own, like a server."""
    command, find_pids = family

    def work():
        with started(command):
            find_pids()
            os.kill(os.getppid(), signal.SIGINT)
            while True:  # not one pause(2): the answer may come just before it, and then it would wait for ever
                time.sleep(0.005)

    with pytest.raises(KeyboardInterrupt):
        in_child(work)
    assert_gone(find_pids())


@pytest.mark.usefixtures("no_child_left")
@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
def test_a_child_ends_with_a_parent_that_is_killed():
    program = """
import sys, time
sys.path.insert(0, sys.argv[1])
from support import system
with system.forked(lambda stream: time.sleep(600)) as (pid, stream):
    print(pid, flush=True)
    time.sleep(600)
"""
    tests = os.path.dirname(os.path.dirname(os.path.realpath(system.__file__)))
    with system.started([sys.executable, "-c", program, tests], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        assert system.state_of(child)
        parent.kill()
        system.wait_until(lambda: system.state_of(child) in ("", "Z"), "the end of the child")


def test_an_interrupt_during_a_fork_is_not_lost(interrupt, monkeypatch):
    fork = os.fork

    def fork_and_interrupt():
        pid = fork()
        if pid:
            interrupt()
        return pid

    monkeypatch.setattr(os, "fork", fork_and_interrupt)
    with pytest.raises(KeyboardInterrupt), another_process(lambda ready: signal.pause()):
        pytest.fail("the body ran")


# ------------------------------------------------------------------ waiting, signals, ports


def test_waiting_gives_what_came_true(monkeypatch):
    answers = iter([None, "", "yes"])
    assert wait_until(lambda: next(answers)) == "yes"
    monkeypatch.setattr(system, "PATIENCE", 0)
    with pytest.raises(AssertionError, match="the end did not come true"):
        wait_until(lambda: False, "the end")


def test_a_signal_reaches_the_main_thread_whatever_others_there_are():
    """Blocked there, it waits there."""
    caught = []
    before = signal.signal(signal.SIGTERM, lambda signum, frame: caught.append(signum))
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        strike(signal.SIGTERM)
        assert caught == [signal.SIGTERM]
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        strike(signal.SIGTERM)
        assert caught == [signal.SIGTERM]
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        assert caught == [signal.SIGTERM] * 2
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        signal.signal(signal.SIGTERM, before)
        stop.set()
        thread.join()


def test_a_reserved_port_is_given_to_who_names_it_and_to_nobody_else():
    with reserved_ports(2) as ports:
        assert len(set(ports)) == 2
        for port in ports:
            with socket.socket() as client:
                assert client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
        with socket.socket() as other, pytest.raises(OSError):
            other.bind(("127.0.0.1", ports[0]))
        with socket.socket() as server, socket.socket() as client:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", ports[0]))
            server.listen(1)
            client.connect(("127.0.0.1", ports[0]))
