# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first look: what is refused before anything is touched, and what counts as a stale temporary file."""

import errno
import os
import shutil
import subprocess
import sys
import time

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import plan as plan_module
from support.system import ROOT, started

HOLD = """
import fcntl, sys
lock = open(sys.argv[1], "r+")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


# refused, and left alone


@pytest.mark.parametrize("name", ["terraform", "terraform.json"])
def test_a_directory_in_the_way_is_refused_before_anything(installed, name):
    path = os.path.join(installed.base_dir, "1.13.4", name)
    os.unlink(path)
    os.mkdir(path)
    failure = installed.refuse(_errors.InstallError)
    assert failure.path == path and "is a directory" in str(failure) and failure.errno


def test_a_file_in_place_of_the_versions_directory(host):
    os.makedirs(host.base_dir)
    open(os.path.join(host.base_dir, "1.13.4"), "w").close()
    failure = host.refuse(_errors.InstallError, **host.offer())
    assert "is not a directory but a regular file of 0 bytes" in str(failure)


def test_a_link_in_place_of_the_versions_directory(installed):
    folder = os.path.join(installed.base_dir, "1.13.4")
    os.rename(folder, installed.at("moved"))
    os.symlink(installed.at("moved"), folder)
    assert "symbolic link" in str(installed.refuse(_errors.InstallError))


@pytest.mark.parametrize("allow", [False, True])
@pytest.mark.parametrize("place", ["", "1.13.4"])
def test_a_store_that_others_can_write_is_refused_whatever_is_allowed(installed, place, allow):
    os.chmod(os.path.join(installed.base_dir, place), 0o777)
    failure = installed.refuse(_errors.InstallError, allow_unsafe_base_dir=allow)
    assert "can be written by others" in str(failure)


def test_another_platforms_binary_is_refused_by_name(installed):
    other = installed.offer(platform="linux_arm64" if installed.platform == "linux_amd64" else "linux_amd64")
    failure = installed.refuse(_errors.RequestError, **other)
    assert (
        installed.platform in str(failure) and other["platform"] in str(failure) and failure.path == installed.binary()
    )


def test_what_is_left_of_another_platform_is_no_hindrance(installed):
    os.unlink(installed.binary())
    other = installed.offer(platform="linux_arm64" if installed.platform == "linux_amd64" else "linux_amd64")
    assert installed.run(**other)["changed"]
    assert installed.read_receipt()["platform"] == other["platform"]
    assert installed.read_receipt()["run_check"] is None, "it cannot run here"
    assert not installed.run(**other)["changed"]


def test_another_checksum_is_an_error_and_the_store_untouched(installed):
    before = installed.picture()
    failure = installed.fail(_errors.VerificationError, checksum="0" * 64)
    assert "expected %s" % ("0" * 64) in str(failure) and not failure.changed
    after = installed.picture()
    assert set(before) == set(after) and before["store/1.13.4/terraform"] == after["store/1.13.4/terraform"]
    assert before["store/1.13.4/terraform.json"] == after["store/1.13.4/terraform.json"]


def test_the_archive_of_another_checksum_takes_its_place(installed):
    options = installed.offer(padding=7)
    result = installed.run(**options)
    assert result["changed"] and result["archive_sha256"] == options["checksum"] and result["size"] == 392
    assert not installed.run(**options)["changed"]


def test_a_failed_download_changes_nothing(host):
    failure = host.fail(_errors.RequestError, **dict(host.offer(), archive=host.at("none.zip")))
    assert failure.path == host.at("none.zip") and not failure.changed
    assert host.names() == []
    assert host.run(**host.offer())["changed"]


@pytest.mark.parametrize("archived", ["linux_arm64", "darwin_arm64", "linux_s390x"])
def test_an_executable_for_another_machine_is_not_installed(host, archived):
    if archived == host.platform:
        pytest.skip("that is this machine")
    failure = host.fail(_errors.ArchiveError, **dict(host.offer(platform=archived), platform=host.platform))
    assert "is not an executable for %s" % host.platform in str(failure)
    assert host.names() == []


# stale temporary files


@pytest.fixture
def stale_temp_files(installed):
    """The temporary file of a killed run."""
    path = os.path.join(installed.base_dir, "1.13.4", ".tmp.binary.abcdefgh")
    open(path, "w").close()
    return path


def test_stale_temporary_files_are_a_change_and_are_removed(installed, stale_temp_files):
    assert installed.check()["changed"] and installed.lines == (
        "would remove the stale temporary file %s" % stale_temp_files,
    )
    assert installed.check()["diff"]["before"]["left_overs"] == [stale_temp_files]
    result = installed.repair()
    assert not result["needs_archive"] and "tidied up" in result["msg"]


def test_temporary_files_of_a_running_installer_are_not_stale(installed, stale_temp_files):
    with started(
        [sys.executable, "-c", HOLD, os.path.join(installed.base_dir, ".terraform-1.13.4.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holding:
        assert holding.stdout.readline() == b"held\n"
        assert not installed.check()["changed"] and not installed.run()["changed"]
        holding.stdin.close()
    assert os.path.exists(stale_temp_files) and installed.run()["changed"]


def test_stale_temporary_files_without_a_lock_file_are_removed(installed, stale_temp_files):
    os.unlink(os.path.join(installed.base_dir, ".terraform-1.13.4.lock"))
    installed.repair()


def test_a_directory_of_such_a_name_is_not_ours(installed):
    os.mkdir(os.path.join(installed.base_dir, "1.13.4", ".tmp.mine"))
    assert not installed.run()["changed"]


# another process is at work meanwhile


def move_aside(host):
    """The receipt ahead of its binary, as between the two renames of a concurrent run: returns what puts it right."""
    os.rename(host.binary(), host.at("coming"))
    with open(host.binary(), "wb") as file:
        file.write(b"an older binary")
    os.chmod(host.binary(), 0o755)
    return lambda seconds: os.rename(host.at("coming"), host.binary())


def test_a_run_that_sees_another_between_its_renames_looks_again(installed, monkeypatch):
    monkeypatch.setattr(time, "sleep", move_aside(installed))
    assert not installed.plan().changes


def test_a_crash_between_the_renames_looks_the_same_twice(installed, monkeypatch):
    move_aside(installed)
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(plan_module, "RETRY_SECONDS", "the second look")
    assert installed.plan().needs_archive and waited == ["the second look"]
    assert installed.run()["changed"] and waited.count("the second look") == 2, "who holds the lock need not wait"


def test_nothing_to_wait_for_where_nothing_is(host, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits"))
    assert host.plan(**host.offer()).needs_archive


@pytest.mark.parametrize("name", ["1.13.4", "terraform.json"])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_who_meets_a_removal_looks_once_more(installed, monkeypatch, state, name):
    """Between the look at it and its opening, all of it goes."""
    really_open = os.open

    def remove_then_open(path, *args, **kwargs):
        if path == name:
            shutil.rmtree(os.path.dirname(installed.binary()), ignore_errors=True)
        return really_open(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", remove_then_open)
    plan = installed.plan(state=state)
    assert plan.found is None and plan.changes is (state == "present")


def test_what_vanishes_each_time_is_an_error(installed, monkeypatch):
    def vanish(fd):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(os, "listdir", vanish)
    with pytest.raises(_errors.InstallError) as caught:
        installed.plan()
    assert caught.value.errno == errno.ENOENT


def test_an_input_output_error_is_never_absence(installed, monkeypatch):
    def fail(fd):
        raise OSError(errno.EIO, "Input/output error")

    before = installed.picture()
    monkeypatch.setattr(os, "pread", lambda *args: fail(0))
    with pytest.raises(_errors.InstallError) as caught:
        installed.run()
    assert caught.value.errno == errno.EIO and caught.value.path == installed.binary() and not caught.value.changed
    assert not installed.run(state="absent", base_dir=installed.at("other"))["changed"]
    monkeypatch.undo()
    assert installed.picture() == before


# the plan itself


def test_a_removal_needs_no_archive_and_has_no_drift(installed):
    plan = installed.plan(state="absent")
    assert plan.changes and plan.removes and not plan.needs_archive and not any(plan.drift)


def test_a_plan_of_nothing(host):
    plan = host.plan(state="absent")
    assert (plan.changes, plan.removes, plan.found, plan.link_state, plan.intact) == (False, False, None, None, ())


@pytest.mark.parametrize("state, moves", [("present", False), ("absent", True)])
def test_a_link_to_the_binary(installed, state, moves):
    os.symlink(installed.binary(), installed.at("tf"))
    assert installed.plan(state=state, link=installed.at("tf")).changes_link is moves


@pytest.mark.parametrize("state, moves", [("present", True), ("absent", False)])
@pytest.mark.parametrize("target", [None, "/elsewhere", "store/1.13.4/terraform"])
def test_a_link_to_something_else_or_by_other_words(installed, state, moves, target):
    if target:
        os.symlink(target, installed.at("tf"))
    assert installed.plan(state=state, link=installed.at("tf")).changes_link is moves


# what there is to choose from


def test_an_absent_store_holds_nothing(host):
    assert plan_module.list_installed(host.parsed(version="latest")) == ({}, (), ())


def test_what_is_in_a_store(installed):
    assert installed.run(**installed.offer("1.9.8"))["changed"]
    installed.write_receipt("1.9.8", platform="windows_amd64")
    damaged = installed.offer("1.13.3")
    assert installed.run(**damaged)["changed"]
    installed.flip(installed.binary("1.13.3"))
    for name in ("1.0.0", "1.0.1", "notes", ".hidden"):
        os.mkdir(os.path.join(installed.base_dir, name))
    for path in (installed.binary("1.0.0"), os.path.join(installed.base_dir, "1.0.2")):
        with open(path, "wb") as file:
            file.write(b"mine")
    inventory = plan_module.list_installed(
        installed.parsed(version="latest", checksum=None, archive=None, checksum_policy="signature")
    )
    assert inventory == ({"1.13.4": installed.platform, "1.9.8": "windows_amd64"}, ("1.13.3",), ("1.0.0",))
    assert inventory.managed == ["1.13.4", "1.9.8", "1.13.3"]


@pytest.mark.parametrize(
    "version,found",
    [
        ("latest", {"1.13.4", "1.13.5"}),
        ("< 1.13.5", {"1.13.4"}),
        ("!= 1.13.4", {"1.13.4", "1.13.5"}),
        ("~> 1.9.0", {"1.13.4", "1.9.8"}),
    ],
)
def test_the_newest_that_times_leave_in_doubt_is_hashed(version, found, installed):
    """Of what a constraint allows, as long as it is newer than all that is known to be right."""
    for other in ("1.13.5", "1.9.8", "1.13.6"):
        assert installed.run(**installed.offer(other))["changed"]
        os.utime(installed.binary(other), ns=(10**18, 10**18))
    installed.flip(installed.binary("1.13.6"))
    parsed = installed.parsed(version=version, checksum=None, archive=None, checksum_policy="signature")
    inventory = plan_module.list_installed(parsed)
    assert set(inventory.intact) == found and set(inventory.modified) == {"1.13.5", "1.9.8", "1.13.6"} - found


WRITERS = {
    "a mode": lambda path: os.chmod(path, 0o777),
    "an owner": pytest.param(
        lambda path: os.chown(path, 12345, 12345),
        marks=pytest.mark.skipif(not ROOT, reason="only root gives files away"),
    ),
}


@pytest.mark.parametrize("let_write", list(WRITERS.values()), ids=list(WRITERS))
@pytest.mark.parametrize("damaged", [False, True])
def test_a_binary_that_others_could_have_written_counts_by_its_hash(let_write, damaged, installed):
    """As an exact version has it: right bytes are replaced by a copy of themselves, and others are no version."""
    newer = installed.offer("1.13.5")
    assert installed.run(**newer)["changed"]
    times = os.stat(installed.binary("1.13.5"))
    if damaged:  # with the times and the size that the receipt knows
        installed.flip(installed.binary("1.13.5"))
        os.utime(installed.binary("1.13.5"), ns=(times.st_atime_ns, times.st_mtime_ns))
    let_write(installed.binary("1.13.5"))
    parsed = installed.parsed(version="latest", checksum=None, archive=None, checksum_policy="signature")
    assert ("1.13.5" in plan_module.list_installed(parsed).intact) is not damaged
    plan = installed.plan()
    assert ("1.13.5" in plan.intact) is not damaged, "asked for an older one, the host says what it has"
    plan = installed.plan(**newer)
    assert bool(plan.drift.recopy) is not damaged and bool(plan.drift.install) is damaged


def test_a_removal_hashes_nothing(installed):
    os.utime(installed.binary(), ns=(10**18, 10**18))
    assert plan_module.list_installed(
        installed.parsed(version="~> 1.13.0", checksum=None, state="absent")
    ).modified == ("1.13.4",)


def test_what_another_run_is_changing_is_looked_at_again(installed, monkeypatch):
    """Between the renames of receipt and binary a version looks damaged: the newest one must not be missed for that."""
    good, path = installed.read_receipt(), installed.receipt()
    installed.write_receipt(inode=1)

    def meanwhile(seconds):
        installed.write_receipt(**good)

    monkeypatch.setattr(time, "sleep", meanwhile)
    parsed = installed.parsed(version="latest", checksum=None, archive=None, checksum_policy="signature")
    assert list(plan_module.list_installed(parsed).intact) == ["1.13.4"] and os.path.exists(path)


def test_a_store_that_others_could_change_is_not_chosen_from(installed):
    os.chmod(installed.base_dir, 0o777)
    with pytest.raises(_errors.InstallError):
        plan_module.make_plan(installed.parsed(), frozenset())
    os.chmod(installed.folder, 0o777)
    with pytest.raises(_errors.InstallError, match="can be written by others"):
        plan_module.list_installed(
            installed.parsed(version="latest", checksum=None, archive=None, checksum_policy="signature")
        )
