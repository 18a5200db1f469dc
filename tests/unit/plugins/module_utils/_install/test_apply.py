# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second half from end to end: from nothing, after a crash, beside a concurrent run, and when the binary does not run."""

import errno
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import threading

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory, lock
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import apply as apply_module
from support.system import open_folder, strike

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


# from nothing


@pytest.fixture(autouse=True)
def run_check(host):
    host.run_check = True


def test_a_fresh_install(host):
    options = host.offer()
    umask = os.umask(0o077)
    try:
        result = host.run(**options)
    finally:
        os.umask(umask)
    assert result["changed"] and result["needs_archive"] and result["downloaded_bytes"] == 0
    assert result["path"] == host.binary() and result["archive_sha256"] == options["checksum"]
    host.assert_right()
    assert stat.S_IMODE(os.stat(os.path.dirname(host.binary())).st_mode) == 0o755
    assert stat.S_IMODE(os.stat(host.receipt()).st_mode) == 0o644
    assert sorted(os.listdir(host.base_dir)) == [".terraform-1.13.4.lock", "1.13.4"]
    receipt, found = host.read_receipt(), os.stat(host.binary())
    assert receipt["mtime_ns"] == found.st_mtime_ns and receipt["inode"] == found.st_ino
    assert (receipt["format"], receipt["policy"], receipt["run_check"]) == (1, "pinned", "1.13.4")
    assert (receipt["product"], receipt["platform"]) == ("terraform", host.platform)
    assert receipt["sha256"] == result["binary_sha256"] and receipt["archive_sha256"] == options["checksum"]
    assert receipt["origin"] == options["archive"] and receipt["links"] == [] and receipt["base_dir_unsafe"] == []


def test_every_step_is_logged_with_paths_and_sizes(host):
    host.run(link=host.at("bin", "terraform"), **host.offer())
    reported = "\n".join(host.lines)
    for words in (
        "directory created and checked: %s (" % host.base_dir,
        "directory verified: %s/1.13.4 (" % host.base_dir,
        "archive read: ",
        "binary written: ",
        "synced and read back: ",
        "mode set: -rwxr-xr-x on %s/1.13.4/.tmp.binary." % host.base_dir,
        "receipt in place: %s" % host.receipt(),
        "binary in place: %s" % host.binary(),
        "run check passed: ",
        "receipt written: %s" % host.receipt(),
        "link switched: %s -> %s (before: absent)" % (host.at("bin", "terraform"), host.binary()),
    ):
        assert words in reported
    assert host.warnings == []


@pytest.mark.parametrize("link", [None, "bin/terraform"])
def test_check_mode_creates_nothing(host, link):
    options = host.offer()
    before = host.picture()
    result = host.check(link=link and host.at(link), **options)
    assert result["changed"] and result["needs_archive"] and result["size"] is None
    assert "ansible_facts" not in result
    assert host.picture() == before


def test_a_second_run_changes_nothing_at_all(installed):
    before = installed.picture()
    assert not installed.run()["changed"] and not installed.check()["changed"]
    assert installed.picture() == before
    assert len(installed.lines) <= 2


def test_the_base_dir_and_its_parents_are_created(host):
    result = host.run(base_dir=host.at("a", "b", "c"), **host.offer())
    assert result["changed"] and os.path.exists(host.at("a", "b", "c", "1.13.4", "terraform"))
    assert stat.S_IMODE(os.stat(host.at("a", "b")).st_mode) == 0o755


def test_versions_live_side_by_side(installed):
    result = installed.run(**installed.offer("1.13.3"))
    assert result["changed"] and result["intact_versions"] == ["1.13.3", "1.13.4"]
    assert not installed.run()["changed"]


# crash states: the receipt is renamed first, so it may be ahead


def assert_next_run_is_fine(host, **options):
    assert host.check(**options)["changed"]
    host.repair(**options)


@pytest.mark.parametrize("temps", [False, True])
@pytest.mark.parametrize("state", ["nothing", "empty", "receipt", "receipt ahead", "both"])
def test_legal_crash_states(installed, state, temps):
    folder = os.path.dirname(installed.binary())
    if state == "nothing":
        shutil.rmtree(folder)
    if state == "empty":
        os.unlink(installed.receipt())
    if state in ("empty", "receipt"):
        os.unlink(installed.binary())
    if state == "receipt ahead":
        installed.overwrite(installed.binary(), b"an older binary")
    if temps and state != "nothing":
        for name in (".tmp.binary.abcdefgh", ".tmp.receipt.abcdefgh", ".tmp.removed.terraform"):
            open(os.path.join(folder, name), "w").close()
    if state == "both" and not temps:
        assert not installed.run()["changed"]
    else:
        assert_next_run_is_fine(installed)


def test_a_stop_while_stale_files_are_removed_counts_what_is_gone(installed, monkeypatch):
    """A run that had removed a stale temporary file, and was stopped then, said that nothing had changed."""
    folder = os.path.dirname(installed.binary())
    for name in (".tmp.binary.abcdefgh", ".tmp.receipt.abcdefgh"):
        open(os.path.join(folder, name), "w").close()
    real = os.unlink

    def unlink(path, **settings):
        real(path, **settings)
        strike(signal.SIGTERM)

    monkeypatch.setattr(os, "unlink", unlink)
    failure = installed.fail(_errors.InstallError)
    assert (failure.errno, failure.changed) == (errno.EINTR, True)


def test_a_stop_in_the_rename_of_the_binary_counts_it(installed, monkeypatch):
    """Where its receipt is a newer collection's and stays, the binary's rename is the only change."""
    installed.write_receipt(format=2)
    os.chmod(installed.binary(), 0o775)
    real = os.rename

    def rename(*arguments, **settings):
        real(*arguments, **settings)
        strike(signal.SIGTERM)

    monkeypatch.setattr(os, "rename", rename)
    failure = installed.fail(_errors.InstallError)
    assert (failure.errno, failure.changed) == (errno.EINTR, True)


def test_the_archive_has_no_name_while_it_is_read(host):
    """So that a kill leaves none of it behind."""
    options, log, seen = host.offer(), host.log, []

    def say_and_look(line, warning=False):
        log(line, warning)
        if line.startswith("archive read"):
            seen.append(host.names())

    host.log = say_and_look
    assert host.run(**options)["changed"] and seen == [[]]


def test_a_binary_that_changes_right_after_its_rename_is_no_success(host):
    """By storage that loses data, or by somebody else: what is there is looked at once more, by its path."""
    options, log = host.offer(), host.log

    def say_and_spoil(line, warning=False):
        log(line, warning)
        if line.startswith("binary in place"):
            host.flip(host.binary())

    host.log = say_and_spoil
    failure = host.fail(_errors.InstallError, run_check=False, **options)
    assert (failure.errno, failure.path, failure.changed) == (errno.EIO, host.binary(), True)
    assert "is not right after the install" in str(failure)


# the run check


def test_the_run_check_is_recorded_and_asked_for(host):
    host.defaults = host.offer()
    assert host.run(run_check=False)["changed"] and host.read_receipt()["run_check"] is None
    assert not host.run(run_check=False)["changed"]
    predicted = host.check()
    assert predicted["changed"] and not predicted["needs_archive"] and "would be run" in predicted["msg"]
    inode = os.stat(host.binary()).st_ino
    assert host.run()["changed"] and host.read_receipt()["run_check"] == "1.13.4"
    assert os.stat(host.binary()).st_ino == inode and not host.run()["changed"]


def test_another_platform_is_not_run(host):
    options = host.offer(platform="darwin_arm64")
    assert host.run(**options)["changed"] and host.read_receipt()["run_check"] is None
    assert not host.run(**options)["changed"]


def test_a_failed_run_check_leaves_the_link_and_says_changed(installed):
    link = installed.at("bin", "terraform")
    installed.run(link=link)
    broken = dict(installed.offer("1.14.0", exit_status=3), link=link)
    failure = installed.fail(_errors.RunCheckError, **broken)
    assert failure.changed and "exit status 3" in str(failure)
    assert os.readlink(link) == installed.binary()
    assert installed.read_receipt("1.14.0")["run_check"] is None and installed.read_receipt("1.14.0")["links"] == []
    again = installed.fail(_errors.RunCheckError, **broken)
    assert not again.changed and os.readlink(link) == installed.binary()
    assert installed.run(run_check=False, **broken)["changed"]
    assert os.readlink(link) == installed.binary("1.14.0")


@pytest.mark.parametrize("mode", [0o700, 0o775])
def test_what_was_seen_before_it_was_touched_does_not_count(host, mode):
    host.defaults = host.offer(exit_status=3)
    host.run(run_check=False)
    host.write_receipt(run_check="1.13.4")  # so it was, before this host changed
    assert not host.run()["changed"]
    os.chmod(host.binary(), mode)
    for _run in range(2):  # the second one must not be green
        assert "exit status 3" in str(host.fail(_errors.RunCheckError))
    assert host.read_receipt()["run_check"] is None


def test_the_run_check_comes_before_a_link_moves_even_when_it_was_run_once(host):
    host.defaults = host.offer(exit_status=3)
    host.run(run_check=False)
    host.write_receipt(run_check="1.13.4")
    failure = host.fail(_errors.RunCheckError, link=host.at("tf"))
    assert not failure.changed and not os.path.lexists(host.at("tf"))


@as_root
def test_a_binary_that_its_owner_cannot_reach_is_run_as_its_owner_all_the_same(tmp_path, host):
    tmp_path.chmod(0o700)
    assert host.run(owner="12345", **host.offer())["changed"]
    assert host.read_receipt()["run_check"] == "1.13.4"


def script(path, lines):
    os.makedirs(os.path.dirname(path))
    with open(path, "w") as stream:
        stream.write("#!/bin/sh\n%s\n" % lines)
    os.chmod(path, 0o755)


class Exchange:
    """What the owner of the base dir puts in its place, one store after the other, whenever it is called."""

    def __init__(self, host, *stores):
        self.host = host
        self.stores = list(stores)

    def __call__(self):
        if self.stores:
            os.rename(self.host.base_dir, self.host.at("was%d" % len(self.stores)))
            os.rename(self.stores.pop(0), self.host.base_dir)

    def before(self, monkeypatch, module, name):
        """It is called before a function of a module is."""
        real = getattr(module, name)

        def wrapper(*arguments, **settings):
            self()
            return real(*arguments, **settings)

        monkeypatch.setattr(module, name, wrapper)


@as_root
@pytest.mark.parametrize("owner", ["12345", None])
def test_what_the_owner_of_the_base_dir_exchanges_after_the_hash_is_not_started(host, monkeypatch, owner):
    """First comes a binary of root's, so that root would think it may run it, and then a script."""
    with open_folder() as folder:
        host.folder, host.base_dir = folder, os.path.join(folder, "store")
        host.defaults = dict(host.offer(), owner=owner)
        os.mkdir(host.at("marks"))
        os.chmod(host.at("marks"), 0o777)
        script(host.at("roots", "1.13.4", "terraform"), "exit 0")
        script(host.at("theirs", "1.13.4", "terraform"), "id -u >%s; echo 6.6.6" % host.at("marks", "mark"))
        os.chown(host.at("theirs", "1.13.4", "terraform"), 12345, 12345)
        exchange = Exchange(host, host.at("roots"), host.at("theirs"))
        exchange.before(monkeypatch, tempfile, "mkdtemp")
        exchange.before(monkeypatch, subprocess, "Popen")
        host.run()
        assert exchange.stores == [] and os.listdir(host.at("marks")) == []
        assert [line for line in host.lines if "run check" in line] == [
            "run check passed: %s version -json says 1.13.4" % host.binary()
        ]


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda host: host.flip(host.binary()), "has sha256"),
        (lambda host: os.unlink(host.binary()), "is not there any more"),
        (lambda host: os.truncate(host.binary(), 1 << 40), "has 1099511627776 bytes, expected "),
    ],
)
def test_what_was_not_hashed_right_is_not_started(host, monkeypatch, spoil, words):
    """Somebody gets in between the look after the install and the run check."""
    look = apply_module._verify_result

    def look_and_spoil(run):
        look(run)
        spoil(host)

    monkeypatch.setattr(apply_module, "_verify_result", look_and_spoil)
    monkeypatch.setattr(subprocess, "Popen", lambda *arguments, **settings: pytest.fail("it was started"))
    failure = host.fail(_errors.InstallError, link=host.at("tf"), **host.offer())
    assert words in str(failure) and "replaced before its run check" in str(failure)
    assert (failure.errno, failure.path, failure.changed) == (errno.ESTALE, host.binary(), True)
    assert not os.path.lexists(host.at("tf")) and host.read_receipt()["run_check"] is None


# concurrent runs


def apply(host, plan, **options):
    _plan, signers, source = host._plan(host.parsed(**options))
    return apply_module.apply_plan(plan, signers, source, host.log)


def test_the_second_of_two_concurrent_runs_finds_it_done(host):
    host.defaults = host.offer()
    plan = host.plan(link=host.at("tf"))
    host.run(link=host.at("tf"))
    before = host.picture()
    outcome = apply(host, plan, link=host.at("tf"))
    assert not outcome.changed and not outcome.plan.changes and outcome.receipt.version == "1.13.4"
    after = host.picture()
    del before["store/.terraform-1.13.4.lock"], after["store/.terraform-1.13.4.lock"]  # who holds it signs
    assert after == before


def test_what_is_reported_is_what_was_left_to_do(host):
    host.defaults = host.offer()
    plan = host.plan(link=host.at("tf"))
    host.run()
    outcome = apply(host, plan, link=host.at("tf"))
    assert outcome.changed and not outcome.plan.needs_archive


def test_installers_wait_for_each_other(host):
    host.defaults = host.offer()
    results, barrier = [], threading.Barrier(4)

    def run():
        barrier.wait()
        results.append(host.run(link=host.at("tf"))["changed"])

    threads = [threading.Thread(target=run) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False, False, False, True]
    assert host.names() == ["terraform", "terraform.json"] and not host.run(link=host.at("tf"))["changed"]


def test_a_lock_that_is_held_is_waited_for_in_vain(host):
    os.makedirs(host.base_dir)
    with directory.open_trusted_directory(host.base_dir, "base_dir", directory.trusted_owners(), None) as base:
        with lock.hold_lock(base, ".terraform-1.13.4.lock", 0, host.log):
            failure = host.fail(_errors.LockError, lock_timeout=0, **host.offer())
    assert "pid %d" % os.getpid() in str(failure) and not failure.changed
    assert host.names() is None


# unsafe ancestors


@pytest.fixture
def unsafe(host):
    """A host whose store has an ancestor that everybody may write to."""
    os.mkdir(host.at("shared"))
    os.chmod(host.at("shared"), 0o777)
    os.mkdir(host.at("shared", "store"))
    host.base_dir = host.at("shared", "store")
    host.defaults = host.offer()
    return host


def test_unsafe_ancestors_are_refused(unsafe):
    assert "can be written by others" in str(unsafe.refuse(_errors.InstallError))


def test_safety_warnings_are_recorded(unsafe):
    plan = unsafe.plan(allow_unsafe_base_dir=True)
    assert len(plan.safety_warnings) == 1 and unsafe.at("shared") in plan.safety_warnings[0]
    outcome = apply(unsafe, plan, allow_unsafe_base_dir=True)
    assert outcome.safety_warnings == plan.safety_warnings
    assert unsafe.read_receipt()["base_dir_unsafe"] == list(plan.safety_warnings)
    assert not unsafe.run(allow_unsafe_base_dir=True)["changed"]


def test_safety_warnings_about_the_links_directory_are_recorded(installed):
    os.mkdir(installed.at("shared"))
    os.chmod(installed.at("shared"), 0o777)
    link = installed.at("shared", "tf")
    installed.refuse(_errors.InstallError, link=link)
    assert installed.run(link=link, allow_unsafe_base_dir=True)["changed"]
    (recorded,) = installed.read_receipt()["base_dir_unsafe"]
    assert installed.at("shared") in recorded


def test_a_directory_that_a_killed_run_made_is_synced_before_anything_is_put_in_it(host, monkeypatch):
    """That run may have been killed between mkdir and fsync; a power cut would take the directory with all that is in it."""
    host.run(**host.offer())
    base = os.path.dirname(os.path.dirname(host.binary()))
    os.unlink(host.receipt())
    os.unlink(host.binary())
    synced, fsync = [], os.fsync

    def record(fd):
        synced.append(os.fstat(fd).st_ino)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", record)
    host.run(**host.offer())
    assert synced[0] == os.stat(base).st_ino
