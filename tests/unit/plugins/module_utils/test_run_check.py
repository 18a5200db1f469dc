# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smoke test of a binary, with real programs: good ones, failing, hanging, silent, busy and forbidden ones."""

import ctypes
import errno
import importlib.util
import os
import platform
import pwd
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import threading

import pytest

from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import InstallError, RunCheckError
from ansible_collections.iac_platform.terraform.plugins.module_utils._interrupts import stoppable
from ansible_collections.iac_platform.terraform.plugins.module_utils._run_check import run
from this_host import (
    as_plain_user, in_child, mounted_again, needs_root, open_descriptors, open_folder, runs, strike, wait_until)

# The maker of executables needs no more than Python 3.6; the package around it needs much.
_TESTS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "..")
_SPEC = importlib.util.spec_from_file_location("executables", os.path.join(_TESTS, "release_site", "executables.py"))
executables = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(executables)

NATIVE = {"x86_64": "linux_amd64", "aarch64": "linux_arm64"}.get(platform.machine())
FOREIGN = {"linux_amd64": "linux_s390x", "linux_arm64": "linux_s390x"}.get(NATIVE)
needs_elf = pytest.mark.skipif(sys.platform != "linux" or NATIVE is None, reason="no ELF file to run here")


@pytest.fixture
def place():
    with open_folder() as folder:
        yield folder


@pytest.fixture
def say(place):
    """A maker of programs: shell scripts with these lines, or an ELF file of these bytes; the path of the program."""
    def write(program, mode=0o755):
        path = os.path.join(place, "terraform")
        data = program if isinstance(program, bytes) else ("#!/bin/sh\n%s\n" % program).encode()
        with open(path, "wb") as stream:
            stream.write(data)
        os.chmod(path, mode)
        return path
    return write


@pytest.fixture
def leftovers(monkeypatch, tmp_path):
    """Where the run check makes its empty directory, and whether it takes it away again."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield lambda: os.listdir(str(folder))
    assert os.listdir(str(folder)) == []


class Limit(float):
    """A time limit that is over as soon as a condition is true: it is asked when the limit is added to the time."""

    def __new__(cls, seconds, condition):
        made = super().__new__(cls, seconds)
        made.condition, made.asked = condition, False
        return made

    def __radd__(self, now):
        wait_until(self.condition)
        self.asked = True
        return now


def refusal(path, **settings):
    with pytest.raises(RunCheckError) as caught:
        run(path, **settings)
    error = caught.value
    assert error.path == path and str(error).startswith("run check of %s: " % path)
    assert error.hint and "run_check: false" in error.hint or error.errno == errno.ETXTBSY
    return error


# ------------------------------------------------------------------ what it says of itself

@needs_elf
def test_a_real_program_says_its_version(say, leftovers):
    assert run(say(executables.terraform("1.13.4", NATIVE))) == "1.13.4"


@pytest.mark.parametrize("output, said", [
    ('{"terraform_version": "1.9.8", "platform": "linux_amd64"}', "1.9.8"),
    ("Terraform v0.11.15\n\nYour version of Terraform is out of date!", "Terraform v0.11.15"),
    ("{", "{"),
    ("[1, 2]", "[1, 2]"),
    ("null", "null"),
    ('{"terraform_version": null}', '{"terraform_version": null}'),
    ('{"terraform_version": ""}', '{"terraform_version": ""}'),
    ('{"terraform_version": {"major": 1}}', '{"terraform_version": {"major": 1}}'),
    ('{"terraform_version": "1\\n2\\u001b[2J"}', "1?2?[2J"),
    ("\x1b[31mred", "?[31mred"),
    ("", "nothing"),
    ("\n \n", "nothing"),
    ("x" * 300, "x" * 200),
    ('{"terraform_version": "%s"}' % ("9" * 300), "9" * 200),
    ("[" * 100000, "[" * 200),
])
def test_what_is_made_of_its_words(say, leftovers, place, output, said):
    with open(os.path.join(place, "words"), "w") as stream:
        stream.write(output)
    assert run(say("cat %s/words" % place)) == said


def test_words_that_are_not_utf8(say):
    assert run(say(r"printf 'T\377rraform'")) == "T\ufffdrraform"


def test_it_is_asked_for_its_version_as_json(say, place):
    run(say('echo "$@" >%s/arguments' % place))
    with open(os.path.join(place, "arguments")) as stream:
        assert stream.read() == "version -json\n"


# ------------------------------------------------------------------ what surrounds it

def test_its_environment_is_clean_and_its_directory_empty(say, place, leftovers, monkeypatch):
    for name in ("TF_LOG", "TF_CLI_ARGS", "TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR", "TF_VAR_x", "HTTP_PROXY",
                 "LD_PRELOAD", "AWS_SECRET_ACCESS_KEY", "CHECKPOINT_DISABLE"):
        monkeypatch.setenv(name, "leaked")
    run(say("env >%s/env; pwd -P >%s/pwd; ls -A . >%s/ls; stat -c %%a . >%s/mode; cat >%s/input" % ((place,) * 5)))
    found = {}
    with open(os.path.join(place, "env")) as stream:
        for line in stream:
            name, _equals, value = line.rstrip("\n").partition("=")
            found[name] = value
    found = dict((name, value) for name, value in found.items() if name not in ("PWD", "SHLVL", "_", "OLDPWD"))
    with open(os.path.join(place, "pwd")) as stream:
        nowhere = stream.read().rstrip("\n")
    assert sorted(found) == ["CHECKPOINT_DISABLE", "HOME", "LC_ALL", "PATH", "TMPDIR"]
    assert found["CHECKPOINT_DISABLE"] == "1"
    assert os.path.realpath(found["HOME"]) == os.path.realpath(found["TMPDIR"]) == nowhere
    assert nowhere != os.getcwd() and not os.path.exists(nowhere)
    for name, content in (("ls", ""), ("mode", "700\n"), ("input", "")):
        with open(os.path.join(place, name)) as stream:
            assert stream.read() == content


def test_what_it_leaves_in_its_directory_goes(say, leftovers):
    run(say("mkdir -p .terraform.d/sub && echo x >.terraform.d/sub/file"))


def test_it_inherits_no_descriptor(say, place):
    fd = os.open(place, os.O_RDONLY)
    os.set_inheritable(fd, True)
    run(say("ls -l /proc/self/fd >%s/listed" % place))
    os.close(fd)
    with open(os.path.join(place, "listed")) as stream:
        assert " %s\n" % place not in stream.read()


def test_no_descriptor_and_no_process_is_left(say):
    before = open_descriptors()
    run(say("echo 1"))
    refusal(say("exit 1"))
    refusal(say("sleep 600"), time_limit=0.2)
    assert open_descriptors() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


# ------------------------------------------------------------------ it fails

@needs_elf
def test_its_exit_status_counts(say, leftovers):
    error = refusal(say(executables.terraform("1.13.4", NATIVE, exit_status=3)))
    assert "exit status 3, expected exit status 0" in str(error)
    assert "it said: {" in str(error)


@pytest.mark.parametrize("script, words", [
    ("echo out; echo oh no >&2; echo more >&2; exit 1", "exit status 1, expected exit status 0; it said: oh no"),
    ("echo out; exit 1", "it said: out"),
    ("exit 1", "it said: nothing"),
    ("kill -SEGV $$", "ended by SIGSEGV, expected exit status 0"),
    ("kill -40 $$", "ended by signal 40, expected exit status 0"),
])
def test_how_it_ended_is_told(say, leftovers, script, words):
    assert words in str(refusal(say(script)))


@needs_elf
def test_a_program_that_hangs_is_ended(say, leftovers):
    limit = Limit(7, lambda: True)
    error = refusal(say(executables.terraform("1.13.4", NATIVE, hang=True)), time_limit=limit)
    assert "no answer to version -json within 7 s" in str(error) and limit.asked


def test_what_a_hanging_program_started_is_ended_with_it(say, place):
    pid_file = os.path.join(place, "child")
    path = say("sleep 600 & echo $! >%s.part; mv %s.part %s; wait" % (pid_file, pid_file, pid_file))
    refusal(path, time_limit=Limit(60, lambda: os.path.exists(pid_file)))
    with open(pid_file) as stream:
        pid = int(stream.read())
    try:
        wait_until(lambda: not runs(pid), "the end of the grandchild")
    finally:
        if runs(pid):
            os.kill(pid, signal.SIGKILL)


def test_a_program_that_never_stops_talking_hangs_too(say, leftovers):
    assert "within" in str(refusal(say("while :; do echo talk; sleep 0.01; done"), time_limit=0.3))


def test_a_stop_ends_the_program_too(say, place, leftovers):
    pid_file = os.path.join(place, "pid")
    path = say("echo $$ >%s.part; mv %s.part %s; exec sleep 600" % (pid_file, pid_file, pid_file))

    def stop():
        wait_until(lambda: os.path.exists(pid_file))
        strike(signal.SIGTERM)
    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(InstallError, match="stopped by SIGTERM"), stoppable():
        run(path)
    thread.join()
    with open(pid_file) as stream, pytest.raises(ProcessLookupError):
        os.kill(int(stream.read()), 0)


def test_a_stop_while_it_is_started_ends_it_too(say, leftovers, monkeypatch):
    """Nobody knows its number yet."""
    begun = []

    class Popen(subprocess.Popen):
        def __init__(self, *arguments, **settings):
            super().__init__(*arguments, **settings)
            begun.append(self.pid)
            strike(signal.SIGTERM)
    path = say("exec sleep 600")
    monkeypatch.setattr(subprocess, "Popen", Popen)
    with pytest.raises(InstallError, match="stopped by SIGTERM"), stoppable():
        run(path)
    (pid,) = begun
    if runs(pid):
        os.kill(pid, signal.SIGKILL)
        pytest.fail("it lives on")
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


# ------------------------------------------------------------------ it cannot be started

def test_a_file_that_is_no_program_for_anybody(say, leftovers):
    error = refusal(say("echo 1", mode=0o644))
    assert error.errno == errno.EACCES and "it cannot be started: Permission denied (EACCES)" in str(error)
    assert "noexec" in error.hint and "fapolicyd" in error.hint and "SELinux" in error.hint


@needs_root
def test_a_disk_that_lets_nothing_run(say, place):
    path = say("echo 1")
    with mounted_again(place, "noexec"):
        error = refusal(path)
    assert error.errno == errno.EACCES and "noexec" in error.hint


def test_a_file_of_no_known_format(say, leftovers):
    error = refusal(say(b"\x7fNOT an executable\n"))
    assert error.errno == errno.ENOEXEC and "platform" in error.hint


@needs_elf
def test_the_binary_of_another_platform(say, leftovers):
    error = refusal(say(executables.terraform("1.13.4", FOREIGN)))
    assert error.errno == errno.ENOEXEC and "platform" in error.hint


def test_a_file_that_is_not_there(place, leftovers):
    assert refusal(os.path.join(place, "terraform")).errno == errno.ENOENT


def test_no_room_for_another_process(say, place, monkeypatch):
    path = say("echo 1")
    monkeypatch.setattr(tempfile, "tempdir", place)

    def attempt():
        resource.setrlimit(resource.RLIMIT_NOFILE, (5, 5))
        run(path)
    with pytest.raises(RunCheckError) as caught:
        in_child(attempt)
    assert caught.value.errno == errno.EMFILE


@needs_elf
def test_a_file_that_is_still_being_written_is_waited_for(say, clock):
    path = say(executables.terraform("1.13.4", NATIVE))
    writer = os.open(path, os.O_WRONLY)
    tried = []
    real = subprocess.Popen

    class Popen(real):
        def __init__(self, *arguments, **settings):
            try:
                super().__init__(*arguments, **settings)
            except OSError as exc:
                tried.append(exc.errno)
                if len(tried) == 2:
                    os.close(writer)
                raise
    subprocess.Popen = Popen
    try:
        assert run(path) == "1.13.4"
    finally:
        subprocess.Popen = real
    assert tried == [errno.ETXTBSY, errno.ETXTBSY] and clock.slept == [0.1, 0.1]


@needs_elf
def test_a_file_that_stays_open_for_writing(say, clock, leftovers):
    path = say(executables.terraform("1.13.4", NATIVE))
    with open(path, "r+b"):
        error = refusal(path)
    assert error.errno == errno.ETXTBSY and "for writing" in error.hint
    assert sum(clock.slept) == pytest.approx(5, abs=0.2)
    assert run(path) == "1.13.4"


# ------------------------------------------------------------------ no room for the check itself

def test_no_directory_for_temporary_files(say, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    path = say("echo 1")
    with pytest.raises(RunCheckError) as caught:
        run(path)
    assert caught.value.errno == errno.ENOENT and caught.value.path == path
    assert "make an empty directory for the run check of %s" % path in str(caught.value)
    assert "TMPDIR" in caught.value.hint and "platform" not in caught.value.hint


def test_a_directory_that_cannot_be_taken_away_hides_nothing(say, place, monkeypatch):
    """The program passes the check, and leaves a directory that a plain user cannot empty without changing its mode."""
    tmp = os.path.join(place, "tmp")
    os.mkdir(tmp)
    os.chmod(tmp, 0o777)
    monkeypatch.setattr(tempfile, "tempdir", tmp)
    path = say("mkdir closed && touch closed/file && chmod 000 closed; echo '{\"terraform_version\": \"1.9.8\"}'")
    assert as_plain_user(lambda: run(path)) == "1.9.8"
    (left,) = os.listdir(tmp)
    os.chmod(os.path.join(tmp, left, "closed"), 0o700)


@needs_root
def test_root_runs_a_binary_of_another_user_as_that_user(say):
    """Its owner could put other bytes into it after it was hashed: root must not run those."""
    path = say('touch it && echo "$(id -u) $(id -g) $(id -G) $(ls -A)"')
    os.chown(path, 4242, 4242)
    assert run(path) == "4242 4242 4242 it"
    daemon = pwd.getpwnam("daemon")
    os.chown(path, daemon.pw_uid, 0)
    assert run(path) == "%d %d %d it" % (daemon.pw_uid, daemon.pw_gid, daemon.pw_gid)


@needs_root
def test_root_runs_its_own_binary_as_root(say):
    assert run(say("id -u")) == "0"


@needs_root
def test_a_process_that_may_not_become_another_user(say):
    path = say("id -u")
    os.chown(path, 4242, 4242)

    def attempt():
        libc = ctypes.CDLL(None, use_errno=True)
        header, sets = struct.pack("<Ii", 0x20080522, 0), ctypes.create_string_buffer(24)      # capget(2)
        assert libc.capget(header, sets) == 0
        words = list(struct.unpack("<6I", sets.raw))
        words[0] &= ~(1 << 7)       # CAP_SETUID is no longer effective
        assert libc.capset(header, struct.pack("<6I", *words)) == 0
        run(path)
    with pytest.raises(RunCheckError) as caught:
        in_child(attempt)
    assert "cannot become uid 4242, its owner" in str(caught.value) and caught.value.hint


def test_an_exit_status_counts_beside_the_main_thread(say):
    caught = []

    def work():
        try:
            run(path)
        except RunCheckError as exc:
            caught.append(str(exc))
    path = say("exit 3")
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "exit status 3" in caught[0]


def test_an_exit_status_counts_where_the_parent_ignored_sigchld(say):
    """The kernel then forgets the status of a child, and subprocess takes an unknown one for 0."""
    path = say("exit 3")
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(RunCheckError) as caught:
            run(path)
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert "exit status 3" in str(caught.value)
