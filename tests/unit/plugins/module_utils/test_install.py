# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second half from end to end: nothing, damage, crashes and left-overs, each looked at, mended, and then left alone."""

import errno
import os
import shutil
import stat
import subprocess
import sys
import threading

import pytest

from ansible_collections.iac_platform.terraform.plugins.module_utils import _directories, _errors, _install, _lock

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


HOLD = """
import fcntl, sys
lock = open(sys.argv[1], "r+")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def flip(path, at=-1):
    with open(path, "r+b") as file:
        file.seek(at, os.SEEK_END)
        byte = file.read(1)
        file.seek(at, os.SEEK_END)
        file.write(bytes([byte[0] ^ 1]))


def overwrite(path, data):
    with open(path, "r+b") as file:
        file.truncate()
        file.write(data)


def assert_right(host, version="1.13.4", mode=0o755):
    """The binary is the one of the archive, its receipt knows it, and nothing else is there."""
    found = os.lstat(host.binary(version))
    assert stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == mode and found.st_nlink == 1
    receipt = host.read_receipt(version)
    assert (receipt["size"], receipt["version"]) == (found.st_size, version)
    with open(host.binary(version), "rb") as binary, open(host.at("as-published"), "rb") as published:
        assert binary.read() == published.read()
    assert host.names(version) == ["terraform", "terraform.json"]


def assert_mended(host, **options):
    """A run changes something, and the next one finds nothing to do."""
    result = host.run(**options)
    assert result["changed"]
    assert_right(host)
    again = host.run(**options)
    assert not again["changed"] and len(host.lines) <= 2, host.lines
    return result


@pytest.fixture
def damaged(installed):
    """A host with an installed version that may be damaged; what was published is kept beside it."""
    shutil.copy(installed.binary(), installed.at("as-published"))
    return installed


def fail(host, error, **options):
    with pytest.raises(error) as caught:
        host.run(**options)
    return caught.value


# from nothing

def test_a_fresh_install(host):
    options = host.offer()
    umask = os.umask(0o077)
    try:
        result = host.run(**options)
    finally:
        os.umask(umask)
    assert result["changed"] and result["needs_archive"] and result["downloaded_bytes"] == 0
    assert result["path"] == host.binary() and result["archive_sha256"] == options["checksum"]
    shutil.copy(host.binary(), host.at("as-published"))
    assert_right(host)
    assert stat.S_IMODE(os.stat(os.path.dirname(host.binary())).st_mode) == 0o755
    assert stat.S_IMODE(os.stat(host.receipt()).st_mode) == 0o644
    assert sorted(os.listdir(host.base_dir)) == [".terraform-1.13.4.lock", "1.13.4"]
    receipt, found = host.read_receipt(), os.stat(host.binary())
    assert receipt["mtime_ns"] == found.st_mtime_ns and receipt["inode"] == found.st_ino
    assert (receipt["format"], receipt["policy"], receipt["run_check"]) == (1, "pinned", "1.13.4")
    assert (receipt["product"], receipt["platform"]) == ("terraform", host.platform)
    assert receipt["sha256"] == result["binary_sha256"] and receipt["archive_sha256"] == options["checksum"]
    assert receipt["origin"] == options["archive"] and receipt["links"] == [] and receipt["base_dir_unsafe"] == []


def test_every_step_is_told_with_paths_and_sizes(host):
    host.run(link=host.at("bin", "terraform"), **host.offer())
    told = "\n".join(host.lines)
    for words in ("directory created and checked: %s (" % host.base_dir, "directory verified: %s/1.13.4 (" % host.base_dir,
                  "archive read: ", "binary written: ", "synced and read back: ", "mode set: -rwxr-xr-x on %s" % host.binary(),
                  "receipt in place: %s" % host.receipt(), "binary in place: %s" % host.binary(), "run check passed: ",
                  "receipt written: %s" % host.receipt(),
                  "link switched: %s -> %s (before: absent)" % (host.at("bin", "terraform"), host.binary())):
        assert words in told
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
    overwrite(host.receipt(), data.replace(b'"1.13.4"', b'"1.13.3"'))


DAMAGES = {
    "a flipped bit": (lambda host: flip(host.binary()), "has sha256", True),
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
    "a broken receipt": (lambda host: overwrite(host.receipt(), b"{"), "is not JSON", True),
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
def test_damage_is_seen_and_mended(damaged, damage, verify):
    strike, words, needs_archive = DAMAGES[damage]
    damaged.defaults["verify"] = verify
    strike(damaged)
    before = damaged.picture()
    foreseen = damaged.check()
    assert foreseen["changed"] and foreseen["needs_archive"] is needs_archive
    assert any(words in line for line in damaged.lines), damaged.lines
    assert damaged.picture() == before
    result = assert_mended(damaged)
    assert result["needs_archive"] is needs_archive
    assert damaged.read_receipt()["run_check"] == "1.13.4"


def test_a_receipt_with_another_digest(damaged):
    damaged.write_receipt(sha256="0" * 64)
    assert damaged.check()["needs_archive"] and any("has sha256" in line for line in damaged.lines)
    assert_mended(damaged)


def test_mending_keeps_the_very_file(damaged):
    os.chmod(damaged.binary(), 0o700)
    inode = os.stat(damaged.binary()).st_ino
    assert_mended(damaged)
    assert os.stat(damaged.binary()).st_ino == inode


def test_what_others_may_have_open_is_not_mended_but_replaced(damaged):
    os.chmod(damaged.binary(), 0o775)
    with open(damaged.binary(), "r+b") as held_by_another:
        assert_mended(damaged)
        held_by_another.write(b"evil")
    assert_right(damaged)
    assert damaged.read_receipt()["inode"] == os.stat(damaged.binary()).st_ino


def test_a_file_with_a_second_name_is_not_mended_but_replaced(damaged):
    os.link(damaged.binary(), damaged.at("second"))
    os.chmod(damaged.binary(), 0o700)
    assert not damaged.check()["needs_archive"] and any("has 2 names" in line for line in damaged.lines)
    assert_mended(damaged)
    second = os.stat(damaged.at("second"))
    assert stat.S_IMODE(second.st_mode) == 0o700 and second.st_ino != os.stat(damaged.binary()).st_ino


def test_a_second_name_alone_is_no_damage(damaged):
    os.link(damaged.binary(), damaged.at("second"))
    assert not damaged.run()["changed"]


@as_root
@pytest.mark.parametrize("verify", ["full", "receipt"])
def test_a_binary_of_another_user_is_replaced(damaged, verify):
    os.chown(damaged.binary(), 12345, 12345)
    foreseen = damaged.check(verify=verify)
    assert not foreseen["needs_archive"] and any("belongs to uid 12345" in line for line in damaged.lines)
    assert foreseen["diff"]["before"]["owner"] == "12345:12345"
    assert foreseen["diff"]["after"]["owner"] == "%d:%d" % (os.geteuid(), os.getegid())
    assert_mended(damaged, verify=verify)
    assert os.stat(damaged.binary()).st_uid == os.geteuid()


@as_root
def test_what_another_user_wrote_is_never_taken_on_its_times(damaged):
    times = os.stat(damaged.binary())
    flip(damaged.binary())
    os.utime(damaged.binary(), ns=(times.st_atime_ns, times.st_mtime_ns))
    os.chown(damaged.binary(), 12345, -1)
    assert damaged.check(verify="receipt")["needs_archive"]
    assert_mended(damaged, verify="receipt")


@pytest.fixture
def reachable(tmp_path):
    """Every user may enter the directories of the test: an owner's binary is run as its owner."""
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)


@as_root
def test_owner_and_group_are_set_and_mended(reachable, damaged):
    options = dict(owner="12345", group="54321", mode="0750")
    result = damaged.run(**options)
    found = os.stat(damaged.binary())
    assert result["changed"] and (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (12345, 54321, 0o750)
    assert result["diff"]["after"]["owner"] == "12345:54321" and not damaged.run(**options)["changed"]
    os.chown(damaged.binary(), 0, 0)
    assert damaged.check(**options)["diff"]["after"]["owner"] == "12345:54321"
    assert damaged.run(**options)["changed"] and os.stat(damaged.binary()).st_gid == 54321
    assert damaged.run(group="0", mode="0750", owner="12345")["changed"]
    found = os.stat(damaged.binary())
    assert (found.st_uid, found.st_gid) == (12345, 0)


@as_root
def test_a_fresh_install_for_an_owner(reachable, host):
    host.run(owner="12345", group="54321", mode="0555", **host.offer())
    found = os.stat(host.binary())
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 54321, 0o555)
    assert os.stat(host.receipt()).st_uid == 0


@as_user
def test_our_own_binary_that_we_cannot_read_is_replaced(damaged):
    os.chmod(damaged.binary(), 0)
    assert damaged.check()["needs_archive"] and any("cannot be read" in line for line in damaged.lines)
    assert_mended(damaged)


def test_a_binary_without_a_receipt_is_replaced(damaged):
    os.unlink(damaged.receipt())
    flip(damaged.binary())
    assert_mended(damaged)


# refused, and left alone

def refused(host, error, **options):
    before = host.picture()
    failure = fail(host, error, **options)
    assert host.picture() == before and not failure.changed
    return failure


@pytest.mark.parametrize("name", ["terraform", "terraform.json"])
def test_a_directory_in_the_way_is_refused_before_anything(damaged, name):
    path = os.path.join(damaged.base_dir, "1.13.4", name)
    os.unlink(path)
    os.mkdir(path)
    failure = refused(damaged, _errors.InstallError)
    assert failure.path == path and "is a directory" in str(failure) and failure.errno
    with pytest.raises(_errors.InstallError):
        damaged.check()


def test_a_file_in_place_of_the_versions_directory(host):
    os.makedirs(host.base_dir)
    open(os.path.join(host.base_dir, "1.13.4"), "w").close()
    failure = refused(host, _errors.InstallError, **host.offer())
    assert "is not a directory but a regular file of 0 bytes" in str(failure)


def test_a_link_in_place_of_the_versions_directory(damaged):
    folder = os.path.join(damaged.base_dir, "1.13.4")
    os.rename(folder, damaged.at("moved"))
    os.symlink(damaged.at("moved"), folder)
    assert "symbolic link" in str(refused(damaged, _errors.InstallError))


@pytest.mark.parametrize("allow", [False, True])
@pytest.mark.parametrize("place", ["", "1.13.4"])
def test_a_store_that_others_can_write_is_refused_whatever_is_allowed(damaged, place, allow):
    os.chmod(os.path.join(damaged.base_dir, place), 0o777)
    failure = refused(damaged, _errors.InstallError, allow_unsafe_base_dir=allow)
    assert "can be written by others" in str(failure)


def test_another_platforms_binary_is_refused_by_name(damaged):
    other = damaged.offer(platform="linux_arm64" if damaged.platform == "linux_amd64" else "linux_amd64")
    failure = refused(damaged, _errors.RequestError, **other)
    assert damaged.platform in str(failure) and other["platform"] in str(failure) and failure.path == damaged.binary()


def test_what_is_left_of_another_platform_is_no_hindrance(damaged):
    os.unlink(damaged.binary())
    other = damaged.offer(platform="linux_arm64" if damaged.platform == "linux_amd64" else "linux_amd64")
    assert damaged.run(**other)["changed"]
    assert damaged.read_receipt()["platform"] == other["platform"]
    assert damaged.read_receipt()["run_check"] is None, "it cannot run here"
    assert not damaged.run(**other)["changed"]


def test_another_checksum_is_an_error_and_the_store_untouched(damaged):
    before = damaged.picture()
    failure = fail(damaged, _errors.VerificationError, checksum="0" * 64)
    assert "expected %s" % ("0" * 64) in str(failure) and not failure.changed
    after = damaged.picture()
    assert set(before) == set(after) and before["store/1.13.4/terraform"] == after["store/1.13.4/terraform"]
    assert before["store/1.13.4/terraform.json"] == after["store/1.13.4/terraform.json"]


def test_the_archive_of_another_checksum_takes_its_place(damaged):
    options = damaged.offer(padding=7)
    result = damaged.run(**options)
    assert result["changed"] and result["archive_sha256"] == options["checksum"] and result["size"] == 392
    assert not damaged.run(**options)["changed"]


def test_a_failed_download_changes_nothing(host):
    failure = fail(host, _errors.RequestError, **dict(host.offer(), archive=host.at("none.zip")))
    assert failure.path == host.at("none.zip") and not failure.changed
    assert host.names() == []
    assert host.run(**host.offer())["changed"]


@pytest.mark.parametrize("archived", ["linux_arm64", "darwin_arm64", "linux_s390x"])
def test_an_executable_for_another_machine_is_not_installed(host, archived):
    if archived == host.platform:
        pytest.skip("that is this machine")
    failure = fail(host, _errors.ArchiveError, **dict(host.offer(platform=archived), platform=host.platform))
    assert "is not an executable for %s" % host.platform in str(failure)
    assert host.names() == []


# crash states: the receipt is renamed first, so it may be ahead

def assert_next_run_is_fine(host, **options):
    assert host.check(**options)["changed"]
    assert_mended(host, **options)


@pytest.mark.parametrize("temps", [False, True])
@pytest.mark.parametrize("state", ["nothing", "empty", "receipt", "receipt ahead", "both"])
def test_legal_crash_states(damaged, state, temps):
    folder = os.path.dirname(damaged.binary())
    if state == "nothing":
        shutil.rmtree(folder)
    if state == "empty":
        os.unlink(damaged.receipt())
    if state in ("empty", "receipt"):
        os.unlink(damaged.binary())
    if state == "receipt ahead":
        overwrite(damaged.binary(), b"an older binary")
    if temps and state != "nothing":
        for name in (".tmp.binary.abcdefgh", ".tmp.receipt.abcdefgh", ".tmp.removed.terraform"):
            open(os.path.join(folder, name), "w").close()
    if state == "both" and not temps:
        assert not damaged.run()["changed"]
    else:
        assert_next_run_is_fine(damaged)


# left-overs

@pytest.fixture
def litter(damaged):
    """A left-over of a killed run."""
    path = os.path.join(damaged.base_dir, "1.13.4", ".tmp.binary.abcdefgh")
    open(path, "w").close()
    return path


def test_left_overs_are_a_change_and_are_swept(damaged, litter):
    assert damaged.check()["changed"] and damaged.lines == ("would remove the left-over %s" % litter,)
    assert damaged.check()["diff"]["before"]["left_overs"] == [litter]
    result = assert_mended(damaged)
    assert not result["needs_archive"] and "tidied up" in result["msg"]


def test_left_overs_of_a_running_installer_are_none(damaged, litter):
    holding = subprocess.Popen([sys.executable, "-c", HOLD, os.path.join(damaged.base_dir, ".terraform-1.13.4.lock")],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holding:
        assert holding.stdout.readline() == b"held\n"
        assert not damaged.check()["changed"] and not damaged.run()["changed"]
        holding.stdin.close()
    assert os.path.exists(litter) and damaged.run()["changed"]


def test_left_overs_without_a_lock_file_are_swept(damaged, litter):
    os.unlink(os.path.join(damaged.base_dir, ".terraform-1.13.4.lock"))
    assert_mended(damaged)


def test_a_directory_of_such_a_name_is_not_ours(damaged):
    os.mkdir(os.path.join(damaged.base_dir, "1.13.4", ".tmp.mine"))
    assert not damaged.run()["changed"]


# receipts of other collections

def make_newer(host, **fields):
    host.write_receipt(**dict({"format": 2, "policy": 7, "signer": None, "run_check": ["x"], "links": {}, "mtime_ns": "x",
                               "inode": None, "archive_sha256": None, "depth": {"x": 1}}, **fields))
    with open(host.receipt(), "rb") as file:
        return file.read()


@pytest.mark.parametrize("verify", ["full", "receipt"])
def test_a_newer_receipt_is_judged_by_its_frozen_keys(damaged, verify):
    newer = make_newer(damaged)
    assert not damaged.run(verify=verify)["changed"]
    assert not damaged.run(verify=verify, checksum_policy="signature", checksum=None)["changed"]
    os.chmod(damaged.binary(), 0o700)
    assert damaged.run(verify=verify, link=damaged.at("bin", "tf"))["changed"]
    assert not damaged.run(verify=verify, link=damaged.at("bin", "tf"))["changed"]
    os.chmod(damaged.binary(), 0o775)
    assert damaged.run(verify=verify)["changed"] and not damaged.run(verify=verify)["changed"]
    with open(damaged.receipt(), "rb") as file:
        assert file.read() == newer, "it was rewritten while the binary is right"
    assert_right(damaged)


@pytest.mark.parametrize("damage", ["a flipped bit", "deleted"])
def test_a_newer_receipt_of_a_damaged_binary_is_replaced(damaged, damage):
    make_newer(damaged)
    DAMAGES[damage][0](damaged)
    assert_mended(damaged)
    assert damaged.read_receipt()["format"] == 1


def test_a_newer_receipt_that_names_another_archive_is_no_excuse(damaged):
    make_newer(damaged, archive_sha256="0" * 64)
    assert damaged.check()["needs_archive"]


def test_an_older_receipt_is_not_rewritten_for_its_age(damaged):
    damaged.write_receipt(collection="0.0.1", installed_at="2020-01-01T00:00:00Z", base_dir_unsafe=None, colour="red")
    before = damaged.picture()
    assert not damaged.run()["changed"]
    assert damaged.picture() == before


# verify: receipt

def touch_bytes(host, restore_times):
    before = os.stat(host.binary())
    flip(host.binary())
    times = (before.st_atime_ns, before.st_mtime_ns + (0 if restore_times else 10**9))
    os.utime(host.binary(), ns=times)


def test_the_receipt_spares_the_hashing(damaged):
    """The proof that nothing is hashed: what only a hash can see is not seen."""
    touch_bytes(damaged, restore_times=True)
    assert not damaged.run(verify="receipt")["changed"]
    assert damaged.lines[0].endswith("(by its receipt), -rwxr-xr-x")
    assert damaged.check(verify="full")["needs_archive"]
    assert_mended(damaged, verify="full")


def test_a_changed_time_makes_it_hash(damaged):
    touch_bytes(damaged, restore_times=False)
    assert damaged.check(verify="receipt")["needs_archive"]
    assert_mended(damaged, verify="receipt")


def test_right_bytes_of_another_time_are_recorded_alone(damaged):
    os.utime(damaged.binary(), ns=(10**18, 10**18))
    binary = damaged.picture()["store/1.13.4/terraform"]
    assert not damaged.run(verify="full")["changed"]
    foreseen = damaged.check(verify="receipt")
    assert foreseen["changed"] and not foreseen["needs_archive"] and "recorded" in foreseen["msg"]
    assert_mended(damaged, verify="receipt")
    assert damaged.picture()["store/1.13.4/terraform"] == binary
    assert damaged.read_receipt()["mtime_ns"] == 10**18


def test_a_copied_store_is_recorded_anew(damaged):
    os.rename(damaged.base_dir, damaged.at("old"))
    shutil.copytree(damaged.at("old"), damaged.base_dir)
    result = damaged.run(verify="full")
    assert not result["changed"] and result["intact_versions"] == ["1.13.4"], "what was just hashed is intact"
    assert_mended(damaged, verify="receipt")
    assert damaged.read_receipt()["inode"] == os.stat(damaged.binary()).st_ino


def test_a_changed_mode_makes_it_hash(damaged):
    touch_bytes(damaged, restore_times=True)
    os.chmod(damaged.binary(), 0o700)
    assert damaged.check(verify="receipt")["needs_archive"]


# the run check

def test_the_run_check_is_recorded_and_asked_for(host):
    host.defaults = host.offer()
    assert host.run(run_check=False)["changed"] and host.read_receipt()["run_check"] is None
    assert not host.run(run_check=False)["changed"]
    foreseen = host.check()
    assert foreseen["changed"] and not foreseen["needs_archive"] and "would be run" in foreseen["msg"]
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
    failure = fail(installed, _errors.RunCheckError, **broken)
    assert failure.changed and "exit status 3" in str(failure)
    assert os.readlink(link) == installed.binary()
    assert installed.read_receipt("1.14.0")["run_check"] is None and installed.read_receipt("1.14.0")["links"] == []
    again = fail(installed, _errors.RunCheckError, **broken)
    assert not again.changed and os.readlink(link) == installed.binary()
    assert installed.run(run_check=False, **broken)["changed"]
    assert os.readlink(link) == installed.binary("1.14.0")


@pytest.mark.parametrize("mode", [0o700, 0o775])
def test_what_was_seen_before_it_was_touched_does_not_count(host, mode):
    host.defaults = host.offer(exit_status=3)
    host.run(run_check=False)
    host.write_receipt(run_check="1.13.4")      # so it was, before this host changed
    assert not host.run()["changed"]
    os.chmod(host.binary(), mode)
    for _run in range(2):       # the second one must not be green
        assert "exit status 3" in str(fail(host, _errors.RunCheckError))
    assert host.read_receipt()["run_check"] is None


def test_the_run_check_comes_before_a_link_moves_even_when_it_was_run_once(host):
    host.defaults = host.offer(exit_status=3)
    host.run(run_check=False)
    host.write_receipt(run_check="1.13.4")
    failure = fail(host, _errors.RunCheckError, link=host.at("tf"))
    assert not failure.changed and not os.path.lexists(host.at("tf"))


# the link

def test_the_link_is_made_moved_and_then_left_alone(installed):
    link = installed.at("bin", "terraform")
    first = installed.run(link=link)
    assert first["changed"] and first["previous_version"] is None and os.readlink(link) == installed.binary()
    assert installed.read_receipt()["links"] == [link]
    assert not installed.run(link=link)["changed"]
    newer = dict(installed.offer("1.14.0"), link=link)
    foreseen = installed.check(**newer)
    assert foreseen["previous_version"] == "1.13.4" and os.readlink(link) == installed.binary()
    result = installed.run(**newer)
    assert result["previous_version"] == "1.13.4" and os.readlink(link) == installed.binary("1.14.0")
    assert result["diff"]["before"]["link"] == {link: installed.binary()}
    back = installed.run(link=link)
    assert back["changed"] and not back["needs_archive"] and back["previous_version"] == "1.14.0"


def test_the_link_is_in_the_receipt_before_it_is_there(installed):
    link = installed.at("tf")
    seen = []

    def say(line, warning=False):
        if line.startswith("receipt written"):
            seen.append((installed.read_receipt()["links"], os.path.lexists(link)))

    installed.say = say
    installed.run(link=link)
    assert seen == [([link], False)]


def test_a_right_link_that_nobody_recorded_is_recorded(installed):
    os.symlink(installed.binary(), installed.at("tf"))
    foreseen = installed.check(link=installed.at("tf"))
    assert foreseen["changed"] and not foreseen["needs_archive"]
    assert installed.run(link=installed.at("tf"))["changed"]
    assert installed.read_receipt()["links"] == [installed.at("tf")]
    assert not installed.run(link=installed.at("tf"))["changed"]


def test_links_that_moved_on_are_forgotten(installed):
    for name in ("one", "two", "three"):
        installed.run(link=installed.at(name))
    os.unlink(installed.at("one"))
    installed.run(link=installed.at("two"), **installed.offer("1.14.0"))
    installed.run(link=installed.at("four"))
    assert installed.read_receipt()["links"] == [installed.at("three"), installed.at("four")]


@pytest.mark.parametrize("damage", ["a flipped bit", "deleted", "writable by all", "another mode"])
def test_a_repair_does_not_forget_the_links(damaged, damage):
    damaged.run(link=damaged.at("tf"))
    DAMAGES[damage][0](damaged)
    assert_mended(damaged)
    assert damaged.read_receipt()["links"] == [damaged.at("tf")]


def test_a_file_in_place_of_the_link(installed):
    link = installed.at("tf")
    with open(link, "w") as file:
        file.write("mine")
    failure = refused(installed, _errors.InstallError, link=link)
    assert "regular file of 4 bytes" in str(failure) and "link_force" in failure.hint
    result = installed.run(link=link, link_force=True)
    assert result["changed"] and os.readlink(link) == installed.binary()
    assert result["diff"]["before"]["link"][link].startswith("4 bytes, sha256 ")


def test_a_directory_in_place_of_the_link(installed):
    os.mkdir(installed.at("tf"))
    refused(installed, _errors.InstallError, link=installed.at("tf"))
    refused(installed, _errors.InstallError, link=installed.at("tf"), link_force=True)


def test_a_link_is_refused_before_anything_is_installed(host):
    open(host.at("tf"), "w").close()
    refused(host, _errors.InstallError, link=host.at("tf"), **host.offer())


@pytest.mark.parametrize("force", [False, True])
def test_a_link_that_lies_in_the_store_by_another_name(installed, force):
    os.symlink(installed.base_dir, installed.at("alias"))
    failure = refused(installed, _errors.RequestError, link=installed.at("alias", "1.13.4", "terraform"), link_force=force)
    assert "among the store's own files" in str(failure)
    assert installed.run(link=installed.at("alias", "terraform"))["changed"], "beside the versions is fine"


def test_a_receipt_like_file_elsewhere_does_not_matter(installed):
    open(installed.at("terraform.json"), "w").close()
    assert installed.run(link=installed.at("tf"))["changed"]


# twins

def apply(host, plan, **options):
    _plan, signers, source = host._plan(host.wish(**options))
    return _install.apply(plan, signers, source, host.say)


def test_the_second_of_two_twins_finds_it_done(host):
    host.defaults = host.offer()
    plan = host.plan(link=host.at("tf"))
    host.run(link=host.at("tf"))
    before = host.picture()
    outcome = apply(host, plan, link=host.at("tf"))
    assert not outcome.changed and not outcome.plan.changes and outcome.receipt.version == "1.13.4"
    after = host.picture()
    del before["store/.terraform-1.13.4.lock"], after["store/.terraform-1.13.4.lock"]    # who holds it signs
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
    with _directories.walk(host.base_dir, "base_dir", _directories.trust_of(), None) as base:
        with _lock.locked(base, ".terraform-1.13.4.lock", 0, host.say):
            failure = fail(host, _errors.LockError, lock_timeout=0, **host.offer())
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
    assert "can be written by others" in str(refused(unsafe, _errors.InstallError))


def test_what_was_tolerated_is_recorded(unsafe):
    plan = unsafe.plan(allow_unsafe_base_dir=True)
    assert len(plan.tolerated) == 1 and unsafe.at("shared") in plan.tolerated[0]
    outcome = apply(unsafe, plan, allow_unsafe_base_dir=True)
    assert outcome.tolerated == plan.tolerated
    assert unsafe.read_receipt()["base_dir_unsafe"] == list(plan.tolerated)
    assert not unsafe.run(allow_unsafe_base_dir=True)["changed"]


def test_what_was_tolerated_of_the_links_directory_is_recorded(installed):
    os.mkdir(installed.at("shared"))
    os.chmod(installed.at("shared"), 0o777)
    link = installed.at("shared", "tf")
    refused(installed, _errors.InstallError, link=link)
    assert installed.run(link=link, allow_unsafe_base_dir=True)["changed"]
    (recorded,) = installed.read_receipt()["base_dir_unsafe"]
    assert installed.at("shared") in recorded


@as_root
def test_a_binary_that_its_owner_cannot_reach_is_not_run_as_root_instead(tmp_path, host):
    tmp_path.chmod(0o700)
    with pytest.raises(_errors.RunCheckError) as caught:
        host.run(owner="12345", **host.offer())
    assert caught.value.errno == errno.EACCES and caught.value.changed


def test_a_link_that_leads_into_the_store_by_another_name_is_refused(installed):
    """It would be renamed over the binary that it shall point to."""
    os.symlink(installed.base_dir, installed.base_dir + ".alias")
    before = os.lstat(installed.binary()).st_ino
    for name in ("1.13.4/terraform", "1.13.4/other", ".terraform-1.13.4.lock"):
        with pytest.raises(_errors.RequestError) as caught:
            installed.run(link="%s.alias/%s" % (installed.base_dir, name), link_force=True)
        assert "among the store's own files" in str(caught.value)
    assert os.lstat(installed.binary()).st_ino == before
