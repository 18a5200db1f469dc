# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a removal of everything takes beside the versions, what it leaves, and that installers beside it lose nothing."""

import errno
import functools
import os
import shutil
import signal

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import lock
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.directory import (
    open_trusted_directory,
    trusted_owners,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import apply, leftovers
from support.system import another_process, as_plain_user, needs_root, open_folder, small_disk, wait_until

LOCKS = [".terraform-1.13.4.lock", ".terraform-link.lock"]


def clear(host, **options):
    """What is cleared away: (names of the paths, lines about what stays); check mode says the same, and touches nothing."""
    parsed = host.parsed(version="all", state="absent", **options)
    before = host.picture()
    rest = leftovers.find_leftovers(parsed)
    assert host.picture() == before
    said = []
    removed, left = leftovers.remove_leftovers(parsed, said.append)
    assert removed == tuple("%s/%s" % (parsed.base_dir, name) for name in rest.locks) + (parsed.base_dir,) * rest.base
    assert left == rest.left and said == ["removed: %s" % path for path in removed]
    assert not any(os.path.lexists(path) for path in removed)
    assert not leftovers.remove_leftovers(parsed, said.append)[0], "a second time there is nothing to do"
    return [os.path.basename(path) for path in removed], left


@pytest.fixture
def emptied(installed):
    """A host from which the version was removed; its locks are left."""
    installed.run(state="absent")
    assert sorted(os.listdir(installed.base_dir)) == LOCKS
    return installed


def test_locks_and_the_empty_base_dir_go(emptied):
    assert clear(emptied) == (LOCKS + ["store"], ()) and os.listdir(emptied.folder) == [
        os.path.basename(emptied.defaults["archive"])
    ]
    emptied.repair()


def test_without_a_base_dir_there_is_nothing(host):
    assert clear(host) == ([], ()) and os.listdir(host.folder) == []


def test_an_empty_directory_may_be_anybodys(host, monkeypatch):
    """As /mnt is. What was emptied just now is ours, and so is what is at the usual place."""
    os.mkdir(host.base_dir)
    why = "%s: it is empty, and nothing in it says that this module made it" % host.base_dir
    assert clear(host) == ([], (why,))
    monkeypatch.setattr(leftovers, "DEFAULT_BASE_DIR", host.base_dir)
    assert clear(host) == (["store"], ())
    monkeypatch.undo()
    os.mkdir(host.base_dir)
    assert leftovers.remove_leftovers(host.parsed(version="all", state="absent"), [].append, ours=True)[0] == (
        host.base_dir,
    )


def test_the_lock_of_a_version_that_stays_stays(installed):
    assert clear(installed) == (
        [],
        ("%s: what else is in it is not ours, or came meanwhile: 1.13.4" % installed.base_dir,),
    )
    assert sorted(os.listdir(installed.base_dir)) == [LOCKS[0], "1.13.4"]


def test_what_is_not_ours_stays_and_is_named(emptied):
    for name in ["notes", ".terraform-x.lock", ".terraform-.lock", "terraform"]:
        open(os.path.join(emptied.base_dir, name), "w").close()
    removed, (line,) = clear(emptied)
    assert removed == LOCKS and line.endswith(": .terraform-.lock, .terraform-x.lock, notes, terraform")


def test_only_some_names_are_listed(emptied):
    for number in range(30):
        open(os.path.join(emptied.base_dir, "n%02d" % number), "w").close()
    (line,) = clear(emptied)[1]
    assert line.endswith("n09 and 20 more")


def test_a_lock_that_is_held_stays_and_so_does_the_base_dir(emptied):
    def hold(ready):
        with open_trusted_directory(emptied.base_dir, "base_dir", trusted_owners(), None) as directory, lock.hold_lock(
            directory, LOCKS[0], 60, None
        ):
            ready()
            signal.pause()

    with another_process(hold):
        removed, left = clear(emptied)
    assert removed == LOCKS[1:] and left == ("%s/%s: another process holds it" % (emptied.base_dir, LOCKS[0]),)


def test_a_lock_that_cannot_be_looked_at_stays(emptied, monkeypatch):
    monkeypatch.setattr(leftovers, "is_held", lambda *args: None)
    removed, left = clear(emptied)
    assert removed == [] and len(left) == 2 and all("cannot be told" in line for line in left)


def test_a_version_that_came_meanwhile_keeps_its_lock(emptied, monkeypatch):
    """It was installed between the look and the lock."""
    real = leftovers.remove_lock

    def discard(directory, name, unused):
        os.makedirs(os.path.join(emptied.base_dir, "1.13.4"), exist_ok=True)
        return real(directory, name, unused)

    monkeypatch.setattr(leftovers, "remove_lock", discard)
    removed, left = leftovers.remove_leftovers(emptied.parsed(version="all", state="absent"), lambda line: None)
    assert removed == (os.path.join(emptied.base_dir, LOCKS[1]),)
    assert left == ("%s/%s: it is in use again" % (emptied.base_dir, LOCKS[0]),)
    assert sorted(os.listdir(emptied.base_dir)) == [LOCKS[0], "1.13.4"]


@pytest.mark.parametrize("number, stays", [(errno.ENOTEMPTY, True), (errno.EBUSY, True), (errno.EIO, False)])
def test_a_base_dir_that_does_not_go(emptied, monkeypatch, number, stays):
    def rmdir(*args, **where):
        raise OSError(number, os.strerror(number))

    parsed = emptied.parsed(version="all", state="absent")
    monkeypatch.setattr(os, "rmdir", rmdir)
    if stays:
        removed, (line,) = leftovers.remove_leftovers(parsed, lambda line: None)
        assert len(removed) == 2 and os.strerror(number) in line
    else:
        with pytest.raises(_errors.InstallError) as caught:
            leftovers.remove_leftovers(parsed, lambda line: None)
        assert caught.value.changed and caught.value.errno == number


def test_the_directory_above_is_moved_away_at_the_last_moment(emptied, monkeypatch):
    parent, real, looks = os.path.dirname(emptied.base_dir), leftovers._find_obstacle, []

    def find_hindrance(base, parsed):
        looks.append(real(base, parsed))
        if len(looks) == 2:  # the one right before the removal
            os.rename(parent, parent + "-away")
        return looks[-1]

    monkeypatch.setattr(leftovers, "_find_obstacle", find_hindrance)
    try:
        removed, left = leftovers.remove_leftovers(emptied.parsed(version="all", state="absent"), lambda line: None)
    finally:
        os.rename(parent + "-away", parent)
    assert looks == ["", ""] and len(removed) == 2 and os.path.isdir(emptied.base_dir)
    assert left == ("%s: it was moved away just now" % emptied.base_dir,)


def test_a_base_dir_behind_a_link_stays(emptied):
    os.rename(emptied.base_dir, emptied.at("real"))
    os.symlink("real", emptied.base_dir)
    removed, left = clear(emptied)
    assert removed == LOCKS and left == ("%s: it is a symbolic link" % emptied.base_dir,)
    assert os.listdir(emptied.at("real")) == []


@needs_root
def test_a_file_system_of_its_own_stays(host):
    os.mkdir(host.base_dir)
    with small_disk(host.base_dir):
        assert clear(host) == ([], ("%s: it is the top of a file system" % host.base_dir,))


@needs_root
@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_a_base_dir_that_this_user_may_not_remove_stays(host, mode):
    with open_folder() as host.folder:
        host.base_dir = host.at("above", "store")
        os.makedirs(host.base_dir)
        os.chmod(host.at("above"), mode)
        left = "%s: this user may not change %s" % (host.base_dir, host.at("above"))
        assert as_plain_user(lambda: clear(host)) == ([], (left,))
        assert os.path.isdir(host.base_dir)


@pytest.mark.parametrize("place", ["store", ""])
def test_a_place_that_others_can_write_to_is_refused(emptied, place):
    os.chmod(os.path.join(emptied.folder, place), 0o777)
    with pytest.raises(_errors.InstallError, match="is not safe"):
        leftovers.remove_leftovers(emptied.parsed(version="all", state="absent"), lambda line: None)


def test_which_versions_it_is_about(installed):
    for name in ("1.2.3", "1.10.0-rc1", "1.10.0", "current"):
        os.mkdir(os.path.join(installed.base_dir, name))
    open(os.path.join(installed.base_dir, "1.2.4"), "w").close()
    parsed = installed.parsed(version="all", state="absent", link=installed.at("tf"))
    assert leftovers.find_versions(parsed) == ["1.2.3", "1.10.0-rc1", "1.10.0", "1.13.4"]
    for target, found in (
        (installed.binary("1.11.0"), True),
        ("/elsewhere/1.11.0/terraform", False),
        (installed.binary("current"), False),
        (installed.binary("1.11.0") + "x", False),
    ):
        os.symlink(target, installed.at("tf"))
        assert ("1.11.0" in leftovers.find_versions(parsed)) is found
        os.unlink(installed.at("tf"))


# beside others


def test_an_installer_that_waits_begins_anew_in_a_new_base_dir(emptied):
    """Everything goes between its walk to the base dir and its lock."""
    plan, signers, source = emptied._plan(emptied.parsed())
    lines = []

    def log(line, warning=False):
        lines.append(line)
        if line.startswith("directory verified: ") and not any(each.startswith("starting again") for each in lines):
            assert clear(emptied)[0] == LOCKS + ["store"]

    assert apply.apply_plan(plan, signers, source, log).changed
    assert (
        len([line for line in lines if line.startswith("starting again, because another process removes everything: ")])
        == 1
    )
    emptied.assert_right()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="there is no /proc")
def test_where_nothing_can_be_created_that_is_reported_once(emptied):
    """mkdir(2) in /proc says ENOENT, as if somebody removed the base dir again and again."""
    plan, signers, source = emptied._plan(emptied.parsed())
    plan = plan._replace(request=plan.request._replace(base_dir="/proc/nowhere"))
    lines = []
    with pytest.raises(_errors.InstallError, match="/proc/nowhere"):
        apply.apply_plan(plan, signers, source, lambda line, warning=False: lines.append(line))
    assert len([line for line in lines if line.startswith("starting again")]) == 1, lines


def test_a_removal_that_waits_finds_all_of_it_gone(installed):
    plan, signers, source = installed._plan(installed.parsed(state="absent"))

    def log(line, warning=False):
        if line.startswith("directory verified: ") and os.path.isdir(installed.base_dir):
            installed.log = lambda *args, **how: None
            installed.run(state="absent")
            clear(installed)

    assert not apply.apply_plan(plan, signers, source, log).changed and not os.path.exists(installed.base_dir)


def test_another_remover_may_be_quicker(emptied, monkeypatch):
    """It takes everything between our walk to the base dir and our look, or between that and a lock."""
    parsed, walked, discarded = (
        emptied.parsed(version="all", state="absent"),
        leftovers.open_trusted_directory,
        leftovers.remove_lock,
    )

    def walk(path, *args, **how):
        opened = walked(path, *args, **how)
        if path == emptied.base_dir:
            shutil.rmtree(path)
        return opened

    def discard(*args):
        shutil.rmtree(emptied.base_dir, ignore_errors=True)
        return discarded(*args)

    monkeypatch.setattr(leftovers, "remove_lock", discard)
    assert leftovers.remove_leftovers(parsed, lambda line: None) == ((), ())
    os.mkdir(emptied.base_dir)
    monkeypatch.setattr(leftovers, "open_trusted_directory", walk)
    assert leftovers.find_leftovers(parsed) == ((), False, ())


def test_another_absence_is_an_error_at_once(emptied, monkeypatch):
    def locked(*args):
        raise _errors.InstallError("open the lock: No such file", errno=errno.ENOENT)

    plan, signers, source = emptied._plan(emptied.parsed())
    monkeypatch.setattr(apply, "hold_lock", locked)
    with pytest.raises(_errors.InstallError, match="open the lock"):
        apply.apply_plan(plan, signers, source, emptied.log)


def test_installers_and_removers_of_everything_beside_each_other(installed):
    """Two install over and over while two remove all there is, base dir included. No installer fails, none finds half a
    binary, and at the end everything is either whole or gone."""
    counts = installed.at("counts")

    def note(text):
        fd = os.open(counts, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, text)
        os.close(fd)

    def install(ready):
        ready()
        for round_number in range(6):  # as soon as all of it is gone, or the binary alone
            gone = installed.base_dir if round_number % 2 else installed.binary()
            wait_until(functools.partial(lambda path: not os.path.exists(path), gone))
            plan, signers, source = installed._plan(installed.parsed())
            if plan.changes:
                outcome = apply.apply_plan(plan, signers, source, installed.log)
                assert outcome.receipt.version == "1.13.4"
                note(b"i" * outcome.changed)

    def remove(ready):
        ready()
        while True:
            plan, signers, source = installed._plan(installed.parsed(state="absent"))
            if plan.changes:
                apply.apply_plan(plan, signers, source, installed.log)
            removed, _left = leftovers.remove_leftovers(
                installed.parsed(version="all", state="absent"), lambda line: None
            )
            note(b"r" * (installed.base_dir in removed))

    with another_process(remove) as one, another_process(remove) as two:
        with another_process(install) as three, another_process(install) as four:
            assert [os.waitpid(pid, 0)[1] for pid in (three, four)] == [0, 0]
        os.kill(one, 0)
        os.kill(two, 0)
        wait_until(lambda: not os.path.exists(installed.base_dir))
        assert all(os.waitpid(pid, os.WNOHANG) == (0, 0) for pid in (one, two)), "a remover failed"
    with open(counts) as stream:
        done = stream.read()
    assert done.count("i") >= 3 and done.count("r") >= 3
    installed.repair()
