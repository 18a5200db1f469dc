# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removals: what is ours goes, what is not stays and is named, and check mode says beforehand what the run then does."""

import errno
import os
import shutil

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._run import results
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import apply

LOCKS = [".terraform-1.13.4.lock", ".terraform-link.lock"]


def remove(host, **options):
    """A removal, of which check mode says the same, and after which there is nothing more to do."""
    before = host.picture()
    predicted = host.check(state="absent", **options)
    assert host.picture() == before
    result = host.run(state="absent", **options)
    warnings = host.warnings
    assert (predicted["changed"], predicted["removed"]) == (result["changed"], result["removed"])
    assert predicted["diff"] == result["diff"] and predicted["previous_version"] == result["previous_version"]
    assert not result["needs_archive"] and result["binary_sha256"] is None and result["verification"] is None
    assert not any(os.path.lexists(path) for path in result["removed"])
    again = host.run(state="absent", **options)
    assert not again["changed"] and again["removed"] == [] and len(host.lines) <= 2
    host.warnings = warnings
    return result


def test_all_of_it_goes_and_the_locks_stay(installed):
    result = remove(installed)
    folder = os.path.dirname(installed.binary())
    assert result["changed"] and result["removed"] == [installed.binary(), installed.receipt(), folder]
    installed.repair()
    installed.run(state="absent")
    reported = [line for line in installed.lines if line.startswith("removed: ")]
    assert reported == ["removed: %s" % path for path in result["removed"]]
    assert sorted(os.listdir(installed.base_dir)) == LOCKS and installed.warnings == []
    facts = result["ansible_facts"]["terraform_binary_result"]
    assert facts["path"] is None and facts["version"] is None and facts["versions"] == {}


def test_other_versions_stay(installed):
    installed.run(**installed.offer("1.14.0"))
    assert remove(installed)["intact_versions"] == ["1.14.0"]
    installed.assert_right("1.14.0")


def test_it_can_be_installed_again(installed):
    remove(installed)
    installed.repair()


# nothing to remove


def test_without_a_base_dir_nothing_is_created(host):
    assert not remove(host)["changed"] and os.listdir(host.folder) == []
    assert not remove(host, link=host.at("bin", "tf"))["changed"] and os.listdir(host.folder) == []


def test_without_the_version_nothing_is_created(installed):
    before = installed.picture()
    assert not remove(installed, version="1.14.0")["changed"]
    assert installed.picture() == before


def test_foreign_files_alone_are_none_of_our_business(installed):
    folder = os.path.dirname(installed.binary())
    for name in ("terraform", "terraform.json"):
        os.unlink(os.path.join(folder, name))
    open(os.path.join(folder, "mine"), "w").close()
    assert not remove(installed)["changed"] and installed.names() == ["mine"]


def test_a_link_alone_goes_and_says_nothing_of_foreign_files(installed):
    installed.run(link=installed.at("tf"))
    folder = os.path.dirname(installed.binary())
    for name in ("terraform", "terraform.json"):
        os.unlink(os.path.join(folder, name))
    open(os.path.join(folder, "mine"), "w").close()
    assert remove(installed, link=installed.at("tf"))["removed"] == [installed.at("tf")] and installed.warnings == []


def test_an_empty_directory_goes(installed):
    folder = os.path.dirname(installed.binary())
    os.unlink(installed.binary())
    os.unlink(installed.receipt())
    assert remove(installed)["removed"] == [folder]


# what is ours


def replaced_by_link(path):
    os.unlink(path)
    os.symlink("/bin/true", path)


BROKEN = {
    "flipped": lambda host: host.flip(host.binary()),
    "binary emptied": lambda host: os.truncate(host.binary(), 0),
    "binary is a link": lambda host: replaced_by_link(host.binary()),
    "receipt broken": lambda host: os.truncate(host.receipt(), 10),
    "receipt huge": lambda host: host.write_receipt(origin="x" * 70000),
    "receipt is a link": lambda host: replaced_by_link(host.receipt()),
    "receipt newer": lambda host: host.write_receipt(format=9, links=None),
    "another platform": lambda host: host.write_receipt(platform="plan9_amd64"),
}


@pytest.mark.parametrize("broken", sorted(BROKEN))
def test_what_is_broken_is_still_ours(installed, broken):
    BROKEN[broken](installed)
    assert remove(installed)["changed"] and installed.names() is None
    assert os.path.exists("/bin/true")


@pytest.mark.parametrize("left", ["terraform", "terraform.json"])
def test_after_a_crash_in_the_middle(installed, left):
    """The binary goes first, by way of a temporary name."""
    folder = os.path.dirname(installed.binary())
    os.rename(installed.binary(), os.path.join(folder, ".tmp.removed.terraform"))
    if left == "terraform":
        os.unlink(installed.receipt())
    removed = remove(installed)["removed"]
    assert os.path.join(folder, ".tmp.removed.terraform") in removed and removed[-1] == folder


def test_an_unreadable_binary_is_no_hindrance(installed, monkeypatch):
    """A removal reads none of it, so a dying disk cannot keep it."""

    def fail(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    assert installed.run(state="absent")["changed"] and installed.names() is None


def test_stale_temporary_files_go_with_it(installed):
    folder = os.path.dirname(installed.binary())
    names = [".tmp.binary.aaaaaaaa", ".tmp.receipt.bbbbbbbb"]
    for name in names:
        open(os.path.join(folder, name), "w").close()
    assert remove(installed)["removed"][2:] == [os.path.join(folder, name) for name in names] + [folder]


def test_stale_temporary_files_alone(installed):
    folder = os.path.dirname(installed.binary())
    for name in ("terraform", "terraform.json"):
        os.rename(os.path.join(folder, name), os.path.join(folder, ".tmp.%s.aaaaaaaa" % name))
    assert len(remove(installed)["removed"]) == 3


def test_paths_are_reported_as_they_were_requested(installed):
    """Not as the links on the way to them resolve."""
    os.symlink(installed.base_dir, installed.at("alias"))
    folder = installed.at("alias", "1.13.4")
    open(os.path.join(folder, ".tmp.binary.aaaaaaaa"), "w").close()
    result = remove(installed, base_dir=installed.at("alias"))
    names = ("terraform", "terraform.json", ".tmp.binary.aaaaaaaa")
    assert result["removed"] == [os.path.join(folder, name) for name in names] + [folder]


# what is not ours


def test_a_binary_without_a_receipt_is_refused(installed):
    os.unlink(installed.receipt())
    failure = installed.refuse(_errors.RequestError, state="absent")
    assert failure.path == installed.binary() and "has no receipt beside it" in str(failure)


@pytest.mark.parametrize("name", ["terraform", "terraform.json"])
def test_a_directory_in_the_place_of_either_is_refused(installed, name):
    path = os.path.join(os.path.dirname(installed.binary()), name)
    os.unlink(path)
    os.mkdir(path)
    assert installed.refuse(_errors.InstallError, state="absent").path == path


def test_foreign_files_stay_and_are_named(installed):
    folder = os.path.dirname(installed.binary())
    os.mkdir(os.path.join(folder, ".tmp.dir"))
    open(os.path.join(folder, "notes.txt"), "w").close()
    installed.check(state="absent")
    assert any("would leave %s" % folder in line for line in installed.lines)
    assert remove(installed)["removed"] == [installed.binary(), installed.receipt()]
    (warning,) = installed.warnings
    assert folder in warning and "notes.txt" in warning and ".tmp.dir" in warning
    assert installed.names() == [".tmp.dir", "notes.txt"]


@pytest.mark.parametrize("place", ["", "1.13.4"])
def test_a_store_that_others_can_write_is_refused(installed, place):
    os.chmod(os.path.join(installed.base_dir, place), 0o777)
    installed.refuse(_errors.InstallError, state="absent")


# links


def test_the_link_goes_first_when_it_points_there(installed):
    link = installed.at("bin", "tf")
    installed.run(link=link)
    result = remove(installed, link=link)
    assert result["removed"][0] == link and result["previous_version"] == "1.13.4" and not os.path.lexists(link)
    assert result["diff"]["before"]["link"] == {link: installed.binary()} and result["diff"]["after"]["link"] == {
        link: "absent"
    }


def test_a_link_that_points_elsewhere_stays(installed):
    link = installed.at("tf")
    installed.run(link=link)
    installed.run(link=link, **installed.offer("1.14.0"))
    result = remove(installed, link=link)
    assert link not in result["removed"] and os.readlink(link) == installed.binary("1.14.0")
    assert result["previous_version"] == "1.14.0" and result["diff"]["after"]["link"] == {
        link: installed.binary("1.14.0")
    }


def test_a_file_in_the_place_of_the_link_stays(installed):
    open(installed.at("tf"), "w").close()
    assert remove(installed, link=installed.at("tf"))["changed"] and os.path.isfile(installed.at("tf"))


@pytest.mark.parametrize("spelling", ["as recorded", "by alias"])
def test_another_link_protects_it(installed, spelling):
    link, base_dir = installed.at("tf"), installed.base_dir
    installed.run(link=link)
    if spelling == "by alias":
        os.symlink(base_dir, installed.at("alias"))
        base_dir = installed.at("alias")
    failure = installed.refuse(_errors.RequestError, state="absent", base_dir=base_dir)
    assert failure.path == link and "still what the link %s points to" % link in str(failure)
    installed.refuse(_errors.RequestError, state="absent", base_dir=base_dir, link=installed.at("other"))
    os.unlink(link)
    assert remove(installed)["changed"]


def test_a_recorded_link_that_moved_on_protects_nothing(installed):
    link = installed.at("tf")
    installed.run(link=link)
    os.unlink(link)
    os.symlink("/bin/true", link)
    assert remove(installed)["changed"] and os.readlink(link) == "/bin/true"


@pytest.mark.parametrize("known", ["by nobody else", "by its target", "by a damaged one", "it went, too"])
def test_a_link_to_another_version_that_nobody_else_knows_is_named(installed, known):
    """From now on, nothing spares what it points to."""
    other = installed.at("other")
    installed.run(link=other)
    installed.run(**installed.offer("1.14.0"))
    os.unlink(other)
    if known != "it went, too":
        os.symlink(installed.binary("1.14.0"), other)
    if known == "by its target":
        installed.write_receipt("1.14.0", links=[other])
    if known == "by a damaged one":
        installed.overwrite(installed.receipt("1.14.0"), b"{")
    assert installed.run(state="absent")["changed"]
    said = [line for line in installed.lines if "is in no other receipt" in line]
    assert bool(said) is (known in ("by nobody else", "by a damaged one"))
    for line in said:
        assert "the link %s, which points to %s, " % (other, installed.binary("1.14.0")) in line
        assert line.endswith(": install that version with link: %s" % other) and line in installed.warnings


def test_one_of_two_links_is_not_enough(installed):
    installed.run(link=installed.at("one"))
    installed.run(link=installed.at("two"))
    failure = installed.refuse(_errors.RequestError, state="absent", link=installed.at("one"))
    assert failure.path == installed.at("two") and os.path.lexists(installed.at("one"))


def test_a_dangling_link_goes_without_a_store(installed):
    link = installed.at("tf")
    installed.run(link=link)
    shutil.rmtree(installed.base_dir)
    result = remove(installed, link=link)
    assert result["removed"] == [link] and not os.path.lexists(installed.base_dir)


def test_a_dangling_link_goes_without_the_version(installed):
    link = installed.at("tf")
    installed.run(link=link)
    shutil.rmtree(os.path.dirname(installed.binary()))
    assert remove(installed, link=link)["removed"] == [link]


def test_a_link_made_by_hand_to_it_goes_when_it_is_named(installed):
    os.symlink(installed.binary(), installed.at("tf"))
    assert remove(installed, link=installed.at("tf"))["removed"][0] == installed.at("tf")


# in the middle of it


def test_a_failure_in_the_middle_says_what_was_done(installed, monkeypatch):
    rename = os.rename

    def fail(source, target, **where):
        if source == "terraform.json":
            raise OSError(errno.EACCES, "Permission denied")
        return rename(source, target, **where)

    monkeypatch.setattr(os, "rename", fail)
    failure = installed.fail(_errors.InstallError, state="absent")
    assert failure.changed and failure.errno == errno.EACCES and failure.path == installed.receipt()
    assert installed.names() == ["terraform.json"]
    monkeypatch.undo()
    assert remove(installed)["changed"]


def test_a_failure_before_anything_says_so(installed, monkeypatch):
    def fail(*args, **where):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "rename", fail)
    failure = installed.fail(_errors.InstallError, state="absent")
    assert not failure.changed and failure.errno == errno.EROFS and failure.hint


@pytest.mark.parametrize(
    "number, fails",
    [
        (errno.EACCES, True),
        (errno.EIO, True),
        (errno.ENOTEMPTY, False),
        (errno.ENOENT, False),
    ],
)
def test_a_directory_that_does_not_go(installed, monkeypatch, number, fails):
    """Somebody put something into it just now, or took it away: fine. Everything else is an error."""

    def fail(*args, **where):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "rmdir", fail)
    if fails:
        failure = installed.fail(_errors.InstallError, state="absent")
        assert failure.changed and failure.errno == number and failure.path == os.path.dirname(installed.binary())
    else:
        assert installed.run(state="absent")["removed"] == [installed.binary(), installed.receipt()]


def test_a_directory_that_goes_meanwhile(installed):
    installed.run(link=installed.at("tf"))
    said = installed.log

    def log(line, warning=False):
        said(line, warning)
        if line.startswith("removed: "):
            shutil.rmtree(os.path.dirname(installed.binary()), ignore_errors=True)

    installed.log = log
    assert installed.run(state="absent", link=installed.at("tf"))["removed"] == [installed.at("tf")]


def test_a_link_whose_directory_is_not_there(installed):
    assert remove(installed, link=installed.at("none", "tf"))["changed"] and not os.path.exists(installed.at("none"))


def test_who_comes_second_finds_it_removed(installed):
    plan, signers, source = installed._plan(installed.parsed(state="absent"))
    installed.run(state="absent")
    outcome = apply.apply_plan(plan, signers, source, installed.log)
    assert not outcome.changed and outcome.removed == ()
    assert results.applied_result(outcome)["msg"] == "%s is absent; another run did it just now" % installed.binary()
