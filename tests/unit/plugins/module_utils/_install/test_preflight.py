# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that cannot take what is planned are refused by the look; those that can, or that need nothing, are not."""

import errno
import fcntl
import os
import signal

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import accounts, obstacles
from support.system import (
    NOBODY,
    ROOT,
    another_process,
    as_plain_user,
    mounted_again,
    needs_root,
    open_folder,
    small_disk,
)

LOCK = ".terraform-1.13.4.lock"


@pytest.fixture
def place(host):
    """A host whose folder all users can reach."""
    with open_folder() as folder:
        host.folder, host.base_dir = folder, os.path.join(folder, "store")
        yield host


@pytest.fixture
def populated(place):
    """A host with the version in its store, whose other versions can be asked for."""
    os.mkdir(place.at("bin"))
    place.defaults = dict(place.offer(), link=place.at("bin", "terraform"))
    assert place.run()["changed"]
    return place


def as_user(host, **options):
    """The refusal that a plain user gets from check mode and from a run alike."""

    def both():
        with pytest.raises(_errors.InstallError) as predicted:
            host.check(**options)
        failure = host.fail(_errors.InstallError, **options)
        assert str(failure) == str(predicted.value) and not failure.changed
        return str(failure), failure.errno, failure.path, failure.hint

    return as_plain_user(both)


def give(path, uid=NOBODY):
    for parent, folders, names in os.walk(path):
        for each in [parent] + [os.path.join(parent, name) for name in folders + names]:
            os.chown(each, uid, uid, follow_symlinks=False)


# rights


def test_a_plain_user_below_a_directory_of_root(place):
    offer = place.offer()
    os.chmod(place.folder, 0o555)
    message, number, path, hint = as_user(place, base_dir=place.at("deep", "er"), **offer)
    assert (number, path) == (errno.EACCES, place.at("deep", "er", "1.13.4", "terraform"))
    user = accounts.user_name(NOBODY if ROOT else os.geteuid())
    owner = accounts.account_text(os.stat(place.folder))
    assert message.startswith(
        "cannot write %s: %s may not write to %s (%s, dr-xr-xr-x) on " % (path, user, place.folder, owner)
    )
    assert "run as a user who may do this" in hint and "another base_dir" in hint
    os.chmod(place.folder, 0o755)


@needs_root
@pytest.mark.parametrize(
    "mine, theirs, doing",
    [
        ("store", "store/1.13.4", "write {0}/store/1.13.4/terraform: {1} may not write to {0}/store/1.13.4 "),
        ("store/1.13.4", "store", "make the lock {0}/store/.terraform-1.13.4.lock: {1} may not write to {0}/store "),
        (
            "store",
            "store/" + LOCK,
            "open the lock {0}/store/.terraform-1.13.4.lock: {1} may not write to {0}/store/.terr",
        ),
    ],
)
def test_a_plain_user_in_a_store_that_is_partly_of_root(populated, mine, theirs, doing):
    give(populated.folder)
    os.chown(populated.folder, 0, 0)
    if theirs == "store":
        os.unlink(populated.at("store", LOCK))
    os.unlink(populated.binary())
    os.chown(populated.at(theirs), 0, 0)
    message, number, _path, _hint = as_user(populated)
    assert number == errno.EACCES
    assert message.startswith("cannot " + doing.format(populated.folder, accounts.user_name(NOBODY)))


@needs_root
def test_a_plain_user_whose_link_is_in_a_directory_of_root(populated):
    give(populated.base_dir)
    options = dict(populated.offer("1.14.0"))
    message, number, path, hint = as_user(populated, **options)
    assert (number, path) == (errno.EACCES, populated.at("bin", "terraform")) and "another link" in hint
    assert "may not write to %s (root:root, drwxr-xr-x)" % populated.at("bin") in message
    message = as_user(populated, link=populated.at("new", "terraform"))[0]
    assert "may not write to %s (root:" % populated.folder in message
    assert as_plain_user(lambda: populated.run(link=None, **options))["changed"]


@needs_root
@pytest.mark.parametrize(
    "theirs, what", [("bin", "bin/terraform"), ("store/1.13.4", "store/1.13.4/terraform"), ("store", "store/1.13.4")]
)
def test_a_removal_by_a_plain_user_is_predicted_too(populated, theirs, what):
    give(populated.folder)
    os.chown(populated.folder, 0, 0)
    with open(populated.at("store", ".terraform-link.lock"), "a") as lock:
        os.fchown(lock.fileno(), NOBODY, NOBODY)
    os.chown(populated.at(theirs), 0, 0)
    message, number, path, _hint = as_user(populated, state="absent")
    assert (number, path) == (errno.EACCES, populated.at(*what.split("/"))) and message.startswith(
        "cannot remove %s: " % path
    )


@needs_root
def test_who_needs_nothing_is_refused_nothing(populated):
    """As any user, on a disk that is read-only, full and noexec."""
    populated.run_check = True
    populated.run()
    assert not as_plain_user(populated.run)["changed"]
    with mounted_again(populated.folder, "ro,noexec"):
        assert not populated.run()["changed"] and not populated.check(run_check=True)["changed"]
        assert not populated.run(version="1.0.0", state="absent", link=None)["changed"]


def test_root_may_do_more_than_modes_say(place):
    if not ROOT:
        pytest.skip("needs root")
    os.mkdir(place.base_dir)
    os.chmod(place.base_dir, 0o555)
    assert place.run(**place.offer())["changed"]


def test_what_refuses_root_is_no_question_of_its_rights(place, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *args, **settings: False)
    monkeypatch.setattr(obstacles.os, "geteuid", lambda: 0)
    failure = place.refuse(_errors.InstallError, **place.offer())
    assert "root may not write to %s" % place.folder in str(failure) and "lsattr" in failure.hint


def test_one_fault_of_the_storage_is_not_taken_for_a_no(place, monkeypatch):
    """access(2) answers all faults alike; Python gives no errno."""
    real, answers = os.access, []

    def once(*args, **settings):
        answers.append(len(answers) % 2 == 1 and real(*args, **settings))
        return answers[-1]

    monkeypatch.setattr(os, "access", once)
    assert place.check(**place.offer())["changed"] and answers == [False, True]


# mounts


@needs_root
def test_a_read_only_mount(populated):
    newer = populated.offer("1.14.0")
    with mounted_again(populated.folder, "ro"):
        for options, path in (
            (newer, populated.base_dir),
            (dict(base_dir=populated.at("new")), populated.at("new")),
            (dict(mode="0700"), populated.base_dir),
            (dict(link=populated.at("tf")), populated.base_dir),
            (dict(state="absent"), populated.base_dir),
        ):
            failure = populated.refuse(_errors.InstallError, **options)
            assert failure.errno == errno.EROFS and failure.path.startswith(path)
            assert ": %s (" % populated.folder in str(failure) and str(failure).endswith(") is mounted read-only")
            assert "remount it, or choose another base_dir" in failure.hint
    with mounted_again(populated.at("bin"), "ro"):
        failure = populated.refuse(_errors.InstallError, **newer)
        assert (
            failure.errno == errno.EROFS
            and failure.path == populated.at("bin", "terraform")
            and "another link" in failure.hint
        )
        assert populated.run(link=None, **newer)["changed"]


@needs_root
def test_a_noexec_mount_matters_where_something_is_run(populated):
    populated.run_check = True
    newer = populated.offer("1.14.0")
    foreign = populated.offer("1.9.8", platform="linux_arm64" if populated.platform == "linux_amd64" else "linux_amd64")
    with mounted_again(populated.folder, "noexec"):
        for options in (
            newer,
            dict(link=populated.at("tf")),
            dict(mode="0700"),
            dict(base_dir=populated.at("new", "er")),
        ):
            failure = populated.refuse(_errors.RunCheckError, **options)
            assert (
                failure.errno == errno.EACCES and "%s (" % populated.folder in str(failure) and "noexec" in str(failure)
            )
            assert "run_check: false" in failure.hint
        assert populated.run(run_check=False, **newer)["changed"]
        assert populated.run(link=None, **foreign)["changed"]
        assert populated.run(state="absent")["changed"]


# room


@pytest.fixture
def small(served, site):
    """callable(options of a tmpfs) -> a host with a store on that, which downloads."""
    disks = []

    def make(options):
        served.base_dir = served.at("disk%d" % len(disks), "store")
        os.mkdir(os.path.dirname(served.base_dir))
        disks.append(small_disk(os.path.dirname(served.base_dir), options))
        disks[-1].__enter__()
        return served

    yield make
    for disk in disks:
        disk.__exit__(None, None, None)


def probe(host):
    """The same from check mode and from a run, which asks no site before."""
    with pytest.raises(_errors.InstallError) as planned:
        host.plan()
    failure = host.fail(_errors.InstallError)
    assert str(planned.value) == str(failure) and not os.path.exists(host.base_dir)
    return failure


@needs_root
def test_a_full_disk_is_seen_before_anything_is_fetched(small, site):
    host = small("size=90m")
    failure = probe(host)
    disk = os.path.dirname(host.base_dir)
    assert (failure.errno, failure.path) == (errno.ENOSPC, host.binary()) and site.requests == []
    assert str(failure) == "94 MB free on %s (tmpfs), 100 MB needed for %s" % (disk, host.binary())
    assert "free some space" in failure.hint and "another base_dir" in failure.hint


@needs_root
@pytest.mark.parametrize("options", ["size=120m", "size=0"])
def test_a_disk_with_room_or_that_does_not_count_is_not_full(small, options):
    assert small(options).run()["changed"]


@needs_root
def test_a_disk_without_an_inode_left(small, site):
    host = small("size=120m,nr_inodes=1")
    failure = probe(host)
    assert failure.errno == errno.ENOSPC and "no inode free on" in str(failure) and site.requests == []


@needs_root
def test_the_link_needs_a_name_as_well(small):
    host = small("size=120m,nr_inodes=1")
    link = os.path.join(os.path.dirname(host.base_dir), "terraform")
    host.base_dir = host.at("store")
    with pytest.raises(_errors.InstallError) as caught:
        host.plan(link=link)
    assert caught.value.path == link and "no inode free" in str(caught.value) and "another link" in caught.value.hint
    assert host.run()["changed"]


@needs_root
def test_what_is_known_of_a_version_counts_in_place_of_a_guess(small):
    host = small("size=120m")
    assert host.run()["changed"]
    fill(host, 110 << 20)
    os.truncate(host.binary(), 1)
    assert host.run()["changed"]


def fill(host, size, *names):
    path = os.path.join(host.base_dir, *names or ("ballast",))
    with open(path, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    return path


@needs_root
def test_stale_temporary_files_make_room_when_they_go(small):
    host = small("size=120m")
    os.makedirs(os.path.join(host.base_dir, "1.13.4"))
    path = fill(host, 110 << 20, "1.13.4", ".tmp.binary.abcdefgh")
    assert host.run()["changed"] and not os.path.exists(path)


@needs_root
def test_a_concurrent_run_takes_the_room_for_the_same(small):
    host = small("size=120m")
    os.makedirs(os.path.join(host.base_dir, "1.13.4"))
    fill(host, 110 << 20, "1.13.4", ".tmp.binary.abcdefgh")

    def hold(ready):
        with open(os.path.join(host.base_dir, LOCK), "w") as file:
            os.chmod(file.name, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            ready()
            signal.pause()

    with another_process(hold):
        assert host.plan().changes
    fill(host, 5 << 20, "other")
    os.rename(os.path.join(host.base_dir, "1.13.4", ".tmp.binary.abcdefgh"), os.path.join(host.base_dir, "mine"))
    with pytest.raises(_errors.InstallError):
        host.plan()


@needs_root
def test_a_kernel_that_does_not_say_is_not_held_against_the_host(small, monkeypatch):
    """fstatvfs(3) of a descriptor with O_PATH, before Linux 3.12."""
    host, real = small("size=64k"), os.fstatvfs

    def refuse(fd):
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(os, "fstatvfs", refuse)
    assert host.plan().changes

    def fail(fd):
        if fd < 0:
            return real(fd)
        raise OSError(errno.EIO, "x")

    monkeypatch.setattr(os, "fstatvfs", fail)
    with pytest.raises(_errors.InstallError) as caught:
        host.plan()
    assert caught.value.errno == errno.EIO
