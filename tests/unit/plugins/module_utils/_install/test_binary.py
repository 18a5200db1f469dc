# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The binary's own file: the order of its renames under real faults, and what happens to it while it is being repaired.

The faults are injected by strace into a child process: a rename that fails, that kills, and that says 0 and does nothing.
"""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import apply
from support.system import NOBODY, find_strace, finished, needs_root, strike

RENAMES = "?rename,?renameat,?renameat2"  # which of them Python calls depends on the machine
# In the child the files of module_utils are a package of their own: no collection loader is needed to find them.
CHILD = """
import json, sys
sys.path.insert(0, sys.argv[1])
from module_utils import _argument_spec, _errors, _source
from module_utils._install import apply, plan
from module_utils._request import parse
params = dict((key, spec.get("default")) for key, spec in _argument_spec.SPEC.items())
params.update(json.loads(sys.argv[2]))
request = parse.parse_request(params, lambda: params["platform"])
say = lambda line, warning=False: None
try:
    planned = plan.make_plan(request, frozenset())
    outcome = apply.apply_plan(planned, frozenset(), _source.Source(request, say, None), say)
    print(json.dumps({"changed": outcome.changed, "error": None}))
except _errors.TerraformBinaryError as exc:
    print(json.dumps({"changed": exc.changed, "error": str(exc), "errno": exc.errno, "path": exc.path}))
"""


def renames(trace):
    """The renames below the store, in order: pairs of what was renamed to what."""
    lines = [line for line in trace.splitlines() if ".tmp." in line and ("rename" in line)]
    return [line.split('"')[1::2] for line in lines]


@pytest.fixture
def strace(tmp_path_factory):
    """Run an install in a child: callable(host, fault) -> (what it answered or None when it was killed, the trace)."""
    program, reason = find_strace()
    if program is None:
        pytest.skip(reason)
    trace = str(tmp_path_factory.mktemp("strace") / "trace")

    def run(host, fault=None):
        options = dict(host.defaults, version="1.13.4", base_dir=host.base_dir)
        command = [program, "-f", "-o", trace, "-e", "trace=%s" % RENAMES]
        if not (fault and fault.startswith("signal")):
            command += ["--seccomp-bpf"]  # quicker, but strace 6.1 then injects no signals
        if fault:
            command += ["-e", "inject=%s:%s" % (RENAMES, fault)]
        parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(apply.__file__))))
        command += [sys.executable, "-c", CHILD, parent, json.dumps(options)]
        output = finished(command, stdout=subprocess.PIPE).stdout.decode("utf-8").strip().splitlines()
        with open(trace) as file:
            reported = file.read()
        assert fault is None or "(INJECTED)" in reported or "SIGKILL" in reported, "the fault did not fire"
        return json.loads(output[-1]) if output else None, reported

    return run


@pytest.fixture(params=["nothing", "damaged"])
def before(request, host):
    """A host with nothing installed, and one with an older, damaged binary."""
    host.defaults = host.offer()
    if request.param == "damaged":
        host.run()
        host.flip(host.binary())
    host.old = host.picture().get("store/1.13.4/terraform")
    return host


def assert_heals(host):
    """A clean run succeeds, and the one after it has nothing to do."""
    host.run()
    host.assert_right()
    assert not host.run()["changed"]


def test_the_receipt_is_renamed_before_the_binary(before, strace):
    answer, trace = strace(before)
    assert answer == {"changed": True, "error": None}
    assert [pair[1] for pair in renames(trace)] == ["terraform.json", "terraform", "terraform.json"]
    before.assert_right()


@pytest.mark.parametrize("number, changed, new", [(1, False, False), (2, True, False), (3, True, True)])
def test_a_rename_that_fails(before, strace, number, changed, new):
    answer, _trace = strace(before, "error=EIO:when=%d" % number)
    assert (
        answer["errno"] == errno.EIO and answer["changed"] is changed and "Input/output error (EIO)" in answer["error"]
    )
    assert answer["path"] == (before.binary() if number == 2 else before.receipt())
    assert not any(name.startswith(".tmp.") for name in before.names()), "temporary files are left"
    if new:
        before.assert_right()
    else:
        assert before.picture().get("store/1.13.4/terraform") == before.old, "the binary was touched"
    assert_heals(before)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_kill_at_a_rename(before, strace, number):
    answer, _trace = strace(before, "signal=SIGKILL:when=%d" % number)
    assert answer is None
    if number < 3:
        assert before.picture().get("store/1.13.4/terraform") == before.old
    assert before.check()["changed"]
    assert_heals(before)


def test_a_rename_that_did_nothing_is_found_out(before, strace):
    """Storage that lies: 0 is returned, and the old state is what is there."""
    answer, _trace = strace(before, "retval=0:when=2")
    assert answer["errno"] == errno.EIO and answer["path"] == before.binary() and answer["changed"] is True
    assert before.picture().get("store/1.13.4/terraform") == before.old
    assert_heals(before)


def test_a_receipt_that_did_not_come_is_found_out(host, strace):
    host.defaults = host.offer()
    answer, _trace = strace(host, "retval=0:when=1")
    assert answer["errno"] == errno.EIO and host.receipt() in answer["error"]
    assert_heals(host)


# another one is at work on the very file


def when_logged(host, words, act):
    """Do something at the moment a line is said."""
    said = host.log

    def log(line, warning=False):
        said(line, warning)
        if line.startswith(words):
            act()

    host.log = log


def test_a_file_that_took_the_place_of_the_checked_one_is_not_repaired(installed):
    os.chmod(installed.binary(), 0o700)

    def swap():
        shutil.copy(installed.binary(), installed.at("copy"))
        os.rename(installed.at("copy"), installed.binary())

    when_logged(installed, "directory verified: %s" % os.path.dirname(installed.binary()), swap)
    failure = installed.fail(_errors.InstallError)
    assert failure.errno == errno.ESTALE and not failure.changed and failure.path == installed.binary()


@pytest.mark.parametrize("mode", [0o700, 0o777])
def test_a_file_that_vanished_is_not_repaired(installed, mode):
    os.chmod(installed.binary(), mode)
    when_logged(
        installed, "directory verified: %s" % os.path.dirname(installed.binary()), lambda: os.unlink(installed.binary())
    )
    failure = installed.fail(_errors.InstallError)
    assert failure.errno == errno.ESTALE and not failure.changed


def test_a_stop_in_the_middle_of_the_repair_counts_it(installed, monkeypatch):
    os.chmod(installed.binary(), 0o700)
    real = os.fchmod

    def fchmod(fd, mode):
        real(fd, mode)
        strike(signal.SIGTERM)

    monkeypatch.setattr(os, "fchmod", fchmod)
    failure = installed.fail(_errors.InstallError)
    assert (failure.errno, failure.changed) == (errno.EINTR, True)


def test_a_repaired_file_that_cannot_be_looked_at_is_a_change(installed, monkeypatch):
    os.chmod(installed.binary(), 0o700)
    fchmod, fstat, repaired = os.fchmod, os.fstat, []

    def chmod(fd, mode):
        fchmod(fd, mode)
        repaired.append(fd)

    def look(fd):
        if fd in repaired and os.path.realpath("/proc/self/fd/%d" % fd) == installed.binary():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return fstat(fd)

    monkeypatch.setattr(os, "fchmod", chmod)
    monkeypatch.setattr(os, "fstat", look)
    failure = installed.fail(_errors.InstallError)
    assert (failure.errno, failure.path, failure.changed) == (errno.EIO, installed.binary(), True)


@needs_root
@pytest.mark.parametrize("owner", [NOBODY, 0])
def test_an_owner_that_was_set_before_the_mode_could_not_be_is_a_change(installed, monkeypatch, owner):
    os.chmod(installed.binary(), 0o700)

    def fchmod(fd, mode):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fchmod", fchmod)
    failure = installed.fail(_errors.InstallError, owner=str(owner))
    assert (failure.errno, failure.path) == (errno.EIO, installed.binary())
    assert failure.changed == (owner != 0) == (os.stat(installed.binary()).st_uid != 0)


def test_a_label_that_cannot_be_repaired_is_no_change(installed):
    def set_context(fd, path, restore):
        if restore:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return True

    installed.set_context = set_context
    failure = installed.fail(_errors.InstallError, run_check=False)
    assert (failure.errno, failure.path, failure.changed) == (errno.EIO, installed.binary(), False)


def test_what_changes_while_it_is_copied_is_not_taken(installed):
    os.chmod(installed.binary(), 0o777)
    when_logged(installed, "to replace: ", lambda: installed.flip(installed.binary()))
    failure = installed.fail(_errors.InstallError)
    assert "changed while it was copied" in str(failure) and not failure.changed
    assert installed.names() == ["terraform", "terraform.json"]
    installed.repair()


def test_what_is_changed_behind_our_back_is_found_out(installed):
    installed.write_receipt(policy=None)
    when_logged(installed, "receipt written: ", lambda: installed.flip(installed.binary()))
    failure = installed.fail(_errors.InstallError)
    assert "is not right after the install" in str(failure) and failure.changed


# SELinux, as far as it can be seen without it: when labels are asked for, and for which path


def test_new_files_are_labelled_before_the_rename(host):
    asked = []

    def set_context(fd, path, restore):
        asked.append((os.path.relpath(path, host.base_dir), restore, os.path.exists(path)))
        return False

    host.set_context = set_context
    host.run(run_check=False, **host.offer())
    assert asked[:2] == [("1.13.4/terraform", True, False), ("1.13.4/terraform.json", True, False)]
    assert asked[2:] == [("1.13.4/terraform", False, True)], "and looked at afterwards"


def test_a_wrong_label_is_repaired_and_a_right_one_left_alone(installed):
    labels = {"right": True}
    asked = []

    def set_context(fd, path, restore):
        asked.append(restore)
        differed = not labels["right"]
        labels["right"] = labels["right"] or restore
        return differed

    installed.run_check = True
    installed.run()
    installed.set_context = set_context
    assert not installed.run()["changed"]
    os.chmod(installed.binary(), 0o700)
    assert installed.run(run_check=False)["changed"]
    assert asked.count(True) == 1, "of the receipt, which was written anew; the binary's was right"
    labels["right"] = False
    predicted = installed.check()
    assert (
        predicted["changed"] and not predicted["needs_archive"] and any("SELinux" in line for line in installed.lines)
    )
    assert installed.run()["changed"] and not installed.run()["changed"]
