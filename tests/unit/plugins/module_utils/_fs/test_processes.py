# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of processes: by the real /proc, and by texts of control groups that this machine does not have."""

import builtins
import contextlib
import ctypes
import errno
import io
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import processes
from support.system import NOBODY, in_child, needs_root, open_folder

UNUSED = 54321  # a uid that nothing runs as


@contextlib.contextmanager
def running(command, **how):
    process = subprocess.Popen(command, **how)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def files(monkeypatch):
    """Texts in the place of files; all others are missing."""
    texts = {}

    def fake_open(path, *arguments):
        if path not in texts:
            raise FileNotFoundError(path)
        return io.StringIO(texts[path])

    monkeypatch.setattr(builtins, "open", fake_open)
    return texts


# ------------------------------------------------------------------ executables


@pytest.fixture
def sleeper():
    """The path of a program of an unusual name, which all may run."""
    with open_folder() as folder:
        path = os.path.join(folder, "terraform-of-us")
        shutil.copy(shutil.which("sleep"), path)
        yield path


def test_the_files_that_processes_run_are_listed(sleeper):
    found = os.stat(sleeper)
    with running([sleeper, "600"]) as process:
        listed = processes.list_executables()
        assert listed.paths[sleeper] == listed.files[found.st_dev, found.st_ino] == process.pid
        os.unlink(sleeper)
        listed = processes.list_executables()
        assert listed.paths[sleeper] == listed.files[found.st_dev, found.st_ino] == process.pid
        assert not any(path.endswith("(deleted)") for path in listed.paths)


def failing_for(path, number, really):
    """A function that fails with this errno for one path, and does the same as ``really`` for all others."""

    def call(given, *arguments, **options):
        if given == path:
            raise OSError(number, os.strerror(number), path)
        return really(given, *arguments, **options)

    return call


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("path_too", [True, False])
def test_a_file_that_cannot_be_looked_at_counts_by_path_and_name(sleeper, monkeypatch, number, path_too):
    with running([sleeper, "600"]) as process:
        exe, comm = "/proc/%d/exe" % process.pid, "/proc/%d/comm" % process.pid
        while open(comm).read() != "terraform-of-us\n":  # the kernel sets it late in execve(2)
            time.sleep(0.001)
        for name in ("stat",) if path_too else ("stat", "readlink"):
            monkeypatch.setattr(processes.os, name, failing_for(exe, number, getattr(os, name)))
        listed = processes.list_executables()
    assert listed.hidden["terraform-of-us"] == process.pid and process.pid not in listed.files.values()
    assert listed.paths.get(sleeper) == (process.pid if path_too else None)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ESRCH])
def test_a_process_that_has_ended_meanwhile_runs_nothing(sleeper, monkeypatch, number):
    with running([sleeper, "600"]) as process:
        fails = failing_for("/proc/%d/exe" % process.pid, number, os.readlink)
        monkeypatch.setattr(processes.os, "readlink", fails)
        listed = processes.list_executables()
    assert process.pid not in list(listed.paths.values()) + list(listed.hidden.values())


@needs_root
def test_a_process_of_somebody_else_has_a_name_alone(sleeper):
    def list_as_nobody():
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        return processes.list_executables()

    with running([sleeper, "600"]) as process:
        listed = in_child(list_as_nobody)
    assert listed.hidden[os.path.basename(sleeper)[:15]] == process.pid and sleeper not in listed.paths


def test_a_process_that_ends_meanwhile_runs_nothing(monkeypatch):
    really_list = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: really_list(path) + [str(2**22 + 5)])
    assert os.readlink("/proc/self/exe") in processes.list_executables().paths


def test_without_proc_nothing_is_known_to_run(monkeypatch):
    def list_nothing(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", list_nothing)
    assert processes.list_executables() == ({}, {}, {})


# ------------------------------------------------------------------ counting


@needs_root
def test_processes_and_threads_of_a_user_are_counted():
    if processes.count_tasks(UNUSED) is None:
        pytest.skip("in a container a user's processes cannot be counted")
    assert processes.count_tasks(UNUSED) == 0
    with running(["sleep", "600"], preexec_fn=lambda: os.setuid(UNUSED)), running(
        ["sleep", "600"], preexec_fn=lambda: os.setuid(UNUSED)
    ):
        assert processes.count_tasks(UNUSED) == 2
    before = processes.count_tasks(0)
    assert before >= 1


def test_the_threads_of_a_process_count(monkeypatch):
    monkeypatch.setattr(
        processes,
        "_read_states",
        lambda: [
            b"Name:\tx\nUid:\t7\t8\t8\t8\nThreads:\t20\n",
            b"Name:\ty\nUid:\t7\t7\t7\t7\nThreads:\t1\n",
            b"Name:\tz\nUid:\t8\t7\t7\t7\nThreads:\t300\n",
        ],
    )
    monkeypatch.setattr(processes, "_FIRST_PID_NAMESPACE", os.stat("/proc/self/ns/pid").st_ino)
    assert processes.count_tasks(7) == 21


def test_in_a_container_and_without_proc_nothing_is_counted(monkeypatch):
    monkeypatch.setattr(processes, "_FIRST_PID_NAMESPACE", 1)
    assert processes.count_tasks(0) is None

    def stat(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "stat", stat)
    assert processes.count_tasks(0) is None


# ------------------------------------------------------------------ ending


def test_all_that_a_process_started_is_ended():
    """In its process group, in another one, in a session of its own, and a grandchild in one of its own."""
    program = 'import os, time; %s; os.write(1, b"%%d\\n" %% os.getpid()); time.sleep(600)'
    begins = ["pass", "os.setpgid(0, 0)", "os.setsid()", "os.setsid(); os.fork() or os.setsid()"]
    command = " & ".join(["%s -c '%s'" % (sys.executable, program % begin) for begin in begins] + ["wait"])
    with running(["sleep", "600"]) as other:
        before = processes.find_children()
        with processes.ending_children():
            leader = start(command)
            pids = set(int(leader.stdout.readline()) for dummy in range(5))
            assert len(pids) == 5
            processes.end_group(leader)
            assert leader.returncode == -signal.SIGKILL
        assert is_ended(leader)
        assert other.pid in before and processes.find_children() == before and other.poll() is None


def test_all_are_stopped_before_one_is_killed(monkeypatch):
    """Of those that multiply, each that ends alone would make room for another one."""
    program = 'import os; os.fork() or os.setsid(); os.fork() or os.setsid(); os.write(1, b"%d\\n" % os.getpid())'
    sent, kill = [], os.kill
    monkeypatch.setattr(os, "kill", lambda pid, number: (sent.append((pid, number)), kill(pid, number)))
    with processes.ending_children():
        leader = start("%s -c '%s; import time; time.sleep(600)'" % (sys.executable, program))
        pids = set(int(leader.stdout.readline()) for dummy in range(4))
    stopped = [pid for pid, number in sent if number == signal.SIGSTOP]
    first_kill = [number for _pid, number in sent].index(signal.SIGKILL)
    assert pids <= set(pid for pid, number in sent[:first_kill] if number == signal.SIGSTOP) and len(pids) == 4, (
        stopped,
        pids,
    )
    assert is_ended(leader)


@pytest.mark.skipif(os.geteuid() != 0 or not hasattr(os, "sched_setscheduler"), reason="only root goes before others")
def test_who_ends_them_goes_before_them_for_that_time(monkeypatch):
    seen, stop_all = [], processes._stop_all
    monkeypatch.setattr(
        processes, "_stop_all", lambda *given: (seen.append(os.sched_getscheduler(0)), stop_all(*given))[1]
    )
    before = os.sched_getscheduler(0)
    with processes.ending_children():
        leader = start("sleep 600")
    assert os.SCHED_FIFO in seen and os.sched_getscheduler(0) == before and is_ended(leader)


def start(command):
    return subprocess.Popen(["sh", "-c", command], start_new_session=True, stdout=subprocess.PIPE)


def is_ended(process):
    """Nobody holds its output any more. Closes that."""
    with process.stdout:
        return bool(select.select([process.stdout], [], [], 0)[0]) and process.stdout.read() == b""


def test_what_is_left_of_a_process_that_has_ended_is_ended():
    with processes.ending_children():
        leader = start("setsid sleep 600 & exec true")
        while not processes.has_ended(leader):
            time.sleep(0.001)
        processes.end_group(leader)
        assert leader.returncode == 0
    assert is_ended(leader)


def test_what_was_started_is_ended_when_nobody_else_did():
    with running(["sleep", "600"]) as other:
        before = processes.find_children()
        with pytest.raises(ZeroDivisionError), processes.ending_children():
            started = start("setsid sleep 600 & echo; wait")
            started.stdout.readline()
            raise ZeroDivisionError()
        assert is_ended(started)
        assert processes.find_children() == before and other.poll() is None
    started.wait()  # so that subprocess knows, too


def test_orphans_are_not_ours_before_and_after():
    with processes.ending_children():
        pass
    with running(["sh", "-c", "sleep 600 & echo $!"], stdout=subprocess.PIPE) as process:
        orphan = int(process.stdout.readline())
        process.stdout.close()
        process.wait()
        assert orphan not in processes.find_children()
        os.kill(orphan, signal.SIGKILL)


@pytest.mark.parametrize("missing", ["/proc/self/task", "ctypes", "prctl", "waitid"])
def test_where_the_system_does_less_the_group_is_ended(monkeypatch, missing):
    before = processes.find_children()
    if missing == "ctypes":
        monkeypatch.setitem(sys.modules, "ctypes", None)
    elif missing == "prctl":
        monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    elif missing == "waitid":
        monkeypatch.delattr(os, "waitid")
    else:

        def listdir(path):
            raise FileNotFoundError(path)

        monkeypatch.setattr(os, "listdir", listdir)
    with processes.ending_children():
        leader = start("sleep 600 & echo; wait")
        leader.stdout.readline()
        assert not processes.has_ended(leader)
        processes.end_group(leader)
        assert processes.has_ended(leader) if missing == "waitid" else leader.returncode == -signal.SIGKILL
        with leader.stdout:
            assert leader.stdout.read() == b""
    monkeypatch.undo()
    for pid in processes.find_children() - before:  # ended, but not seen to have
        os.waitpid(pid, 0)


@pytest.mark.parametrize("error", [ProcessLookupError, PermissionError])
def test_what_cannot_be_ended_is_left(monkeypatch, error):
    def kill(number, signum):
        raise error()

    monkeypatch.setattr(processes, "_PATIENCE", 0.2)
    with running(["sleep", "600"], start_new_session=True) as before, processes.ending_children(), running(
        ["sleep", "600"], start_new_session=True
    ) as leader:
        with monkeypatch.context() as patch:
            patch.setattr(os, "killpg", kill)
            patch.setattr(os, "kill", kill)
            with processes.ending_children():
                processes.end_group(leader)
                assert leader.poll() is None
            processes._end_children(set())
        assert leader.poll() is None and before.poll() is None


# ------------------------------------------------------------------ limits


def test_the_limit_of_the_user_is_named(files):
    def limited(limit):
        resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
        return processes.describe_task_limits()

    assert in_child(lambda: limited(17)) == "ulimit -u 17"


def test_no_limit_of_the_user(files, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert processes.describe_task_limits() == "ulimit -u unlimited"


@pytest.mark.parametrize(
    "groups, limits, words",
    [
        ("0::/\n", {"": "20\n"}, ", pids.max 20"),  # a container, version 2
        ("0::/\n", {"": "max\n"}, ""),
        (
            "0::/user.slice/user-1.slice\n",
            {"/user.slice": "30\n", "/user.slice/user-1.slice": "max\n"},
            ", pids.max 30",
        ),
        ("0::/a/b\n", {"/a": "30\n", "/a/b": "20\n"}, ", pids.max 20"),
        ("0::/a\n", {}, ""),
        ("9:cpu:/x\n8:pids:/docker/7\n0::/\n", {"/pids/docker/7": "40\n"}, ", pids.max 40"),  # version 1
        ("8:cpu,pids:/docker/7\n", {"/pids": "50\n"}, ", pids.max 50"),  # as seen from within the container
        ("8:cpuset:/docker/7\n", {"/pids": "50\n"}, ""),
        ("1:name=systemd:/a:b\n", {}, ""),
    ],
)
def test_the_limit_of_the_control_group_is_named(files, groups, limits, words):
    files["/proc/self/cgroup"] = groups
    for folder, text in limits.items():
        files["/sys/fs/cgroup%s/pids.max" % folder] = text
    assert processes.describe_task_limits().partition(",")[1:] == words.partition(",")[1:]
    assert processes.describe_task_limits().endswith(words)
