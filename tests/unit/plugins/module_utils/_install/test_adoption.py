# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""adopt: a binary that somebody else put there stays if it is the genuine one, and is replaced if it is not."""

import errno
import fcntl
import mmap
import os
import signal
import subprocess
import sys

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _errors
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import accounts
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import apply, binary
from support.system import NOBODY, needs_root


@pytest.fixture
def copied(host):
    """A host with the genuine binary in its place, without a receipt; runs are asked to adopt it."""
    host.defaults = dict(host.offer(), adopt=True)
    os.makedirs(os.path.dirname(host.binary()))
    with open(host.binary(), "wb") as stream:
        stream.write(host.published["1.13.4"])
    os.chmod(host.binary(), 0o755)
    os.utime(host.binary(), (10**9, 10**9))
    host.was = os.lstat(host.binary())
    host.stayed = lambda: (
        (os.lstat(host.binary()).st_ino, os.lstat(host.binary()).st_mtime)
        == (
            host.was.st_ino,
            host.was.st_mtime,
        )
    )
    return host


def test_the_genuine_binary_stays_and_gets_a_receipt(copied):
    before = copied.picture()
    predicted = copied.check()
    assert predicted["changed"] and predicted["needs_archive"] and copied.picture() == before
    assert "would be adopted or reinstalled" in predicted["msg"] and copied.lines[0].startswith(
        "would adopt or install: "
    )
    result = copied.repair()
    assert copied.stayed() and result["msg"].startswith("Terraform 1.13.4 adopted at %s" % copied.binary())
    assert result["verification"]["policy"] == "pinned" and result["archive_sha256"] == copied.defaults["checksum"]
    assert result["diff"]["before"]["sha256"] == "not verified"
    assert result["diff"]["after"]["sha256"] == result["binary_sha256"]
    changed = set(copied.picture()) - set(before)
    assert changed == {"store/1.13.4/terraform.json", "store/.terraform-1.13.4.lock"}
    assert copied.picture()["store/1.13.4/terraform"] == before["store/1.13.4/terraform"]
    receipt = copied.read_receipt()
    assert (receipt["mtime_ns"], receipt["inode"], receipt["collection"]) == (
        copied.was.st_mtime_ns,
        copied.was.st_ino,
        "0.1.0",
    )
    assert not copied.run(verify="receipt")["changed"]


def test_it_has_run_before_the_link_points_to_it(copied):
    result = copied.run(run_check=True, link=copied.at("tf"))
    assert copied.stayed() and os.readlink(copied.at("tf")) == copied.binary()
    assert copied.read_receipt()["run_check"] == "1.13.4" and copied.read_receipt()["links"] == [copied.at("tf")]
    assert " and run " not in result["msg"] and not copied.run(run_check=True, link=copied.at("tf"))["changed"]


@pytest.mark.parametrize("how", ["flip", "cut", "longer", "unreadable", "link"])
def test_any_other_binary_is_replaced(copied, how):
    path = copied.binary()
    if how == "link":
        os.rename(path, copied.at("elsewhere"))
        os.symlink(copied.at("elsewhere"), path)
    elif how == "unreadable":
        copied.flip(path)
        os.chmod(path, 0)
    else:
        {
            "flip": lambda: copied.flip(path),
            "cut": lambda: os.truncate(path, copied.was.st_size - 1),
            "longer": lambda: os.truncate(path, copied.was.st_size + 1),
        }[how]()
    result = copied.repair()
    assert not copied.stayed() and "reinstalled at" in result["msg"]


def test_the_steps_say_why_it_was_not_adopted(copied):
    copied.flip(copied.binary())
    copied.run()
    (line,) = [line for line in copied.lines if line.startswith("not adopted: ")]
    assert copied.read_receipt()["sha256"] in line and copied.binary() in line


def test_a_binary_of_another_size_is_not_read(copied):
    """Its owner could let a run of root read for hours: a sparse file has any size and takes no space."""
    os.truncate(copied.binary(), 1 << 40)
    assert "reinstalled at" in copied.run()["msg"] and not copied.stayed()
    (line,) = [line for line in copied.lines if line.startswith("not adopted: ")]
    assert "has %d bytes, that of the release %d" % (1 << 40, copied.was.st_size) in line
    copied.assert_right()


def test_without_it_every_binary_without_a_receipt_is_replaced(copied):
    assert "reinstalled at" in copied.run(adopt=False)["msg"] and not copied.stayed()


@pytest.mark.parametrize("receipt", [b"{", b"", b'{"format": 1}'])
def test_a_broken_receipt_is_as_good_as_none(copied, receipt):
    with open(copied.receipt(), "wb") as stream:
        stream.write(receipt)
    copied.repair()
    assert copied.stayed()


def test_a_damaged_binary_of_ours_is_not_adopted(installed):
    installed.flip(installed.binary())
    assert "reinstalled" in installed.run(adopt=True)["msg"]
    installed.assert_right()


def test_what_a_receipt_says_something_else_about_is_replaced(installed):
    """It is no binary of somebody else, but a store in disorder."""
    was = os.lstat(installed.binary()).st_ino
    installed.write_receipt(sha256="0" * 64)
    assert "reinstalled" in installed.repair(adopt=True)["msg"] and os.lstat(installed.binary()).st_ino != was


def test_an_archive_that_is_refused_is_not_adopted_from(copied):
    failure = copied.fail(_errors.VerificationError, checksum="0" * 64)
    assert not failure.changed and copied.names() == ["terraform"]


def test_the_right_archive_of_the_wrong_machine_is_not_adopted_from(host):
    other = "linux_arm64" if host.platform == "linux_amd64" else "linux_amd64"
    options = dict(host.offer(platform=other), platform=host.platform, adopt=True)
    os.makedirs(os.path.dirname(host.binary()))
    with open(host.binary(), "wb") as stream:
        stream.write(host.published["1.13.4"])
    failure = host.fail(_errors.ArchiveError, **options)
    assert "is not an executable for" in str(failure) and host.names() == ["terraform"]


def test_its_mode_is_repaired(copied):
    os.chmod(copied.binary(), 0o600)
    assert "adopted" in copied.repair()["msg"] and copied.stayed()


@needs_root
def test_its_owner_is_repaired(copied):
    result = copied.run(owner=str(NOBODY))
    found = os.lstat(copied.binary())
    assert copied.stayed() and found.st_uid == NOBODY and result["diff"]["after"]["owner"].split(":")[0] != "root"
    assert not copied.run(owner=str(NOBODY))["changed"]


@needs_root
@pytest.mark.parametrize("owner, foreign", [(NOBODY, True), (0, False)])
def test_the_diff_names_the_owner_that_it_has_then(copied, owner, foreign):
    """What belongs to somebody who is not trusted is replaced by a copy of ours."""
    os.chown(copied.binary(), owner, -1)
    result = copied.repair()
    found = os.lstat(copied.binary())
    assert found.st_uid == 0 and copied.stayed() is not foreign and "adopted" in result["msg"]
    assert result["diff"]["after"]["owner"] == accounts.account_text(found)
    assert (result["diff"]["before"]["owner"] == result["diff"]["after"]["owner"]) is not foreign


@pytest.mark.parametrize("how", ["writable", "second name"])
def test_what_others_could_write_is_replaced_by_a_copy(copied, how):
    if how == "writable":
        os.chmod(copied.binary(), 0o777)
    else:
        os.chmod(copied.binary(), 0o700)
        os.link(copied.binary(), copied.at("second"))
    copied.repair()
    assert os.lstat(copied.binary()).st_ino != copied.was.st_ino


def test_what_changes_after_it_was_hashed_is_not_adopted(copied, monkeypatch):
    """Whoever put it there still writes to it: the next look sees that, and says so."""
    write_receipt = binary.write_receipt

    def late(*arguments):
        copied.flip(copied.binary())
        return write_receipt(*arguments)

    monkeypatch.setattr(binary, "write_receipt", late)
    for verify in ("receipt", "full"):
        failure = copied.fail(_errors.InstallError, verify=verify)
        assert "is not right after the install" in str(failure) and failure.changed
        os.unlink(copied.receipt())
        copied.flip(copied.binary())


@pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="only Linux tells who writes")
@pytest.mark.parametrize("how", ["read and write", "append", "mapped"])
def test_what_somebody_has_open_for_writing_is_replaced(copied, how):
    """Opened when it was theirs: neither mode nor owner show that now."""
    path = copied.binary()
    fd = os.open(path, os.O_WRONLY | os.O_APPEND if how == "append" else os.O_RDWR)
    mapped = mmap.mmap(fd, 0) if how == "mapped" else None
    if mapped is not None:
        os.close(fd)
    result = copied.run()
    assert not copied.stayed() and "reinstalled at" in result["msg"]
    assert "not adopted: another process has %s open for writing" % path in copied.lines
    if mapped is not None:
        mapped.close()
    else:
        os.close(fd)
    copied.assert_right()


SIGNALS_OF_A_LEASE = (signal.SIGIO, signal.SIGURG)


@pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="only Linux tells who writes")
def test_who_opens_it_for_writing_at_that_moment_does_not_end_us(copied, monkeypatch):
    """The kernel tells the holder of a lease by a signal: SIGIO, if no other was asked for, ends a process."""
    real, heard = fcntl.fcntl, []
    opener = "import os, sys; os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)"

    def look(fd, command, *arguments):
        answer = real(fd, command, *arguments)
        if (command, *arguments) == (fcntl.F_SETLEASE, fcntl.F_RDLCK):
            done = subprocess.run([sys.executable, "-c", opener, copied.binary()], stderr=subprocess.PIPE, check=False)
            assert b"BlockingIOError" in done.stderr, done.stderr
        return answer

    before = {number: signal.signal(number, lambda *seen: heard.append(seen[0])) for number in SIGNALS_OF_A_LEASE}
    try:
        with monkeypatch.context() as patch:
            patch.setattr(binary.fcntl, "fcntl", look)
            copied.run()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert heard == [signal.SIGURG]
    assert copied.stayed()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EINVAL, None])
def test_where_nobody_tells_who_writes_it_is_adopted(copied, monkeypatch, number):
    def fail(fd, command, *arguments):
        raise OSError(number, os.strerror(number))

    if number is None:
        monkeypatch.delattr(binary.fcntl, "F_SETLEASE", raising=False)
    else:
        monkeypatch.setattr(binary.fcntl, "fcntl", fail)
    copied.run()
    assert copied.stayed()


def test_it_is_on_the_disk_before_its_receipt(copied, monkeypatch):
    fsync = os.fsync

    def fail(fd):
        if os.fstat(fd).st_ino == copied.was.st_ino:
            raise OSError(errno.EIO, "no")
        fsync(fd)

    monkeypatch.setattr(binary.os, "fsync", fail)
    failure = copied.fail(_errors.InstallError)
    assert failure.errno == errno.EIO and failure.path == copied.binary() and copied.names() == ["terraform"]


def test_the_plan_is_made_again_under_the_lock(copied, monkeypatch):
    """Another run has just adopted it."""
    locked_in, once = apply._locked_in, []

    def late(*arguments):
        if not once:
            once.append(True)
            copied.run()
        return locked_in(*arguments)

    monkeypatch.setattr(apply, "_locked_in", late)
    result = copied.run()
    assert not result["changed"] and result["msg"].endswith("another run did it just now")
