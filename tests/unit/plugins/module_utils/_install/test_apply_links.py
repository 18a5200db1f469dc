# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The link: it moves last, and the receipt knows it before it does."""

import errno
import fcntl
import itertools
import os
import re
import signal

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import apply, link_history
from support.system import another_process


def test_the_link_is_made_moved_and_then_left_alone(installed):
    link = installed.at("bin", "terraform")
    first = installed.run(link=link)
    assert first["changed"] and first["previous_version"] is None and os.readlink(link) == installed.binary()
    assert installed.read_receipt()["links"] == [link]
    assert not installed.run(link=link)["changed"]
    newer = dict(installed.offer("1.14.0"), link=link)
    predicted = installed.check(**newer)
    assert predicted["previous_version"] == "1.13.4" and os.readlink(link) == installed.binary()
    result = installed.run(**newer)
    assert result["previous_version"] == "1.13.4" and os.readlink(link) == installed.binary("1.14.0")
    assert result["diff"]["before"]["link"] == {link: installed.binary()}
    back = installed.run(link=link)
    assert back["changed"] and not back["needs_archive"] and back["previous_version"] == "1.14.0"


@pytest.mark.parametrize("state", ["present", "absent"])
def test_the_link_is_touched_under_its_lock_only(installed, state):
    """Two installers of two versions hold two locks, and have one link: its lock lets one of them look and rename."""
    link = installed.at("bin", "terraform")
    if state == "absent":
        installed.run(link=link)

    def hold(ready):
        with open(os.path.join(installed.base_dir, apply.LINK_LOCK), "w") as file:
            os.chmod(file.name, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            ready()
            signal.pause()

    with another_process(hold):
        failure = installed.fail(_errors.LockError, link=link, state=state, lock_timeout=0)
        assert os.path.lexists(link) == (state == "absent")
    assert failure.path == os.path.join(installed.base_dir, apply.LINK_LOCK)
    assert installed.run(link=link, state=state)["changed"]


def test_the_link_is_in_the_receipt_before_it_is_there(installed):
    link = installed.at("tf")
    seen = []

    def log(line, warning=False):
        if line.startswith("receipt written"):
            seen.append((installed.read_receipt()["links"], os.path.lexists(link)))

    installed.log = log
    installed.run(link=link)
    assert seen == [([link], False)]


def test_a_right_link_that_nobody_recorded_is_recorded(installed):
    os.symlink(installed.binary(), installed.at("tf"))
    predicted = installed.check(link=installed.at("tf"))
    assert predicted["changed"] and not predicted["needs_archive"]
    assert installed.run(link=installed.at("tf"))["changed"]
    assert installed.read_receipt()["links"] == [installed.at("tf")]
    assert not installed.run(link=installed.at("tf"))["changed"]


def test_links_that_lead_out_of_the_store_are_forgotten(installed, monkeypatch):
    names = ("gone", "file", "away", "loop", "other", "alias", "hidden", "lost")
    for name in names:
        installed.run(link=installed.at(name))
    for name in names:
        os.unlink(installed.at(name))
    open(installed.at("file"), "w").close()
    os.symlink("/usr/bin/env", installed.at("away"))
    os.symlink("loop", installed.at("loop"))
    os.symlink(installed.binary("1.14.0"), installed.at("other"))  # which is not there, or not yet
    os.symlink(installed.base_dir, installed.at("store2"))
    os.symlink("store2/1.13.4/terraform", installed.at("alias"))
    for name, look in (("hidden", "lstat"), ("lost", "stat")):
        os.symlink("/elsewhere/terraform", installed.at(name))
        monkeypatch.setattr(link_history.os, look, refusing(installed.at(name), getattr(os, look)))
    installed.run(link=installed.at("new"))
    kept = ("other", "alias", "hidden", "lost", "new")
    assert installed.read_receipt()["links"] == [installed.at(name) for name in kept]


def refusing(path, really):
    """A function that may not look at one path, and does the same as ``really`` for all others."""

    def look(given, *arguments, **options):
        if given == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return really(given, *arguments, **options)

    return look


@pytest.mark.parametrize("damage", ["cut", "deleted", "writable", "closed"])
def test_a_repair_does_not_forget_the_links(installed, damage):
    installed.run(link=installed.at("tf"))
    {
        "cut": lambda path: os.truncate(path, 1),
        "deleted": os.unlink,
        "writable": lambda path: os.chmod(path, 0o777),
        "closed": lambda path: os.chmod(path, 0o700),
    }[damage](installed.binary())
    installed.repair()
    assert installed.read_receipt()["links"] == [installed.at("tf")]


def test_a_file_in_place_of_the_link(installed):
    link = installed.at("tf")
    with open(link, "w") as file:
        file.write("mine")
    failure = installed.refuse(_errors.InstallError, link=link)
    assert "regular file of 4 bytes" in str(failure) and "link_force" in failure.hint
    result = installed.run(link=link, link_force=True)
    assert result["changed"] and os.readlink(link) == installed.binary()
    assert result["diff"]["before"]["link"][link].startswith("4 bytes, sha256 ")


@pytest.mark.parametrize("second_name", [True, False])
def test_what_is_replaced_is_kept_where_that_is_asked_for(installed, monkeypatch, second_name):
    """The very file, whatever its mode and owner; also where it can have no second name, as on FAT."""
    link = installed.at("bin", "terraform")
    installed.run(link=link)
    os.unlink(link)
    with open(link, "w") as file:
        file.write("mine")
    os.chmod(link, 0o640)
    was = os.lstat(link)
    predicted = installed.check(link=link, link_force=True, backup=True)
    assert (
        "would keep the file %s as %s.<pid>.<date>~" % (link, link) in installed.lines
        and predicted["backup_file"] is None
    )
    assert predicted["diff"]["after"]["backup"] == link + ".<pid>.<date>~" and os.listdir(installed.at("bin")) == [
        "terraform"
    ]
    if not second_name:

        def refuse(*args, **settings):
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    result = installed.run(link=link, link_force=True, backup=True)
    kept = result["backup_file"]
    assert re.match(
        re.escape(link) + r"\.%d\.[0-9]{4}-[0-9]{2}-[0-9]{2}@[0-9]{2}:[0-9]{2}:[0-9]{2}~\Z" % os.getpid(), kept
    )
    found = os.lstat(kept)
    assert (found.st_ino, found.st_mode, found.st_mtime_ns, found.st_nlink) == (
        was.st_ino,
        was.st_mode,
        was.st_mtime_ns,
        1,
    )
    assert result["diff"]["after"]["backup"] == kept and "file kept: %s as %s" % (link, kept) in installed.lines
    assert os.readlink(link) == installed.binary() and len(os.listdir(installed.at("bin"))) == 2
    again = installed.run(link=link, link_force=True, backup=True, **installed.offer("1.14.0"))
    assert again["changed"] and again["backup_file"] is None and "backup" not in again["diff"]["after"], (
        "a link is not kept"
    )


def test_nothing_is_kept_unasked(installed):
    open(installed.at("tf"), "w").close()
    result = installed.run(link=installed.at("tf"), link_force=True)
    assert result["backup_file"] is None and not [name for name in os.listdir(installed.folder) if name.endswith("~")]


def test_a_directory_in_place_of_the_link(installed):
    """Also by another name, such as /bin on many systems: there it would replace the way to all other programs."""
    os.mkdir(installed.at("tf"))
    os.symlink("tf", installed.at("alias"))
    for link, force in itertools.product((installed.at("tf"), installed.at("alias")), (False, True)):
        failure = installed.refuse(_errors.InstallError, link=link, link_force=force)
        assert failure.hint == "name the link in it: %s/terraform" % link


def test_a_link_to_a_link_to_a_directory_that_is_gone_is_a_link(installed):
    os.symlink("nowhere", installed.at("tf"))
    assert installed.run(link=installed.at("tf"))["changed"]


def test_a_link_to_what_cannot_run_here_is_refused(installed):
    """Unless the run check is off on purpose. What is said of a removal does not matter."""
    installed.run_check = True
    foreign = installed.offer("1.9.8", platform="linux_arm64" if installed.platform == "linux_amd64" else "linux_amd64")
    failure = installed.refuse(_errors.RequestError, link=installed.at("tf"), **foreign)
    assert foreign["platform"] in str(failure) and "run_check: false" in failure.hint
    assert installed.run(**foreign)["changed"]
    assert any(line.startswith("run check skipped: ") and foreign["platform"] in line for line in installed.lines)
    assert installed.run(link=installed.at("tf"), run_check=False, **foreign)["changed"]
    assert "run check skipped: run_check is false" in installed.lines
    assert os.readlink(installed.at("tf")) == installed.binary("1.9.8")
    assert installed.run(link=installed.at("tf"), state="absent", **foreign)["changed"]


def test_a_run_check_that_took_place_is_not_called_skipped(installed):
    installed.run_check = True
    installed.run()
    assert not any("skipped" in line for line in installed.lines)


def test_a_link_is_refused_before_anything_is_installed(host):
    open(host.at("tf"), "w").close()
    host.refuse(_errors.InstallError, link=host.at("tf"), **host.offer())


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["1.13.4/terraform", "1.13.4/other", "1.14.0/tf", ".terraform-1.13.4.lock", ".tmp.x"])
def test_a_link_that_lies_in_the_store_by_another_name(installed, name, force):
    """It would be renamed over the binary that it shall point to."""
    installed.run(**installed.offer("1.14.0"))
    os.symlink(installed.base_dir, installed.at("alias"))
    failure = installed.refuse(_errors.RequestError, link=installed.at("alias", name), link_force=force)
    assert "among the store's own files" in str(failure)


def test_a_link_beside_the_versions_is_fine(installed):
    os.symlink(installed.base_dir, installed.at("alias"))
    assert installed.run(link=installed.at("alias", "terraform"))["changed"]


def test_a_receipt_like_file_elsewhere_does_not_matter(installed):
    open(installed.at("terraform.json"), "w").close()
    assert installed.run(link=installed.at("tf"))["changed"]


def test_a_huge_file_where_the_link_shall_be_is_not_hashed(installed):
    """A sparse one costs its owner nothing, and would be read for hours."""
    with open(installed.at("tf"), "w") as file:
        file.truncate(1 << 40)
    before = installed.check(link=installed.at("tf"), link_force=True)["diff"]["before"]
    assert before["link"] == {installed.at("tf"): "1099511627776 bytes, too large to be hashed"}
    assert installed.run(link=installed.at("tf"), link_force=True)["changed"]
    assert os.readlink(installed.at("tf")) == installed.binary()
