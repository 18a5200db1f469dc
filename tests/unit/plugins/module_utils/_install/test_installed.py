# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift: each damage is seen, by its own words, and repaired; receipts of other collections; what spares the hashing."""

import errno
import grp
import os
import shutil
import stat

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import directory as directory_module
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import installed as installed_module
from support.system import NOBODY, lying_disk, open_folder

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


# damage: what was done to it -> what check mode says, whether it takes an archive


def replace_by_link(path):
    os.rename(path, path + "-elsewhere")
    os.rename(path + "-elsewhere", os.path.join(os.path.dirname(path), "..", "elsewhere"))
    os.symlink("../elsewhere", path)


def replace_by_fifo(path):
    os.unlink(path)
    os.mkfifo(path)


def of_another_version(host):
    with open(host.receipt(), "rb") as file:
        data = file.read()
    host.overwrite(host.receipt(), data.replace(b'"1.13.4"', b'"1.13.3"'))


DAMAGES = {
    "a flipped bit": (lambda host: host.flip(host.binary()), "has sha256", True),
    "cut short": (lambda host: os.truncate(host.binary(), 100), "has 100 bytes, expected 385", True),
    "emptied": (lambda host: os.truncate(host.binary(), 0), "has 0 bytes", True),
    "longer": (lambda host: os.truncate(host.binary(), 386), "has 386 bytes", True),
    "deleted": (lambda host: os.unlink(host.binary()), "is missing", True),
    "all deleted": (lambda host: shutil.rmtree(os.path.dirname(host.binary())), "is not installed", True),
    "another mode": (lambda host: os.chmod(host.binary(), 0o700), "mode 0700, expected 0755", False),
    "setuid": (lambda host: os.chmod(host.binary(), 0o4755), "mode 4755, expected 0755", False),
    "not executable": (lambda host: os.chmod(host.binary(), 0o644), "mode 0644, expected 0755", False),
    "writable by its group": (lambda host: os.chmod(host.binary(), 0o775), "could be written by others", False),
    "writable by all": (lambda host: os.chmod(host.binary(), 0o757), "could be written by others", False),
    "a link in its place": (lambda host: replace_by_link(host.binary()), "is not a regular file (l", True),
    "a pipe in its place": (lambda host: replace_by_fifo(host.binary()), "is not a regular file (p", True),
    "no receipt": (lambda host: os.unlink(host.receipt()), "terraform.json is missing", True),
    "a broken receipt": (lambda host: host.overwrite(host.receipt(), b"{"), "is not JSON", True),
    "a cut receipt": (lambda host: os.truncate(host.receipt(), 100), "is not JSON", True),
    "an empty receipt": (lambda host: os.truncate(host.receipt(), 0), "is not JSON", True),
    "a huge receipt": (lambda host: host.write_receipt(origin="x" * 65536), "is larger than 65536 bytes", True),
    "the receipt of another version": (of_another_version, "is about 'terraform' '1.13.3'", True),
    "a link for a receipt": (lambda host: replace_by_link(host.receipt()), "json is not a regular file", True),
    "a receipt others can write": (lambda host: os.chmod(host.receipt(), 0o664), "could be written by others", True),
    "a receipt with another size": (lambda host: host.write_receipt(size=1), "has 385 bytes, expected 1", True),
}


@pytest.mark.parametrize("verify", ["full", "receipt"])
@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_damage_is_seen_and_repaired(installed, damage, verify):
    strike, words, needs_archive = DAMAGES[damage]
    installed.defaults["verify"] = verify
    strike(installed)
    before = installed.picture()
    predicted = installed.check()
    assert predicted["changed"] and predicted["needs_archive"] is needs_archive
    assert any(words in line for line in installed.lines), installed.lines
    assert installed.picture() == before
    result = installed.repair()
    assert result["needs_archive"] is needs_archive


@pytest.mark.parametrize("damage", ["a cut receipt", "a flipped bit"])
def test_what_was_repaired_is_run_again(installed, damage):
    installed.run_check = True
    installed.run()
    DAMAGES[damage][0](installed)
    installed.repair()
    assert installed.read_receipt()["run_check"] == "1.13.4"


def test_a_receipt_with_another_digest(installed):
    installed.write_receipt(sha256="0" * 64)
    assert installed.check()["needs_archive"] and any("has sha256" in line for line in installed.lines)
    installed.repair()


def test_a_repair_keeps_the_very_file(installed):
    os.chmod(installed.binary(), 0o700)
    inode = os.stat(installed.binary()).st_ino
    installed.repair()
    assert os.stat(installed.binary()).st_ino == inode


def test_what_others_may_have_open_is_not_repaired_but_replaced(installed):
    os.chmod(installed.binary(), 0o775)
    with open(installed.binary(), "r+b") as held_by_another:
        installed.repair()
        held_by_another.write(b"evil")
    installed.assert_right()
    assert installed.read_receipt()["inode"] == os.stat(installed.binary()).st_ino


def test_a_file_with_a_second_name_is_not_repaired_but_replaced(installed):
    os.link(installed.binary(), installed.at("second"))
    os.chmod(installed.binary(), 0o700)
    assert not installed.check()["needs_archive"] and any("has 2 names" in line for line in installed.lines)
    installed.repair()
    second = os.stat(installed.at("second"))
    assert stat.S_IMODE(second.st_mode) == 0o700 and second.st_ino != os.stat(installed.binary()).st_ino


def test_a_second_name_alone_is_no_damage(installed):
    os.link(installed.binary(), installed.at("second"))
    assert not installed.run()["changed"]


@as_root
@pytest.mark.parametrize("verify", ["full", "receipt"])
def test_a_binary_of_another_user_is_replaced(installed, verify):
    os.chown(installed.binary(), 12345, 12345)
    predicted = installed.check(verify=verify)
    assert not predicted["needs_archive"] and any("belongs to 12345, who" in line for line in installed.lines)
    assert predicted["diff"]["before"]["owner"] == "12345:12345"
    assert predicted["diff"]["after"]["owner"] == "root:%s" % grp.getgrgid(os.getegid()).gr_name
    installed.repair(verify=verify)
    assert os.stat(installed.binary()).st_uid == os.geteuid()


@as_root
def test_what_another_user_wrote_is_never_taken_on_its_times(installed):
    times = os.stat(installed.binary())
    installed.flip(installed.binary())
    os.utime(installed.binary(), ns=(times.st_atime_ns, times.st_mtime_ns))
    os.chown(installed.binary(), 12345, -1)
    assert installed.check(verify="receipt")["needs_archive"]
    installed.repair(verify="receipt")


@pytest.fixture
def reachable(host):
    """The host is where every user may go, which pytest's own folders are not: an owner's binary is run as its owner."""
    with open_folder() as folder:
        host.folder, host.base_dir = folder, os.path.join(folder, "store")
        yield


@as_root
def test_owner_and_group_are_set_and_repaired(reachable, installed):
    options = dict(owner="12345", group="54321", mode="0750")
    result = installed.run(**options)
    found = os.stat(installed.binary())
    assert result["changed"] and (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (12345, 54321, 0o750)
    assert result["diff"]["after"]["owner"] == "12345:54321" and not installed.run(**options)["changed"]
    os.chown(installed.binary(), 0, 0)
    assert installed.check(**options)["diff"]["after"]["owner"] == "12345:54321"
    assert installed.run(**options)["changed"] and os.stat(installed.binary()).st_gid == 54321
    assert installed.run(group="0", mode="0750", owner="12345")["changed"]
    found = os.stat(installed.binary())
    assert (found.st_uid, found.st_gid) == (12345, 0)


@as_root
@pytest.mark.parametrize("option", [{"owner": "12345"}, {"group": "54321"}, {"mode": "0750"}], ids=str)
def test_owner_group_or_mode_alone_is_a_difference(installed, option):
    assert installed.check(run_check=False, **option)["changed"]
    assert installed.run(run_check=False, **option)["changed"]
    assert not installed.run(run_check=False, **option)["changed"]


@as_root
def test_a_fresh_install_for_an_owner(reachable, host):
    host.run(owner="12345", group="54321", mode="0555", **host.offer())
    found = os.stat(host.binary())
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 54321, 0o555)
    assert os.stat(host.receipt()).st_uid == 0


@as_user
def test_our_own_binary_that_we_cannot_read_is_replaced(installed):
    os.chmod(installed.binary(), 0)
    assert installed.check()["needs_archive"] and any("cannot be read" in line for line in installed.lines)
    installed.repair()


def test_a_readable_binary_that_must_not_be_opened_is_an_error(installed, monkeypatch):
    """As under SELinux or on a broken disk: it was called unreadable by its mode, and a new one was fetched."""
    real = os.open

    def forbidden(path, *arguments, **settings):
        if path == "terraform":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, *arguments, **settings)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", forbidden)
        failure = installed.fail(_errors.InstallError)
    assert (failure.errno, failure.path) == (errno.EACCES, installed.binary())


def test_a_binary_that_becomes_a_link_just_now_is_not_read_through_it(installed, monkeypatch):
    path, aside = installed.binary(), installed.at("elsewhere")
    with directory_module.open_trusted_directory(
        os.path.dirname(path), "base_dir", directory_module.trusted_owners(), None
    ) as directory:
        real = directory.stat

        def stat_then_swap(name):
            found = real(name)
            os.rename(path, aside)
            os.symlink(aside, path)
            return found

        monkeypatch.setattr(directory, "stat", stat_then_swap)
        with pytest.raises(_errors.InstallError) as caught:
            installed_module.open_binary(directory)
    assert (caught.value.errno, caught.value.path) == (errno.ELOOP, path)


def test_a_binary_without_a_receipt_is_replaced(installed):
    os.unlink(installed.receipt())
    installed.flip(installed.binary())
    installed.repair()


# receipts of other collections


def make_newer(host, **fields):
    host.write_receipt(
        **dict(
            {
                "format": 2,
                "policy": 7,
                "signer": None,
                "run_check": ["x"],
                "links": {},
                "mtime_ns": "x",
                "inode": None,
                "archive_sha256": None,
                "depth": {"x": 1},
            },
            **fields,
        )
    )
    with open(host.receipt(), "rb") as file:
        return file.read()


@pytest.mark.parametrize("verify", ["full", "receipt"])
def test_a_newer_receipt_is_checked_by_its_frozen_keys(installed, verify):
    newer = make_newer(installed)
    assert not installed.run(verify=verify)["changed"]
    assert not installed.run(verify=verify, checksum_policy="signature", checksum=None)["changed"]
    os.chmod(installed.binary(), 0o700)
    assert installed.run(verify=verify, link=installed.at("bin", "tf"))["changed"]
    assert not installed.run(verify=verify, link=installed.at("bin", "tf"))["changed"]
    os.chmod(installed.binary(), 0o775)
    assert installed.run(verify=verify)["changed"] and not installed.run(verify=verify)["changed"]
    with open(installed.receipt(), "rb") as file:
        assert file.read() == newer, "it was rewritten while the binary is right"
    installed.assert_right()


@pytest.mark.parametrize("damage", ["a flipped bit", "deleted"])
def test_a_newer_receipt_of_a_installed_binary_is_replaced(installed, damage):
    make_newer(installed)
    DAMAGES[damage][0](installed)
    installed.repair()
    assert installed.read_receipt()["format"] == 1


def test_a_newer_receipt_that_names_another_archive_is_no_excuse(installed):
    make_newer(installed, archive_sha256="0" * 64)
    assert installed.check()["needs_archive"]


def test_an_older_receipt_is_not_rewritten_for_its_age(installed):
    installed.write_receipt(collection="0.0.1", installed_at="2020-01-01T00:00:00Z", base_dir_unsafe=None, colour="red")
    before = installed.picture()
    assert not installed.run()["changed"]
    assert installed.picture() == before


# verify: receipt


def touch_bytes(host, restore_times):
    before = os.stat(host.binary())
    host.flip(host.binary())
    times = (before.st_atime_ns, before.st_mtime_ns + (0 if restore_times else 10**9))
    os.utime(host.binary(), ns=times)


def test_the_receipt_spares_the_hashing(installed):
    """The proof that nothing is hashed: what only a hash can see is not seen."""
    touch_bytes(installed, restore_times=True)
    assert not installed.run(verify="receipt")["changed"]
    assert installed.lines[0].endswith("(by its receipt), -rwxr-xr-x")
    assert installed.check(verify="full")["needs_archive"]
    installed.repair(verify="full")


def test_a_changed_time_makes_it_hash(installed):
    touch_bytes(installed, restore_times=False)
    assert installed.check(verify="receipt")["needs_archive"]
    installed.repair(verify="receipt")


def test_right_bytes_of_another_time_are_recorded_alone(installed):
    os.utime(installed.binary(), ns=(10**18, 10**18))
    binary = installed.picture()["store/1.13.4/terraform"]
    assert not installed.run(verify="full")["changed"]
    predicted = installed.check(verify="receipt")
    assert predicted["changed"] and not predicted["needs_archive"] and "recorded" in predicted["msg"]
    installed.repair(verify="receipt")
    assert installed.picture()["store/1.13.4/terraform"] == binary
    assert installed.read_receipt()["mtime_ns"] == 10**18


def test_newer_versions_that_times_leave_in_doubt_are_hashed(installed):
    """A site may be behind: what is newer than what it offers must not be missed because a store was restored."""
    for version in ("1.13.5", "1.13.6", "1.9.8"):
        installed.run(**installed.offer(version))
        os.utime(installed.binary(version), ns=(10**18, 10**18))
    installed.flip(installed.binary("1.13.6"))
    assert installed.run()["intact_versions"] == ["1.13.4", "1.13.5"], "1.13.6 is damaged, 1.9.8 is older"


def test_a_copied_store_is_recorded_anew(installed):
    os.rename(installed.base_dir, installed.at("old"))
    shutil.copytree(installed.at("old"), installed.base_dir)
    result = installed.run(verify="full")
    assert not result["changed"] and result["intact_versions"] == ["1.13.4"], "what was just hashed is intact"
    installed.repair(verify="receipt")
    assert installed.read_receipt()["inode"] == os.stat(installed.binary()).st_ino


def test_a_changed_mode_makes_it_hash(installed):
    touch_bytes(installed, restore_times=True)
    os.chmod(installed.binary(), 0o700)
    assert installed.check(verify="receipt")["needs_archive"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize("name, mode", [("terraform", 0o100755), ("terraform.json", 0o100644)])
def test_a_file_that_another_user_mounted_over_ours_is_refused(installed, name, mode, state):
    """It claims to be root's, and gives the hash other bytes than exec(2)."""
    path = os.path.join(os.path.dirname(installed.binary()), name)
    with lying_disk(path, NOBODY, mode):
        if (name, state) == ("terraform", "absent"):  # nothing is read of it, and it cannot go
            assert installed.fail(_errors.InstallError, state=state).errno == errno.EBUSY
            return
        failure = installed.fail(_errors.InstallError, state=state)
        assert "%s is on a file system that user nobody mounted over it" % path in str(failure) and failure.hint
    assert not installed.run()["changed"]
