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
import time
import zipfile

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import InstallError, RunCheckError
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import processes
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.processes import count_tasks
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.signals import raise_on_signal
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import run_check
from support.system import (
    as_plain_user,
    children,
    in_child,
    lying_disk,
    mounted_again,
    needs_root,
    open_descriptors,
    open_folder,
    runs,
    strike,
    wait_until,
)

# The maker of executables needs no more than Python 3.6; the package around it needs much.
_TESTS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "..", "..")
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
def log(place):
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


def run(path, **settings):
    """The run check of what lies at a path."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return run_check.run_check(fd, path, **settings)
    finally:
        os.close(fd)


def refusal(path, **settings):
    with pytest.raises(RunCheckError) as caught:
        run(path, **settings)
    error = caught.value
    assert error.path == path and str(error).startswith("run check of %s: " % path)
    assert error.hint and "run_check: false" in error.hint or error.errno == errno.ETXTBSY
    return error


# ------------------------------------------------------------------ what it says of itself


@needs_elf
def test_a_real_program_says_its_version(log, leftovers):
    assert run(log(executables.terraform("1.13.4", NATIVE))) == "1.13.4"


@pytest.mark.parametrize(
    "output, said",
    [
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
        ("[" * 60000, "[" * 200),
    ],
)
def test_what_is_made_of_its_words(log, leftovers, place, output, said):
    with open(os.path.join(place, "words"), "w") as stream:
        stream.write(output)
    assert run(log("cat %s/words" % place)) == said


def test_words_that_are_not_utf8(log):
    assert run(log(r"printf 'T\377rraform'")) == "T\ufffdrraform"


def test_it_is_asked_for_its_version_as_json(log, place):
    run(log('echo "$@" >%s/arguments' % place))
    with open(os.path.join(place, "arguments")) as stream:
        assert stream.read() == "version -json\n"


# ------------------------------------------------------------------ what surrounds it


def test_its_environment_is_clean_and_its_directory_empty(log, place, leftovers, monkeypatch):
    for name in (
        "TF_LOG",
        "TF_CLI_ARGS",
        "TF_CLI_CONFIG_FILE",
        "TF_PLUGIN_CACHE_DIR",
        "TF_VAR_x",
        "HTTP_PROXY",
        "LD_PRELOAD",
        "AWS_SECRET_ACCESS_KEY",
        "CHECKPOINT_DISABLE",
    ):
        monkeypatch.setenv(name, "leaked")
    run(log("env >%s/env; pwd -P >%s/pwd; ls -A . >%s/ls; stat -c %%a . >%s/mode; cat >%s/input" % ((place,) * 5)))
    found = {}
    with open(os.path.join(place, "env")) as stream:
        for line in stream:
            name, _equals, value = line.rstrip("\n").partition("=")
            found[name] = value
    found = dict((name, value) for name, value in found.items() if name not in ("PWD", "SHLVL", "_", "OLDPWD"))
    with open(os.path.join(place, "pwd")) as stream:
        nowhere = stream.read().rstrip("\n")
    assert sorted(found) == ["CHECKPOINT_DISABLE", "GOMAXPROCS", "HOME", "LC_ALL", "PATH", "TMPDIR"]
    assert found["CHECKPOINT_DISABLE"] == "1"
    assert os.path.realpath(found["HOME"]) == os.path.realpath(found["TMPDIR"]) == nowhere
    assert nowhere != os.getcwd() and not os.path.exists(nowhere)
    for name, content in (("ls", ""), ("mode", "700\n"), ("input", "")):
        with open(os.path.join(place, name)) as stream:
            assert stream.read() == content


def test_what_it_leaves_in_its_directory_goes(log, leftovers):
    run(log("mkdir -p .terraform.d/sub && echo x >.terraform.d/sub/file"))


def test_it_inherits_no_descriptor(log, place):
    fd = os.open(place, os.O_RDONLY)
    os.set_inheritable(fd, True)
    run(log("ls -l /proc/self/fd >%s/listed" % place))
    os.close(fd)
    with open(os.path.join(place, "listed")) as stream:
        assert " %s\n" % place not in stream.read()


def test_no_descriptor_and_no_process_is_left(log):
    before = open_descriptors(), children()
    run(log("echo 1"))
    refusal(log("exit 1"))
    refusal(log("sleep 600"), time_limit=0.2)
    assert (open_descriptors(), children()) == before


# ------------------------------------------------------------------ it fails


@needs_elf
def test_its_exit_status_counts(log, leftovers):
    error = refusal(log(executables.terraform("1.13.4", NATIVE, exit_status=3)))
    assert "exit status 3, expected exit status 0" in str(error)
    assert "it said: {" in str(error)


@pytest.mark.parametrize(
    "script, words",
    [
        ("echo out; echo oh no >&2; echo more >&2; exit 1", "exit status 1, expected exit status 0; it said: oh no"),
        ("echo out; exit 1", "it said: out"),
        ("exit 1", "it said: nothing"),
        ("kill -SEGV $$", "ended by SIGSEGV, expected exit status 0"),
        ("kill -40 $$", "ended by signal 40, expected exit status 0"),
    ],
)
def test_how_it_ended_is_reported(log, leftovers, script, words):
    assert words in str(refusal(log(script)))


@needs_elf
def test_a_program_that_hangs_is_ended(log, leftovers):
    limit = Limit(7, lambda: True)
    error = refusal(log(executables.terraform("1.13.4", NATIVE, hang=True)), time_limit=limit)
    assert "no answer to version -json within 7 s" in str(error) and limit.asked


def test_what_a_hanging_program_started_is_ended_with_it(log, place):
    pid_file = os.path.join(place, "child")
    path = log("sleep 600 & echo $! >%s.part; mv %s.part %s; wait" % (pid_file, pid_file, pid_file))
    refusal(path, time_limit=Limit(60, lambda: os.path.exists(pid_file)))
    with open(pid_file) as stream:
        pid = int(stream.read())
    try:
        wait_until(lambda: not runs(pid), "the end of the grandchild")
    finally:
        if runs(pid):
            os.kill(pid, signal.SIGKILL)


def test_a_program_that_never_stops_talking_hangs_too(log, leftovers):
    assert "within" in str(refusal(log("while :; do echo talk; sleep 0.01; done"), time_limit=0.3))


def test_a_stop_ends_the_program_too(log, place, leftovers):
    pid_file = os.path.join(place, "pid")
    path = log("echo $$ >%s.part; mv %s.part %s; exec sleep 600" % (pid_file, pid_file, pid_file))

    def stop():
        wait_until(lambda: os.path.exists(pid_file))
        strike(signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(InstallError, match="stopped by SIGTERM"), raise_on_signal():
        run(path)
    thread.join()
    with open(pid_file) as stream, pytest.raises(ProcessLookupError):
        os.kill(int(stream.read()), 0)


def test_a_stop_while_it_starts_ends_it_too(log, leftovers, monkeypatch):
    """Between fork(2) and exec(2) nobody knows its number yet."""
    path = log("exec sleep 600")
    ours = os.getpid()

    def limits(uid):  # in the new process
        while True:  # again: Python may have seen to its signals just before it waits for this process
            os.kill(ours, signal.SIGTERM)
            time.sleep(0.1)

    monkeypatch.setattr(run_check, "_limits", limits)
    before = processes.find_children()
    with pytest.raises(InstallError, match="stopped by SIGTERM"), raise_on_signal():
        run(path)
    assert processes.find_children() == before


@pytest.mark.parametrize("owner", [None, pytest.param(4242, marks=needs_root)])
def test_what_a_killed_run_left_goes_later(log, place, monkeypatch, owner):
    os.mkdir(os.path.join(place, "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", os.path.join(place, "tmp"))
    os.chmod(tempfile.tempdir, 0o777)
    old = time.time() - 2 * 86400
    for name in ("terraform-run-check-old", "terraform-run-check-new", "other-old"):
        os.makedirs(os.path.join(tempfile.gettempdir(), name, "deep"))
        with open(os.path.join(tempfile.gettempdir(), name, "file"), "w") as stream:
            stream.write("x")
    os.symlink("other-old", os.path.join(tempfile.gettempdir(), "terraform-run-check-link"))
    for name in ("terraform-run-check-old", "other-old"):
        path = os.path.join(tempfile.gettempdir(), name)
        if owner:
            for each in (path, os.path.join(path, "deep"), os.path.join(path, "file")):
                os.chown(each, owner, owner)
        os.utime(path, (old, old))
    os.utime(os.path.join(tempfile.gettempdir(), "terraform-run-check-link"), (old, old), follow_symlinks=False)
    assert run(log("echo fine")) == "fine"
    left = sorted(os.listdir(tempfile.gettempdir()))
    assert left == ["other-old", "terraform-run-check-link", "terraform-run-check-new"]


def test_of_what_was_left_some_goes_each_time(log, leftovers):
    for number in range(5):
        path = os.path.join(tempfile.gettempdir(), "terraform-run-check-%d" % number)
        os.mkdir(path)
        os.utime(path, (1, 1))
    assert run(log("echo fine")) == "fine" and len(os.listdir(tempfile.gettempdir())) == 2
    assert run(log("echo fine")) == "fine" and not os.listdir(tempfile.gettempdir())


# ------------------------------------------------------------------ it takes what it gets


@pytest.mark.parametrize("redirection", ["", " >&2"])
def test_a_flood_is_cut_off(log, leftovers, monkeypatch, redirection):
    received = {}
    real = os.read

    def read(fd, size):
        before = received.get(fd, 0)
        assert before + size <= 65536
        data = real(fd, size)
        received[fd] = before + len(data)
        return data

    monkeypatch.setattr(os, "read", read)
    error = refusal(log("printf x%s; exec cat /dev/zero%s" % (redirection, redirection)))
    assert "it wrote 64 KiB or more" in str(error) and 65536 in received.values()


def test_less_than_a_flood_is_an_answer(log):
    assert run(log("head -c 65535 /dev/zero | tr '\\0' x; head -c 65535 /dev/zero >&2")) == "x" * 200


@pytest.mark.parametrize("status", [0, 1])
@pytest.mark.parametrize("begin", ["pass", "os.setpgid(0, 0)", "os.setsid()"])
def test_what_it_started_holds_nothing_and_is_ended_with_it(log, place, status, begin):
    """Also in another process group, or in a session of its own."""
    program = "import os, time; %s; print(os.getpid(), flush=True); time.sleep(600)" % begin
    path = log(
        "%s -Ic '%s' >%s/child &\nwhile ! [ -s %s/child ]; do sleep 0.01; done; exit %d"
        % (sys.executable, program, place, place, status)
    )
    if status:
        refusal(path)
    else:
        assert run(path) == "nothing"
    assert not runs(read_pid(place, "child"))


def test_the_answer_is_not_waited_for_beyond_the_end(log, place, monkeypatch):
    """Where what it started cannot be found, that goes on, and holds the pipes."""
    monkeypatch.setattr(processes, "find_children", set)
    path = log(
        '%s -Ic \'import os, time; os.setsid(); print(1, flush=True); open("%s/child", "w").write(str(os.getpid())); '
        "time.sleep(600)' &\nwhile ! [ -s %s/child ]; do sleep 0.01; done" % (sys.executable, place, place)
    )
    try:
        assert run(path) == "1"
    finally:
        os.kill(read_pid(place, "child"), signal.SIGKILL)
        os.waitpid(read_pid(place, "child"), 0)  # by now it is our child


@needs_root
def test_a_program_that_cannot_even_be_killed_is_left_behind(log, place, monkeypatch):
    """It waits for a file system that does not answer."""
    monkeypatch.setattr(processes, "_PATIENCE", 0.2)
    disk = os.path.join(place, "disk")
    os.mkdir(disk)
    with lying_disk(disk, 4242):
        error = refusal(log("exec cat %s/mute" % disk), owner=4242, time_limit=2)
    assert "no answer to version -json within 2 s" in str(error)
    os.wait()  # now it could be


def read_pid(place, name):
    with open(os.path.join(place, name)) as stream:
        return int(stream.read())


def await_end(pid):
    give_up = time.monotonic() + 30
    while runs(pid):
        assert time.monotonic() < give_up, "process %d lives on" % pid
        time.sleep(0.01)


def test_processor_time_is_limited(log, leftovers, monkeypatch):
    monkeypatch.setattr(run_check, "CPU_LIMIT", 1)
    error = refusal(log("while :; do :; done"))
    assert "ended by SIGXCPU" in str(error) and "processor time" in error.hint


def test_memory_is_limited(log):
    path = log(
        "exec %s -Ic 'import mmap\ntry: mmap.mmap(-1, 2 << 30, flags=mmap.MAP_PRIVATE)\n"
        'except OSError as exc: print(exc)\nelse: print("had")\'' % sys.executable
    )
    assert "Cannot allocate memory" in run(path)


def test_addresses_are_not_limited(log):
    """Go reserves many, and uses few."""
    path = log(
        "exec %s -Ic 'import mmap\nmmap.mmap(-1, 64 << 30, flags=mmap.MAP_PRIVATE, prot=0)\nprint(\"had\")'"
        % sys.executable
    )
    assert run(path) == "had"


def test_files_are_limited(log, leftovers):
    assert run(log("head -c 1048576 /dev/zero >big && echo fits")) == "fits"
    assert "ended by SIGXFSZ" in str(refusal(log("exec head -c 1048577 /dev/zero >big")))


def test_no_core_is_dumped(log):
    assert run(log("ulimit -c; ulimit -Hc")) == "0"


needs_counts = pytest.mark.skipif(count_tasks(0) is None, reason="in a container a user's processes cannot be counted")


@needs_root
@needs_counts
def test_a_fork_bomb_is_limited_and_ended(log, place, monkeypatch):
    monkeypatch.setattr(run_check, "TASK_LIMIT", 20)
    open(os.path.join(place, "pids"), "w").close()
    os.chmod(os.path.join(place, "pids"), 0o666)
    path = log("n=0; while [ $n -lt 200 ]; do n=$((n+1)); sleep 600 & echo $! >>%s/pids; done" % place)
    error = refusal(path, owner=4242)
    assert "fork" in str(error) or "within" in str(error)
    with open(os.path.join(place, "pids")) as stream:
        pids = [int(line) for line in stream if line.strip()]
    assert 0 < len(set(pids)) <= 20
    for pid in pids:
        await_end(pid)


@needs_counts
def test_what_its_user_has_besides_does_not_count(log, place, monkeypatch):
    monkeypatch.setattr(run_check, "TASK_LIMIT", 20)
    monkeypatch.setattr(tempfile, "tempdir", place)
    os.chmod(place, 0o777)
    path = log("echo $(sleep 0; echo 1)")  # which takes processes of its own

    def attempt():
        others = [subprocess.Popen(["sleep", "600"]) for dummy in range(30)]
        try:
            return run(path)
        finally:
            for other in others:
                other.kill()
                other.wait()

    assert as_plain_user(attempt) == "1"


def test_a_lower_limit_that_holds_already_stays(log, place, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", place)
    os.chmod(place, 0o777)
    path = log("echo $(ulimit -f) $(ulimit -t) $(ulimit -Hf)")

    def attempt():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 8192))
        resource.setrlimit(resource.RLIMIT_CPU, (7, 7))
        return run(path)

    assert as_plain_user(attempt) == "16 7 16"


def test_the_genuine_binary_starts_within_the_limits(genuine_site, tmp_path):
    archives = [
        os.path.join(folder, name)
        for folder, _folders, names in os.walk(genuine_site)
        for name in names
        if name.endswith("_%s.zip" % NATIVE)
    ]
    if not archives:
        pytest.skip("no genuine release for %s in %s" % (NATIVE, genuine_site))
    with zipfile.ZipFile(archives[0]) as archive:
        path = archive.extract("terraform", str(tmp_path))
    os.chmod(path, 0o755)
    assert run(path) == "1.11.4"


# ------------------------------------------------------------------ it cannot be started


def test_a_file_that_is_no_program_for_anybody(log, leftovers):
    error = refusal(log("echo 1", mode=0o644))
    assert error.errno == errno.EACCES and "it cannot be started: Permission denied (EACCES)" in str(error)
    assert "noexec" in error.hint and "fapolicyd" in error.hint and "SELinux" in error.hint


@needs_root
def test_a_disk_that_lets_nothing_run(log, place):
    path = log("echo 1")
    with mounted_again(place, "noexec"):
        error = refusal(path)
    assert error.errno == errno.EACCES and "noexec" in error.hint


def test_a_file_of_no_known_format(log, leftovers):
    error = refusal(log(b"\x7fNOT an executable\n"))
    assert error.errno == errno.ENOEXEC and "platform" in error.hint


@needs_elf
def test_the_binary_of_another_platform(log, leftovers):
    error = refusal(log(executables.terraform("1.13.4", FOREIGN)))
    assert error.errno == errno.ENOEXEC and "platform" in error.hint


def test_a_file_without_its_interpreter(log, leftovers):
    error = refusal(log(b"#!/nowhere/at/all\n"))
    assert error.errno == errno.ENOENT and "platform" in error.hint


def test_however_few_files_it_may_open_it_says_so(log, place, monkeypatch):
    path = log("echo 1")
    tmp = os.path.join(place, "tmp")
    os.mkdir(tmp)
    monkeypatch.setattr(tempfile, "tempdir", tmp)
    fd = os.open(path, os.O_RDONLY)

    def attempt():
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + failed, free + failed))
        return run_check.run_check(fd, path)

    failed = 0
    while failed < 100:
        try:
            assert in_child(attempt) == "1"
            break
        except RunCheckError as error:
            assert error.errno in (errno.EMFILE, None) and error.path == path and error.hint
            failed += 1
    os.close(fd)
    assert 3 < failed < 100


def test_no_process_to_be_had_names_the_limit(log, place, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", place)
    os.chmod(place, 0o777)
    path = log("echo 1")

    def attempt():
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        run(path)

    with pytest.raises(RunCheckError) as caught:
        as_plain_user(attempt)
    assert caught.value.errno == errno.EAGAIN
    assert "cannot be started: Resource temporarily unavailable (EAGAIN) (ulimit -u 1" in str(caught.value)
    assert "--pids-limit" in caught.value.hint and "run_check: false" in caught.value.hint


@needs_elf
def test_a_file_that_is_still_being_written_is_waited_for(log, clock):
    path = log(executables.terraform("1.13.4", NATIVE))
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
def test_a_file_that_stays_open_for_writing(log, clock, leftovers):
    path = log(executables.terraform("1.13.4", NATIVE))
    with open(path, "r+b"):
        error = refusal(path)
    assert error.errno == errno.ETXTBSY and "for writing" in error.hint
    assert sum(clock.slept) == pytest.approx(5, abs=0.2)
    assert run(path) == "1.13.4"


# ------------------------------------------------------------------ no room for the check itself


def test_no_directory_for_temporary_files(log, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    path = log("echo 1")
    with pytest.raises(RunCheckError) as caught:
        run(path)
    assert caught.value.errno == errno.ENOENT and caught.value.path == path
    assert "make an empty directory for the run check of %s" % path in str(caught.value)
    assert "TMPDIR" in caught.value.hint and "platform" not in caught.value.hint


def test_a_directory_that_cannot_be_taken_away_hides_nothing(log, place, monkeypatch):
    """The program passes the check, and leaves a directory that a plain user cannot empty without changing its mode."""
    tmp = os.path.join(place, "tmp")
    os.mkdir(tmp)
    os.chmod(tmp, 0o777)
    monkeypatch.setattr(tempfile, "tempdir", tmp)
    path = log('mkdir closed && touch closed/file && chmod 000 closed; echo \'{"terraform_version": "1.9.8"}\'')
    assert as_plain_user(lambda: run(path)) == "1.9.8"
    (left,) = os.listdir(tmp)
    os.chmod(os.path.join(tmp, left, "closed"), 0o700)


def test_directories_however_deep_hide_nothing(log, leftovers):
    """Deeper than Python may recurse when it removes them."""
    path = log('%s -Ic \'import os\nfor step in range(1500): os.mkdir("d"); os.chdir("d")\'; echo 1' % sys.executable)
    assert run(path) == "1"
    for left in leftovers():
        subprocess.check_call(["rm", "-rf", os.path.join(tempfile.tempdir, left)])


# ------------------------------------------------------------------ what is started, and as whom


@pytest.mark.parametrize(
    "program",
    ["echo opened", pytest.param(NATIVE and executables.terraform("opened", NATIVE), marks=needs_elf)],
    ids=["script", "elf"],
)
def test_what_was_opened_is_started_whatever_lies_under_its_path_by_then(log, place, program):
    path = log(program)
    fd = os.open(path, os.O_RDONLY)
    os.rename(path, path + ".old")
    log("echo exchanged; touch %s/mark" % place)
    assert run_check.run_check(fd, path) == "opened"
    os.unlink(path)
    os.unlink(path + ".old")
    assert run_check.run_check(fd, path) == "opened"
    os.close(fd)
    assert os.listdir(place) == []


def test_a_system_without_proc_starts_the_path_unless_others_could_exchange_it(log, monkeypatch, leftovers):
    """As macOS."""
    path = log('echo "$0"')
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    assert run(path) == path
    error = refusal(path, unsafe=True)
    assert "without /proc" in str(error)
    monkeypatch.undo()
    assert run(path, unsafe=True).startswith("/proc/self/fd/")


@needs_root
def test_root_runs_a_binary_of_another_user_as_that_user(log):
    """Its owner could put other bytes into it after it was hashed: root must not run those."""
    path = log('touch it && echo "$(id -u) $(id -g) $(id -G) $(ls -A)"')
    os.chown(path, 4242, 4242)
    assert run(path) == "4242 4242 4242 it"
    daemon = pwd.getpwnam("daemon")
    os.chown(path, daemon.pw_uid, 0)
    assert run(path) == "%d %d %d it" % (daemon.pw_uid, daemon.pw_gid, daemon.pw_gid)


@needs_root
def test_the_owner_asked_for_runs_it_whoever_it_belongs_to(log):
    path = log("id -u")
    assert run(path, owner=4242) == "4242"
    os.chown(path, 4242, 4242)
    assert run(path, owner=4243) == "4243"
    assert run(path, owner=0) == "0"


@needs_root
def test_what_its_owner_may_not_start_is_not_started_as_root_instead(log):
    path = log("id -u", mode=0o700)
    assert refusal(path, owner=4242).errno == errno.EACCES


@needs_root
def test_there_is_no_way_back_to_root(log):
    """Neither by the saved ids nor by a group."""
    path = log("grep -E '^(Uid|Gid|Groups|CapPrm|CapEff|CapAmb):' /proc/self/status | tr -s '\\t\\n' '  '")

    def attempt():
        os.setgroups([0, 5])
        return run(path, owner=4242)

    assert in_child(attempt) == (
        "Uid: 4242 4242 4242 4242 Gid: 4242 4242 4242 4242 Groups: CapPrm: 0000000000000000 CapEff: 0000000000000000 "
        "CapAmb: 0000000000000000"
    )


@needs_root
def test_the_empty_directory_is_given_away_by_descriptor(log, place, monkeypatch):
    """Where TMPDIR is another's, a link may lie in its place by then."""
    path, there = log("echo 1"), os.path.join(place, "there")
    os.mkdir(there)
    os.symlink(there, os.path.join(place, "link"))
    monkeypatch.setattr(tempfile, "mkdtemp", lambda prefix: os.path.join(place, "link"))
    with pytest.raises(RunCheckError) as caught:
        run(path, owner=4242)
    assert caught.value.errno == errno.ENOTDIR and os.stat(there).st_uid == 0


@pytest.fixture
def exchanged(place, monkeypatch):
    """As soon as the empty directory is its owner's, a link to one that is root's alone lies in its place: (both paths)."""
    hidden, was = os.path.join(place, "hidden"), os.path.join(place, "was")
    real, made = os.fchown, []
    os.mkdir(hidden, 0o700)
    mkdtemp = tempfile.mkdtemp

    def make(prefix):
        made.append(mkdtemp(prefix=prefix, dir=place))
        return made[-1]

    def give(fd, uid, gid):
        real(fd, uid, gid)
        os.rename(made[-1], was)
        os.symlink(hidden, made[-1])
        for folder in (hidden, was):
            os.mkdir(os.path.join(folder, "of root"), 0o700)

    monkeypatch.setattr(tempfile, "mkdtemp", make)
    monkeypatch.setattr(os, "fchown", give)
    return hidden, was


@needs_root
def test_it_runs_in_the_directory_that_was_made_whatever_lies_under_that_path(log, exchanged):
    hidden, was = exchanged
    assert run(log("stat -Lc %i ."), owner=4242) == str(os.stat(was).st_ino) != str(os.stat(hidden).st_ino)


@needs_root
def test_its_owner_empties_it_and_not_root(log, exchanged):
    hidden, was = exchanged
    assert run(log("echo 1"), owner=4242) == "1"
    assert os.listdir(hidden) == os.listdir(was) == ["of root"]


@needs_root
def test_root_removes_nothing_that_its_owner_could_not(log, place, monkeypatch):
    """Of a directory of root's with something in it, say, that was moved there."""
    real, made = os.fchown, []

    def give(fd, uid, gid):
        real(fd, uid, gid)
        os.makedirs(os.path.join(made[-1], "of root", "in it"), 0o700)

    def make(prefix):
        made.append(os.path.join(place, prefix + "x"))
        os.mkdir(made[-1], 0o700)
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", make)
    monkeypatch.setattr(os, "fchown", give)
    assert run(log("echo 1"), owner=4242) == "1" and os.path.isdir(os.path.join(made[-1], "of root", "in it"))


@needs_root
def test_what_another_leaves_in_its_directory_goes(log, place, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", place)
    os.chmod(place, 0o1777)
    before = set(os.listdir(place))
    path = log("mkdir -p a/b; echo x > a/b/c; mkfifo pipe; pwd")
    assert run(path, owner=4242).startswith(place) and set(os.listdir(place)) == before | {os.path.basename(path)}


@needs_root
def test_keys_of_root_are_out_of_reach(log):
    """Possession outlives setuid(2): see keyrings(7)."""
    numbers = {"x86_64": (248, 250), "aarch64": (217, 219)}.get(os.uname().machine)
    if numbers is None or not os.path.exists("/proc/keys"):
        pytest.skip("no keys on this machine, or their system calls are not known")

    def attempt():
        syscall = ctypes.CDLL(None, use_errno=True).syscall
        syscall.restype = ctypes.c_long
        if syscall(numbers[1], 1, None) < 0 or syscall(numbers[0], b"user", b"of-root", b"secret", 6, -3) < 0:
            return "none"
        return (
            run(log("grep of-root /proc/keys | wc -l"), owner=4242)
            if open("/proc/keys").read().count("of-root")
            else "none"
        )

    found = in_child(attempt)
    if found == "none":
        pytest.skip("no keys may be made here")
    assert found == "0"


@needs_root
def test_root_runs_its_own_binary_as_root(log):
    assert run(log("id -u")) == "0"


@needs_root
def test_a_process_that_may_not_become_another_user(log):
    path = log("id -u")
    os.chown(path, 4242, 4242)

    def attempt():
        libc = ctypes.CDLL(None, use_errno=True)
        header, sets = struct.pack("<Ii", 0x20080522, 0), ctypes.create_string_buffer(24)  # capget(2)
        assert libc.capget(header, sets) == 0
        words = list(struct.unpack("<6I", sets.raw))
        words[0] &= ~(1 << 7)  # CAP_SETUID is no longer effective
        assert libc.capset(header, struct.pack("<6I", *words)) == 0
        run(path)

    with pytest.raises(RunCheckError) as caught:
        in_child(attempt)
    assert "cannot set limits or cannot become user 4242, its owner" in str(caught.value) and caught.value.hint


def test_an_exit_status_counts_beside_the_main_thread(log):
    caught = []

    def work():
        try:
            run(path)
        except RunCheckError as exc:
            caught.append(str(exc))

    path = log("exit 3")
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "exit status 3" in caught[0]


def test_an_exit_status_counts_where_the_parent_ignored_sigchld(log):
    """The kernel then forgets the status of a child, and subprocess takes an unknown one for 0."""
    path = log("exit 3")
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(RunCheckError) as caught:
            run(path)
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert "exit status 3" in str(caught.value)
