# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock: one holder at a time, waited for with a deadline, freed by whatever ends its holder, unlinked under itself alone."""

import errno
import fcntl
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import InstallError, LockError
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.accounts import account_text
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.directory import (
    open_trusted_directory,
    trusted_owners,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.lock import hold_lock, is_held, remove_lock
from support.system import (
    NOBODY,
    PATIENCE,
    another_process,
    as_plain_user,
    finished,
    mounted_again,
    needs_root,
    open_descriptors,
    open_folder,
    small_disk,
    strike,
    traced,
)

NAME = ".terraform-1.13.4.lock"


@pytest.fixture
def place():
    with open_folder() as folder:
        yield folder


@pytest.fixture
def directory(place):
    with open_trusted_directory(place, "base_dir", trusted_owners(), None) as opened:
        yield opened


@pytest.fixture
def path(place):
    return os.path.join(place, NAME)


def quiet(line, warning=False):
    """Nobody listens."""


def take(directory, timeout=0, log=quiet):
    """Take the lock and give it back; what the body got."""
    with hold_lock(directory, NAME, timeout, log) as held:
        return held


def refusal(directory, error=InstallError, **settings):
    with pytest.raises(error) as caught:
        take(directory, **settings)
    assert caught.type is error
    return caught.value


def held_by_another(path):
    """Another process that holds the lock for the body."""

    def hold(ready):
        with open_trusted_directory(os.path.dirname(path), "base_dir", trusted_owners(), None) as directory:
            with hold_lock(directory, os.path.basename(path), 60, quiet):
                ready()
                signal.pause()

    return another_process(hold)


def fake_flock(monkeypatch, *answers):
    """flock(2) gives these answers, one a call, the last for ever: an errno, or 0 for what the kernel really does."""
    left, real = list(answers), fcntl.flock

    def flock(fd, how):
        number = left.pop(0) if len(left) > 1 else left[0]
        if number:
            raise OSError(number, os.strerror(number))
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    return left


# ------------------------------------------------------------------ holding it


def test_the_lock_is_ours_and_says_whose_it_is(directory, path):
    with hold_lock(directory, NAME, 0, quiet) as held:
        assert held is True
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        with open(path) as stream:
            words = stream.read()
    found = re.match(r"pid (\d+) on (\S+) since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n\Z", words)
    assert found.groups() == (str(os.getpid()), os.uname().nodename)


def test_it_is_opened_as_the_protocol_says(place, tmp_path):
    _result, calls = traced(
        tmp_path,
        """
        from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory, lock
        with directory.open_trusted_directory(%r, "base_dir", directory.trusted_owners(), None) as directory:
            with lock.hold_lock(directory, %r, 0, None):
                result = None
    """
        % (place, NAME),
        ["openat", "flock", "unlink", "unlinkat"],
    )
    opened = [line for line in calls if line.startswith("openat(") and place in line and "O_CREAT" in line]
    assert len(opened) == 1
    assert set(re.search(r"O_RDWR[A-Z_|]*", opened[0]).group().split("|")) >= {
        "O_RDWR",
        "O_CREAT",
        "O_NOFOLLOW",
        "O_CLOEXEC",
    }
    assert ", 0600)" in opened[0]
    assert [line.split(", ")[1].split(")")[0] for line in calls if line.startswith("flock(")] == ["LOCK_EX|LOCK_NB"]
    assert not [line for line in calls if line.startswith("unlink") and place in line]


def test_it_is_never_unlinked(directory, path):
    take(directory)
    first = os.stat(path).st_ino
    take(directory)
    assert os.stat(path).st_ino == first


def test_the_words_of_a_longer_one_before_are_gone(directory, path):
    with open(path, "w") as stream:
        stream.write("x" * 5000)
    os.chmod(path, 0o600)
    with hold_lock(directory, NAME, 0, quiet):
        with open(path) as stream:
            assert "x" not in stream.read()


def test_it_is_free_again_after_the_body_and_after_an_error_in_it(directory, path):
    take(directory)
    with pytest.raises(ValueError), hold_lock(directory, NAME, 0, quiet):
        raise ValueError()
    assert as_other_process(directory, is_held) is False


def as_other_process(directory, question):
    """The answer of another process of ours about the lock."""
    source = "\n".join(
        [
            "import sys",
            "from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory, lock",
            "with directory.open_trusted_directory(%r, 'base_dir', directory.trusted_owners(), None) as directory:"
            % directory.path,
            "    print(lock.%s(directory, %r))" % (question.__name__, NAME),
        ]
    )
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(entry for entry in sys.path if entry))
    done = finished([sys.executable, "-B", "-c", source], check=True, env=environment, stdout=subprocess.PIPE)
    answer = done.stdout.decode().strip()
    return {"True": True, "False": False, "None": None}[answer]


def test_programs_that_are_started_meanwhile_do_not_inherit_it(directory, path):
    with hold_lock(directory, NAME, 0, quiet):
        listed = subprocess.check_output(["ls", "-l", "/proc/self/fd/"], close_fds=False).decode()
    assert path not in listed


def test_a_full_disk_stops_no_one_who_only_needs_the_lock(monkeypatch, directory, path):
    def pwrite(fd, data, offset):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", pwrite)
    assert take(directory) is True


@needs_root
def test_a_really_full_disk_stops_no_one_either(place):
    folder = os.path.join(place, "small")
    os.mkdir(folder)
    with small_disk(folder):
        with open(os.path.join(folder, "big"), "wb", buffering=0) as stream, pytest.raises(OSError):
            while True:
                stream.write(b"x" * 4096)
        with open_trusted_directory(folder, "base_dir", trusted_owners(), None) as directory:
            assert take(directory) is True


def test_no_descriptor_is_left_open(directory, path, monkeypatch):
    before = open_descriptors()
    take(directory)
    is_held(directory, NAME)
    with held_by_another(path):
        refusal(directory, LockError)
    os.chmod(path, 0o666)
    refusal(directory)
    os.chmod(path, 0o600)
    fake_flock(monkeypatch, errno.EIO)
    refusal(directory)
    assert open_descriptors() == before


# ------------------------------------------------------------------ discarding it


def test_a_lock_that_nobody_has_is_discarded(directory, path):
    take(directory)
    before = open_descriptors()
    assert remove_lock(directory, NAME, lambda: True) == "" and not os.path.exists(path)
    assert take(directory) is True and open_descriptors() == before


def test_it_is_unlinked_while_it_is_held(directory, monkeypatch):
    take(directory)
    seen, real = [], os.unlink

    def unlink(name, **where):
        seen.append(as_other_process(directory, is_held))
        real(name, **where)

    monkeypatch.setattr(os, "unlink", unlink)
    assert remove_lock(directory, NAME, lambda: True) == "" and seen == [True]


def test_a_lock_that_somebody_has_stays(directory, path):
    with held_by_another(path) as holder:
        assert "another process has it (pid %d on" % holder in remove_lock(directory, NAME, lambda: True)
        assert os.path.exists(path) and as_other_process(directory, is_held) is True


def test_whether_it_is_used_is_asked_under_the_lock(directory, path):
    take(directory)
    assert remove_lock(directory, NAME, lambda: as_other_process(directory, is_held) is False) == "it is in use again"
    assert os.path.exists(path)


def test_without_locks_the_file_stays(directory, path, monkeypatch):
    take(directory)
    fake_flock(monkeypatch, errno.ENOLCK)
    assert remove_lock(directory, NAME, lambda: True) == "no locks on its file system (ENOLCK)" and os.path.exists(path)


def test_a_file_that_is_not_ours_is_not_discarded(directory, path):
    os.symlink("/nowhere", path)
    with pytest.raises(InstallError, match="symbolic link"):
        remove_lock(directory, NAME, lambda: True)
    assert os.path.islink(path)


def test_who_discards_lets_nobody_in_beside_another(directory, place):
    """Three that take the lock, two that unlink it whenever they get it: entering while another is inside would show."""
    log = os.path.join(place, "log")

    def work(ready):
        ready()
        note = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for _round in range(15):
            with hold_lock(directory, NAME, PATIENCE, quiet):
                os.write(note, b"<")
                time.sleep(0.001)
                os.write(note, b">")

    def unlink(ready):
        ready()
        while True:
            remove_lock(directory, NAME, lambda: True)
            time.sleep(0.0003)

    with another_process(unlink), another_process(unlink):
        with another_process(work) as one, another_process(work) as two, another_process(work) as three:
            assert [os.waitpid(pid, 0)[1] for pid in (one, two, three)] == [0, 0, 0]
    with open(log) as stream:
        assert stream.read() == "<>" * 45


# ------------------------------------------------------------------ concurrent runs


def test_concurrent_runs_never_hold_it_together(directory, place):
    """Each notes when it enters and when it leaves; entering while another is inside would show."""
    log = os.path.join(place, "log")

    def work(ready):
        ready()
        note = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for _round in range(25):
            with hold_lock(directory, NAME, PATIENCE, quiet):
                os.write(note, b"<")
                time.sleep(0.001)
                os.write(note, b">")

    with another_process(work) as one, another_process(work) as two, another_process(work) as three:
        assert [os.waitpid(pid, 0)[1] for pid in (one, two, three)] == [0, 0, 0]
    with open(log) as stream:
        assert stream.read() == "<>" * 75


def test_who_waits_says_for_whom_and_gets_it_when_the_holder_dies(directory, path):
    lines = []
    with held_by_another(path) as holder:

        def log(line):
            lines.append(line)
            os.kill(holder, signal.SIGKILL)

        assert take(directory, 60, log) is True
    (line,) = lines
    assert line.startswith(
        "waiting for another installer: %s is held (pid %d on %s since" % (path, holder, os.uname().nodename)
    )


def test_when_the_time_is_up_the_holder_is_named(directory, path, clock):
    with held_by_another(path) as holder:
        error = refusal(directory, LockError, timeout=7)
        assert os.path.exists(path)
        os.kill(holder, 0)
    assert sum(clock.slept) == pytest.approx(7, abs=0.02)
    assert str(error).startswith("another installer holds %s (pid %d on" % (path, holder))
    assert "waited 7 s" in str(error)
    assert (error.path, error.errno, error.changed) == (path, errno.EAGAIN, False)
    assert "lock_timeout" in error.hint


def test_a_holder_who_left_no_word(directory, path):
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert "(holder unknown)" in str(refusal(directory, LockError))
    os.close(fd)


def test_a_holder_whose_word_cannot_be_read(directory, path, monkeypatch):
    def pread(fd, size, offset):
        raise OSError(errno.EIO, "x")

    with held_by_another(path):
        monkeypatch.setattr(os, "pread", pread)
        assert "(holder unknown)" in str(refusal(directory, LockError))


def test_who_waits_does_not_spin(directory, path, monkeypatch, clock):
    calls = []
    real = fcntl.flock
    with held_by_another(path):
        monkeypatch.setattr(fcntl, "flock", lambda fd, how: (calls.append(how), real(fd, how)))
        refusal(directory, LockError, timeout=60)
        pauses, clock.slept = clock.slept, []
        assert len(calls) == len(pauses) + 1
        assert 0.01 <= min(pauses) and max(pauses) <= 0.5
        assert min(pauses[10:-2]) >= 0.25, "they grow; the last ones end with the time"
        refusal(directory, LockError, timeout=0)
        assert clock.slept == [0.01]


def test_a_mere_look_keeps_nobody_from_it(directory, path):
    """is_held() holds the lock for an instant, which must not fail an installer that does not wait."""
    take(directory)
    fd = os.open(path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    assert take(directory, 0, lambda line: os.close(fd)) is True


def test_who_looked_at_the_lock_is_not_in_its_own_way_when_the_close_fails(directory, monkeypatch):
    """After a failed close(2) the state of the descriptor is unspecified (POSIX): it may be there still."""
    take(directory)
    left = []

    def fail(fd):
        left.append(fd)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as faked:
        faked.setattr(os, "close", fail)
        assert is_held(directory, NAME) is False
    try:
        assert left and take(directory) is True
    finally:
        for fd in left:
            os.close(fd)


def test_interrupted_or_held_means_wait(directory, monkeypatch):
    left = fake_flock(monkeypatch, errno.EINTR, errno.EAGAIN, 0)
    assert take(directory, 60) is True
    assert left == [0]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EBADF, errno.ESTALE, errno.ENOENT])
def test_every_other_errno_is_its_own_error(directory, path, monkeypatch, number):
    fake_flock(monkeypatch, number)
    error = refusal(directory, timeout=60)
    assert (error.errno, error.path) == (number, path)
    assert errno.errorcode[number] in str(error)


def test_an_error_without_a_number_is_no_lock(directory, monkeypatch):
    def flock(fd, how):
        raise OSError("odd")

    monkeypatch.setattr(fcntl, "flock", flock)
    assert refusal(directory).errno == errno.EIO


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_where_there_are_no_locks_it_goes_on_and_says_so(directory, path, monkeypatch, number):
    lines = []
    fake_flock(monkeypatch, number)
    assert take(directory, log=lambda line, warning=False: lines.append((line, warning))) is False
    name = errno.errorcode[number]
    assert lines == [("no locks on the file system of %s (%s): going on without" % (path, name), True)]
    with open(path) as stream:
        assert stream.read() == "", "who holds nothing signs nothing"


def test_the_kernel_itself_has_no_locks(place, tmp_path):
    result, _calls = traced(
        tmp_path,
        """
        from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory, lock
        with directory.open_trusted_directory(%r, "base_dir", directory.trusted_owners(), None) as directory:
            with lock.hold_lock(directory, "a.lock", 60, lambda line, warning=False: None) as held:
                result = [held, lock.is_held(directory, "a.lock")]
    """
        % place,
        ["flock"],
        "flock:error=ENOLCK",
    )
    assert result == [False, None]


# ------------------------------------------------------------------ its file


def removing_flock(monkeypatch, path, times):
    """The lock's file is removed between the open and the flock, so many times."""
    real = fcntl.flock
    removed = []

    def flock(fd, how):
        if len(removed) < times:
            removed.append(os.fstat(fd).st_ino)
            os.unlink(path)
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)


def test_a_lock_on_a_file_that_was_removed_is_no_lock(directory, path, monkeypatch):
    removing_flock(monkeypatch, path, 1)
    with hold_lock(directory, NAME, 60, quiet):
        assert as_other_process(directory, is_held) is True


def test_a_lock_on_a_file_that_was_replaced_is_no_lock(directory, path, monkeypatch):
    """A holds the removed file, B has a new one: who waits must wait for B."""
    real = fcntl.flock
    others = []

    def flock(fd, how):
        if not others:
            os.unlink(path)
            others.append(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            real(others[0], fcntl.LOCK_EX)
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    refusal(directory, LockError)
    os.close(others[0])
    assert take(directory) is True


def test_a_file_that_is_removed_again_and_again_is_given_up(directory, path, monkeypatch):
    removing_flock(monkeypatch, path, 1000)
    assert "its file was removed just now" in str(refusal(directory, LockError))


def put_link(path):
    os.symlink(os.path.join(os.path.dirname(path), "victim"), path)


def put_file(mode):
    def put(path):
        with open(path, "w"):
            os.chmod(path, mode)

    return put


@pytest.mark.parametrize(
    "put, words",
    [
        (put_link, "is a symbolic link"),
        (os.mkfifo, "is not a regular file (p"),
        (put_file(0o620), "can be written by others"),
        (put_file(0o602), "can be written by others"),
    ],
)
def test_what_is_not_our_lock_is_refused(directory, path, put, words):
    put(path)
    error = refusal(directory)
    assert "lock %s" % path in str(error) and words in str(error) and "expected our own file" in str(error)
    assert (error.errno, error.path) == (errno.EPERM, path)
    assert "remove it" in error.hint
    assert not os.path.exists(os.path.join(os.path.dirname(path), "victim")), "the link was followed"


def test_a_directory_in_its_place(directory, path):
    os.mkdir(path)
    assert refusal(directory).errno == errno.EISDIR


@needs_root
def test_the_lock_of_another_user_is_refused(directory, path):
    take(directory)
    os.chown(path, NOBODY, NOBODY)
    assert "belongs to or can be written by others (%s, -rw-------)" % account_text(os.stat(path)) in str(
        refusal(directory)
    )


def test_a_lock_that_may_not_be_opened(directory, place, path):
    """As a plain user sees that of root, whoever runs this."""
    take(directory)
    os.chmod(path, 0)

    def attempt():
        with open_trusted_directory(place, "base_dir", trusted_owners(os.stat(place).st_uid), None) as opened:
            refused = refusal(opened)
            return refused.errno, refused.path, refused.hint, is_held(opened, NAME)

    number, where, hint, held = as_plain_user(attempt)
    assert (number, where, held) == (errno.EACCES, path, None)
    assert "run as a user who may do this" in hint


@needs_root
def test_a_read_only_disk(place):
    with mounted_again(place, "ro"), open_trusted_directory(place, "base_dir", trusted_owners(), None) as directory:
        error = refusal(directory)
        assert is_held(directory, NAME) is False
    assert (error.errno, error.path) == (errno.EROFS, os.path.join(place, NAME))


def test_a_lock_that_cannot_be_looked_at(directory, path, monkeypatch):
    take(directory)

    def fstat(fd):
        raise OSError(errno.EIO, "x")

    with monkeypatch.context() as faulty:
        faulty.setattr(os, "fstat", fstat)
        error = refusal(directory)
        with pytest.raises(InstallError) as caught:
            is_held(directory, NAME)
    for found in (error, caught.value):
        assert (found.errno, found.path) == (errno.EIO, path)


def test_closing_it_never_hides_an_error_in_flight(directory, monkeypatch):
    real = os.close

    def close(fd):
        real(fd)
        raise OSError(errno.EIO, "x")

    with pytest.raises(ValueError, match="the first one"), monkeypatch.context() as faulty:
        with hold_lock(directory, NAME, 0, quiet):
            faulty.setattr(os, "close", close)
            raise ValueError("the first one")
    take(directory)


# ------------------------------------------------------------------ only looking


def test_a_link_in_its_place_is_not_looked_through(directory, place, path):
    with open(os.path.join(place, "elsewhere"), "w"):
        os.symlink("elsewhere", path)
    assert is_held(directory, NAME) is None


def test_a_look_creates_nothing(directory, path):
    assert is_held(directory, NAME) is False
    assert not os.path.exists(path)


def test_a_look_sees_another_holder_and_his_end(directory, path):
    with held_by_another(path):
        assert is_held(directory, NAME) is True
        assert is_held(directory, NAME) is True, "looking took it away"
    assert is_held(directory, NAME) is False
    assert take(directory) is True


def test_what_we_hold_ourselves_is_not_held_by_another(directory, path):
    with hold_lock(directory, NAME, 0, quiet):
        assert is_held(directory, NAME) is False
        assert as_other_process(directory, is_held) is True
    with held_by_another(path):
        assert is_held(directory, NAME) is True


def test_a_look_does_not_wait_for_a_pipe(directory, path):
    def ring(signum, frame):
        raise AssertionError("it waited for a writer")

    os.mkfifo(path)
    before = signal.signal(signal.SIGUSR1, ring)
    timer = threading.Timer(PATIENCE, strike, (signal.SIGUSR1,))
    timer.start()
    try:
        assert is_held(directory, NAME) is False
    finally:
        timer.cancel()
        timer.join()
        signal.signal(signal.SIGUSR1, before)


def test_whether_it_is_held_may_be_unknown(directory, path, monkeypatch):
    os.symlink("nowhere", path)
    assert is_held(directory, NAME) is None
    os.unlink(path)
    take(directory)
    fake_flock(monkeypatch, errno.ENOLCK)
    assert is_held(directory, NAME) is None


# ------------------------------------------------------------------ a lock that blocks


def test_a_try_that_blocks_is_broken_off(directory, path, monkeypatch):
    """As LOCK_NB may on NFS: the alarm ends it, and leaves neither its handler nor its timer behind."""
    real = fcntl.flock

    def flock(fd, how):
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 5, "it would wait for ever"
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        real(fd, how & ~fcntl.LOCK_NB)

    monkeypatch.setattr(fcntl, "flock", flock)

    def mine(signum, frame):
        pytest.fail("the alarm of the lock rang here")

    before = signal.signal(signal.SIGALRM, mine)
    signal.setitimer(signal.ITIMER_REAL, 3600)
    try:
        with held_by_another(path):
            refusal(directory, LockError)
        assert signal.getsignal(signal.SIGALRM) is mine
        left, _interval = signal.setitimer(signal.ITIMER_REAL, 0)
        assert 0 < left <= 3600, "the timer that ran before was lost"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.timeout(0)  # or that of pytest-timeout is running
def test_no_timer_is_left_running(directory):
    take(directory)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_beside_the_main_thread_it_works_without_an_alarm(directory, path):
    answers = []

    def work():
        answers.append(take(directory))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [True]


def test_a_lock_with_a_second_name_is_refused(directory, path):
    """What is written into it would be written into whatever file the other name belongs to."""
    with open(path + ".other", "w") as stream:
        stream.write("precious")
    os.chmod(path + ".other", 0o600)
    os.link(path + ".other", path)
    error = refusal(directory)
    assert "has 2 names" in str(error)
    with open(path + ".other") as stream:
        assert stream.read() == "precious"
