# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""keep: the newest versions stay, and whatever is used; the others go as any removal, and check mode knows which."""

import contextlib
import errno
import fcntl
import functools
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import types

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import processes
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import apply, retention, usage
from ansible_collections.iac_platform.terraform.plugins.module_utils._run import results
from support import tiers
from support.system import another_process, forked, needs_root, wait_until

VERSIONS = ("1.9.8", "1.12.0", "1.13.4-rc1", "1.13.4")  # the oldest first
NEW = "1.14.0"
NONE = processes.Executables({}, {}, {})


@pytest.fixture
def store(host):
    """A host with these versions; the run that is tried installs one more. ``there`` are the directories."""
    for version in VERSIONS:
        assert host.module(**host.offer(version))["changed"]
    host.defaults = host.offer(NEW)
    host.there = lambda: sorted(name for name in os.listdir(host.base_dir) if not name.startswith("."))
    return host


def keep(host, number, gone, **options):
    """Run with keep: the result, after what check mode predicts and what a second run does were compared with it."""
    before = host.picture()
    predicted = host.module(check=True, keep=number, **options)
    assert host.picture() == before
    there, lines = host.there(), list(host.lines)
    result = host.module(keep=number, **options)
    assert sorted(set(there) - set(host.there())) == sorted(gone)
    expected = [
        path
        for version in gone
        for path in (host.binary(version), host.receipt(version), os.path.dirname(host.binary(version)))
    ]
    assert result["removed"] == predicted["removed"] == expected
    assert predicted["diff"]["before"] == result["diff"]["before"]
    assert predicted["changed"] == result["changed"] and all("would remove: %s" % path in lines for path in expected)
    again = host.module(keep=number, **options)
    assert not again["changed"] and again["removed"] == [] and len(host.lines) == 1
    return result


@pytest.mark.parametrize(
    "number, gone",
    [
        (1, VERSIONS),
        (2, VERSIONS[:3]),
        (3, VERSIONS[:2]),
        (5, ()),
        (1000, ()),
    ],
)
def test_the_newest_stay(store, number, gone):
    result = keep(store, number, gone)
    assert result["changed"] and result["version"] == NEW and sorted(result["intact_versions"]) == store.there()
    if gone:
        assert result["msg"].endswith("; removed (keep: %d): %s" % (number, ", ".join(gone)))
        assert sorted(result["diff"]["before"]["versions"]) == sorted(VERSIONS)
        assert sorted(result["diff"]["after"]["versions"]) == store.there()
        assert result["diff"]["before"]["versions"][gone[0]] == len(store.published[gone[0]])
    assert sorted(result["ansible_facts"]["terraform_binary_result"]["versions"]) == store.there()
    locks = [name for name in os.listdir(store.base_dir) if name.startswith(".")]
    assert sorted(locks) == sorted(
        [".terraform-%s.lock" % version for version in VERSIONS + (NEW,)] + [".terraform-link.lock"] * bool(gone)
    )


def test_without_it_nothing_goes(store):
    result = store.module()
    assert result["removed"] == [] and "versions" not in result["diff"]["before"]
    assert store.there() == sorted(VERSIONS + (NEW,))


def test_what_was_just_installed_stays_though_it_is_old(store):
    assert keep(store, 2, ["1.9.8", "1.12.0"], **store.offer("1.8.0"))["version"] == "1.8.0"
    assert "1.8.0" in store.there()


def test_where_nothing_else_is_to_do(store):
    store.module()
    result = keep(store, 4, ["1.9.8"])
    assert result["changed"] and result["msg"] == "Terraform 1.14.0 is right at %s; removed (keep: 4): 1.9.8" % (
        store.binary(NEW)
    )
    assert result["ansible_facts"]["terraform_binary_result"]["changed"]


def test_a_failure_removes_nothing(store):
    with pytest.raises(_errors.VerificationError):
        store.module(keep=1, checksum="0" * 64)
    assert set(VERSIONS) < set(store.there())


def test_a_removal_has_nothing_to_keep(store):
    store.module(version="1.9.8", state="absent", keep=1)
    assert store.there() == sorted(VERSIONS[1:])


def test_the_link_has_moved_by_then(store):
    """What it points to now stays only until then; check mode knows."""
    link = store.at("tf")
    store.module(**dict(store.offer("1.12.0"), link=link))
    keep(store, 1, VERSIONS, link=link)
    assert os.readlink(link) == store.binary(NEW)


@pytest.mark.parametrize("recorded", ["by itself", "by another", "through a link"])
def test_what_a_link_points_to_stays(store, recorded):
    """By its own receipt, or by that of another version, past which the link was moved by hand."""
    link = store.at("other")
    store.module(**dict(store.offer("1.9.8" if recorded == "by itself" else "1.13.4"), link=link))
    if recorded != "by itself":
        os.unlink(link)
        os.symlink(store.binary("1.9.8"), store.at("middle"))
        os.symlink(store.at("middle") if recorded == "through a link" else store.binary("1.9.8"), link)
    predicted = store.module(check=True, keep=1)
    result = store.module(keep=1, link=store.at("tf"))
    assert store.there() == sorted({"1.14.0", "1.9.8"} | ({"1.13.4"} if recorded != "by itself" else set()))
    if recorded != "by itself":
        assert (
            "nothing but its receipt knows the link %s, which points to %s" % (link, store.binary("1.9.8"))
            in (store.lines[-1])
        )
    words = "more than keep: 1 asks for, but in use: 1.9.8: "
    assert words in store.lines[-1] and link in store.lines[-1] and predicted["removed"] == result["removed"]
    assert not store.module(keep=1, link=store.at("tf"))["changed"]
    assert len(store.lines) == 1 and words in store.lines[0] and store.lines[0].startswith("verified ")


def test_a_link_that_moved_on_is_remembered_when_another_is_recorded(store):
    """Nobody but this receipt knows that the link points to 1.9.8."""
    other, link = store.at("other"), store.at("tf")
    store.module(**dict(store.offer("1.13.4"), link=other))
    os.unlink(other)
    os.symlink(store.binary("1.9.8"), other)
    store.module(**dict(store.offer("1.13.4"), link=link))
    store.module(keep=1, link=link)
    assert os.path.exists(other) and store.there() == ["1.13.4", "1.14.0", "1.9.8"]


@pytest.mark.parametrize("damage", [b"{", b"", b'{"format": 1}'])
def test_while_a_receipt_beside_a_binary_is_damaged_nothing_goes(store, damage):
    """Nobody can know any more that a link of it points to 1.9.8."""
    other = store.at("other")
    store.module(**dict(store.offer("1.13.4"), link=other))
    os.unlink(other)
    os.symlink(store.binary("1.9.8"), other)
    store.overwrite(store.receipt("1.13.4"), damage)
    assert store.module(True, keep=1)["removed"] == store.module(keep=1)["removed"] == []
    assert os.path.exists(other) and "its links cannot be known: %s is " % store.receipt("1.13.4") in store.lines[-1]


def test_a_damaged_receipt_without_a_binary_knows_nothing(store):
    os.unlink(store.binary("1.13.4"))
    store.overwrite(store.receipt("1.13.4"), b"{")
    store.module(keep=1)
    assert store.there() == ["1.14.0"]


def test_a_link_that_cannot_be_followed_may_point_to_any_version(store, monkeypatch):
    link, really_look = store.at("other"), os.lstat
    store.module(**dict(store.offer("1.13.4"), link=link))

    def look(path, *arguments, **options):
        if path == link:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return really_look(path, *arguments, **options)

    monkeypatch.setattr(usage.os, "lstat", look)
    store.module(keep=1)
    assert store.there() == sorted(VERSIONS + (NEW,))
    assert "the link %s cannot be followed: Permission denied" % link in store.lines[-1]


@pytest.mark.parametrize("target", ["nowhere", "other", "/dev/null/x"])
def test_a_link_that_leads_nowhere_holds_nothing(store, target):
    link = store.at("other")
    store.module(**dict(store.offer("1.13.4"), link=link))
    os.unlink(link)
    os.symlink(target, link)
    keep(store, 1, VERSIONS)


def test_what_a_process_runs_stays(store):
    """Also where it is started by another name."""
    sleeper = store.at("sleeper")
    shutil.copy(shutil.which("sleep"), sleeper)
    for version, name in (("1.9.8", "terraform"), ("1.12.0", "hard")):
        store.overwrite(store.binary(version), open(sleeper, "rb").read())
        os.chmod(store.binary(version), 0o755)
        found = os.stat(store.binary(version))
        store.write_receipt(version, size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino)
    os.link(store.binary("1.12.0"), store.at("hard"))
    running = [subprocess.Popen([path, "600"]) for path in (store.binary("1.9.8"), store.at("hard"))]
    try:
        predicted = store.module(check=True, keep=1)
        result = store.module(keep=1)
        assert store.there() == ["1.12.0", "1.14.0", "1.9.8"] and predicted["removed"] == result["removed"]
        for version, process in zip(("1.9.8", "1.12.0"), running):
            assert "%s is in use: process %d runs it" % (store.binary(version), process.pid) in store.lines[-1]
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert store.module(keep=1)["changed"] and store.there() == ["1.14.0"]


def test_a_process_whose_file_was_replaced_still_counts_by_its_path(store, monkeypatch):
    running = processes.Executables({}, {os.path.realpath(store.binary("1.9.8")): 17}, {})
    monkeypatch.setattr(usage, "list_executables", lambda: running)
    store.module(keep=1)
    assert store.there() == ["1.14.0", "1.9.8"] and "process 17 runs it" in store.lines[-1]


@pytest.mark.parametrize("name, counts", [("terraform", True), ("tf-of-the-team-", True), ("sshd", False), ("", False)])
def test_a_process_that_may_not_be_looked_at_counts_by_its_name(store, monkeypatch, name, counts):
    store.module(**dict(store.offer("1.13.4"), link=store.at("tf-of-the-team-of-nobody")))
    monkeypatch.setattr(usage, "list_executables", lambda: NONE._replace(hidden={name: 17}))
    store.module(keep=1, link=store.at("tf-of-the-team-of-nobody"))
    assert store.there() == (sorted(VERSIONS + (NEW,)) if counts else ["1.14.0"])
    assert ("process 17, called" in store.lines[-1]) is counts


def test_while_processes_cannot_be_listed_nothing_goes(store, monkeypatch):
    def fail():
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(processes, "_list_proc", fail)
    assert store.module(keep=1)["removed"] == [] and store.there() == sorted(VERSIONS + (NEW,))
    assert "the processes that may run it cannot be listed: Permission denied" in store.lines[-1]


def test_who_holds_the_lock_is_not_waited_for(store):
    path = os.path.join(store.base_dir, ".terraform-1.12.0.lock")

    def hold(ready):
        with open(path, "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            ready()
            time.sleep(600)

    with another_process(hold):
        predicted = store.module(True, keep=1)
        assert "in use: 1.12.0: another installer holds %s now" % path in store.lines[-1]
        result = store.module(keep=1)
        assert store.there() == ["1.12.0", "1.14.0"] and result["changed"] and predicted["removed"] == result["removed"]
        assert "in use: 1.12.0: another installer holds %s" % path in store.lines[-1]
        assert store.lines[-1].endswith("; waited 0 s")
        assert not store.module(keep=1)["changed"] and len(store.lines) == 1 and path in store.lines[0]
    assert store.module(keep=1)["changed"] and store.there() == ["1.14.0"]


@pytest.fixture
def no_locks(monkeypatch):
    """A file system without flock."""

    def flock(fd, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("lock_files", [True, False])
def test_where_nothing_can_be_locked_nothing_goes(store, no_locks, lock_files):
    """Not even what looks like the rest of a removal: it may be an install that runs right now."""
    store.module()
    folder = os.path.dirname(store.binary("1.9.8"))
    os.unlink(store.binary("1.9.8"))
    open(os.path.join(folder, ".tmp.binary.abcdefgh"), "w").close()
    for name in os.listdir(store.base_dir) if not lock_files else ():
        if name != ".terraform-1.9.8.lock" and name.startswith("."):  # as in a copy of a store
            os.unlink(os.path.join(store.base_dir, name))
    if lock_files:
        assert store.module(True, keep=1)["removed"] == [], "check mode knows it as well"
        assert "cannot be locked, so it stays" in store.lines[-1]
    result = store.module(keep=1)
    assert result["removed"] == [] and not result["changed"] and store.there() == sorted(VERSIONS + (NEW,))
    assert os.path.exists(os.path.join(folder, ".tmp.binary.abcdefgh")) and len(store.lines) == 1
    for version in VERSIONS[1:]:
        assert "%s: %s/%s cannot be locked, so it stays" % (version, store.base_dir, version) in store.lines[0]


def test_where_nothing_can_be_locked_a_removal_that_was_asked_for_goes_on(store, no_locks):
    assert store.module(version="1.9.8", state="absent")["changed"] and store.there() == sorted(VERSIONS[1:])


def test_what_is_not_intact_or_not_ours_stays_and_does_not_count(store):
    store.flip(store.binary("1.13.4"))  # also another time
    os.unlink(store.receipt("1.13.4-rc1"))
    store.write_receipt("1.12.0", platform="plan9_386")
    os.mkdir(os.path.join(store.base_dir, "1.0.0"))
    os.mkdir(os.path.join(store.base_dir, "mine"))
    keep(store, 1, ["1.9.8"])
    assert store.there() == sorted(["1.0.0", "1.12.0", "1.13.4", "1.13.4-rc1", "1.14.0", "mine"])


@pytest.mark.parametrize(
    "left", [["terraform.json"], [".tmp.removed.terraform", "terraform.json"], [".tmp.removed.x"], []]
)
def test_what_a_killed_removal_has_left_is_removed(store, left):
    """Also of a version that would stay, because there is nothing of it that could be kept."""
    store.module()
    for version in ("1.9.8", "1.13.4"):
        folder = os.path.dirname(store.binary(version))
        os.unlink(store.binary(version))
        for name in left:
            open(os.path.join(folder, name), "a").close()
        if "terraform.json" not in left:
            os.unlink(store.receipt(version))
    predicted = store.module(check=True, keep=10)
    result = store.module(keep=10)
    assert (
        result["changed"] and result["removed"] == predicted["removed"] and len(result["removed"]) == 2 * len(left) + 2
    )
    assert store.there() == ["1.12.0", "1.13.4-rc1", "1.14.0"]
    assert not store.module(keep=10)["changed"] and len(store.lines) == 1


def test_a_directory_with_anything_else_in_it_is_no_removal(store):
    os.unlink(store.binary("1.9.8"))
    os.mkdir(os.path.join(store.base_dir, "1.9.8", "notes"))
    keep(store, 10, [])
    assert "1.9.8" in store.there()


def test_while_a_receipt_cannot_be_read_nothing_goes(store, monkeypatch):
    """It may know a link to any of them."""
    read_receipt = usage.read_receipt

    def read(directory, name):
        if name == "1.13.4":
            raise _errors.InstallError("read: Input/output error (EIO)", path="/", errno=errno.EIO)
        return read_receipt(directory, name)

    monkeypatch.setattr(usage, "read_receipt", read)
    store.module(keep=1)
    assert store.there() == sorted(VERSIONS + (NEW,)) and "its links cannot be known: read: Input" in store.lines[-1]


@pytest.fixture
def interruptible():
    """A signal that nobody listens to fails the test, and does not end pytest."""

    def unheard(signum, frame):
        raise AssertionError("nobody listens")

    before = signal.signal(signal.SIGTERM, unheard)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_stop_that_was_swallowed_says_what_had_changed(store, monkeypatch, interruptible):
    """What cannot be read does not count as intact, whatever the reason."""

    def find_intact(base, name):
        os.kill(os.getpid(), signal.SIGTERM)

    looks = types.SimpleNamespace(find_intact=find_intact, is_version_dir=retention.installed.is_version_dir)
    monkeypatch.setattr(retention, "installed", looks)
    with pytest.raises(_errors.InstallError) as caught:
        store.module(keep=10)
    failure = caught.value
    assert "stopped by SIGTERM" in str(failure) and failure.changed


def test_who_stops_it_just_after_the_install_hears_of_that(store, monkeypatch, interruptible):
    applied_result = results.applied_result

    def late(outcome):
        os.kill(os.getpid(), signal.SIGTERM)
        return applied_result(outcome)

    monkeypatch.setattr(results, "applied_result", late)
    with pytest.raises(_errors.InstallError) as caught:
        store.module(keep=10)
    assert "stopped by SIGTERM" in str(caught.value) and caught.value.changed and NEW in store.there()


@pytest.mark.parametrize("removed", [True, False])
def test_who_stops_it_after_the_install_hears_what_happened(store, monkeypatch, removed, interruptible):
    make_plan = retention.make_plan

    def late(removal, signers):
        if removal.version == ("1.12.0" if removed else "1.9.8"):
            os.kill(os.getpid(), signal.SIGTERM)
        return make_plan(removal, signers)

    monkeypatch.setattr(retention, "make_plan", late)
    with pytest.raises(_errors.InstallError) as caught:
        store.module(keep=1)
    assert "stopped by SIGTERM" in str(caught.value) and caught.value.changed
    assert ("1.9.8" in store.there()) is not removed and NEW in store.there()


def test_files_of_others_in_a_directory_stay(store):
    path = os.path.join(store.base_dir, "1.9.8", "notes")
    open(path, "w").close()
    predicted = store.module(check=True, keep=4)
    result = store.module(keep=4)
    assert result["removed"] == predicted["removed"] == [store.binary("1.9.8"), store.receipt("1.9.8")]
    assert os.path.exists(path) and not store.module(keep=4)["changed"]


def test_what_comes_into_use_after_the_look_stays(store, monkeypatch):
    """Another run links it, or a process starts, before its lock is held."""
    apply_plan = retention.apply_plan

    def late(plan, *arguments):
        if plan.request.version == "1.9.8":
            os.symlink(store.binary("1.9.8"), store.at("late"))
            store.write_receipt("1.9.8", links=[store.at("late")])
        if plan.request.version == "1.12.0":
            running = NONE._replace(paths={os.path.realpath(store.binary("1.12.0")): 17})
            monkeypatch.setattr(usage, "list_executables", lambda: running)
        return apply_plan(plan, *arguments)

    monkeypatch.setattr(retention, "apply_plan", late)
    store.module(keep=1)
    assert store.there() == ["1.12.0", "1.14.0", "1.9.8"]


def test_check_mode_knows_which_receipts_are_left_by_then(store):
    """Two receipts know a link to a third version. The older one goes, and the other one has to stay for that."""
    other = store.at("other")
    for version in ("1.12.0", "1.13.4"):
        store.module(**dict(store.offer(version), link=other))
    os.unlink(other)
    os.symlink(store.binary("1.9.8"), other)
    predicted = store.module(True, keep=1)
    result = store.module(keep=1)
    assert predicted["removed"] == result["removed"] and store.there() == ["1.13.4", "1.14.0", "1.9.8"]


def test_check_mode_knows_how_a_process_may_be_called_by_then(store, monkeypatch):
    monkeypatch.setattr(usage, "list_executables", lambda: NONE._replace(hidden={"tf": 17}))
    assert store.module(True, keep=1, link=store.at("tf"))["removed"] == []
    assert store.module(keep=1, link=store.at("tf"))["removed"] == []


def begin(store, version):
    """What an install has made just before its binary is in place."""
    folder = os.path.dirname(store.binary(version))
    shutil.copytree(os.path.dirname(store.binary("1.13.4")), folder)
    store.overwrite(store.receipt(version), open(store.receipt(version), "rb").read().replace(b"1.13.4", b"1.15.0"))
    os.rename(store.binary(version), os.path.join(folder, ".tmp.binary.abcdefgh"))
    lock = os.path.join(store.base_dir, ".terraform-%s.lock" % version)
    open(lock, "w").close()
    os.chmod(lock, 0o600)
    return lock


def test_an_install_that_runs_is_no_rest_of_a_removal(store):
    store.module()
    path = begin(store, "1.15.0")

    def hold(ready):
        with open(path, "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            ready()
            time.sleep(600)

    with another_process(hold):
        for check in (True, False):
            result = store.module(check, keep=10)
            assert not result["changed"] and result["removed"] == [] and "1.15.0" not in store.lines[-1]
    assert store.module(True, keep=10)["removed"] == store.module(keep=10)["removed"] != []


@pytest.mark.parametrize("late_at", ["make_plan", "apply_plan"])
def test_an_install_that_has_just_come_to_its_end_stays(store, monkeypatch, late_at):
    """It was taken for the rest of a removal, at the first look."""
    store.module()
    begin(store, "1.15.0")
    really = getattr(retention, late_at)

    def late(*arguments):
        folder = os.path.dirname(store.binary("1.15.0"))
        os.rename(os.path.join(folder, ".tmp.binary.abcdefgh"), store.binary("1.15.0"))
        return really(*arguments)

    monkeypatch.setattr(retention, late_at, late)
    assert store.module(keep=10)["removed"] == [] and os.path.exists(store.binary("1.15.0"))
    assert ("another run has just installed %s" % store.binary("1.15.0") in store.lines[-1]) is (
        late_at == "apply_plan"
    )


def test_the_link_lock_is_waited_for(store):
    """For a moment, as any other installer holds it: a version must not stay for that."""
    store.module()
    path = os.path.join(store.base_dir, apply.LINK_LOCK)

    def hold(ready):
        with open(path, "a") as lock:
            os.chmod(path, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            ready()
            deadline = time.monotonic() + 600
            while not os.path.exists(path + ".go") and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.3)  # longer than the one try more of a run that does not wait

    def log(line, warning=False):
        if "waiting for another installer: %s is held" % path in line:
            open(path + ".go", "w").close()

    with another_process(hold):
        request = store.parsed(keep=4)
        pruned = retention.prune(request, log, False)
    assert pruned.versions == ("1.9.8",) and pruned.in_use == ()


def test_two_runs_at_once_do_not_forget_a_link_together(store, monkeypatch):
    """Each of two receipts knows a link, which points to a third version. Each run takes the other one for enough."""
    other, hold_lock = store.at("other"), apply.hold_lock
    for version in ("1.12.0", "1.13.4"):
        store.module(**dict(store.offer(version), link=other))
    os.unlink(other)
    os.symlink(store.binary("1.9.8"), other)

    def late(base, name, *arguments):
        if name == apply.LINK_LOCK and os.path.exists(store.binary("1.13.4")):
            monkeypatch.undo()
            shutil.rmtree(os.path.dirname(store.binary("1.13.4")))  # by another run
        return hold_lock(base, name, *arguments)

    monkeypatch.setattr(apply, "hold_lock", late)
    store.module(keep=1)
    assert store.there() == ["1.12.0", "1.14.0", "1.9.8"] and "nothing but its receipt knows" in store.lines[-1]
    assert not store.module(keep=1)["changed"] and os.path.exists(other)


def test_what_another_run_has_removed_meanwhile_is_not_ours(store, monkeypatch):
    make_plan = retention.make_plan

    def late(removal, signers):
        shutil.rmtree(os.path.dirname(store.binary(removal.version)))
        return make_plan(removal, signers)

    monkeypatch.setattr(retention, "make_plan", late)
    assert store.module(keep=4)["removed"] == [] and "1.9.8" not in store.there()


@needs_root
@pytest.mark.parametrize("main", [True, False])
def test_what_cannot_be_removed_is_an_error_after_the_install(store, monkeypatch, main):
    if not main:
        store.module()
    apply_plan = retention.apply_plan

    def fails(plan, *arguments):
        if plan.request.version == "1.12.0":
            raise _errors.InstallError("no", path=store.binary("1.12.0"), errno=1)
        return apply_plan(plan, *arguments)

    monkeypatch.setattr(retention, "apply_plan", fails)
    with pytest.raises(_errors.InstallError) as caught:
        store.module(keep=3)
    assert caught.value.changed and store.there() == sorted(VERSIONS[1:] + (NEW,)), "1.9.8 is gone, 1.12.0 is not"


def test_installers_that_prune_never_take_the_link_away(store):
    """Twelve at once, each with another version, while readers run the link all the time.

    At its end there is always one of these versions, which can be run.
    """
    link, number_of_readers, turns = store.at("tf"), 3, 30 if tiers.FULL else 1 if tiers.QUICK else 3
    versions = ["1.15.%d" % number for number in range(12)]
    offers = [dict(store.offer(version), link=link, keep=1) for version in versions]
    store.module(**offers[0])
    stop, seen, wrong = threading.Event(), [], []

    def install(offer, stream):
        for _turn in range(turns):
            store.module(**offer)

    def read():
        while not stop.is_set():
            try:
                answer = subprocess.check_output([link, "version", "-json"], env={})
                seen.append(json.loads(answer.decode("ascii"))["terraform_version"])
            except (OSError, ValueError, subprocess.CalledProcessError) as exc:
                wrong.append(repr(exc))

    with contextlib.ExitStack() as running:
        started = [running.enter_context(forked(functools.partial(install, offer))) for offer in offers]
        readers = [threading.Thread(target=read) for _number in range(number_of_readers)]
        try:
            for reader in readers:
                reader.start()
            statuses = [os.waitpid(pid, 0)[1] for pid, _stream in started]
            wait_until(lambda: seen or wrong, "a reader")
        finally:
            stop.set()
            for reader in readers:
                reader.join()
    assert not wrong and seen, (len(seen), len(wrong), wrong[:5])
    assert statuses == [0] * len(offers) and set(seen) <= set(versions)
    assert os.path.basename(os.path.dirname(os.readlink(link))) in store.there() and os.path.exists(link)
