# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who mounted what: texts of mountinfo as kernels write them, and real mounts."""

import builtins
import errno
import os

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs import mounts
from support.system import as_plain_user, in_child, needs_root, open_folder, small_disk

LONG = b",".join(b"lowerdir+=/var/lib/containers/%d" % number for number in range(2000))
LINES = [
    b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard,resuid=65534",
    b"40 27 0:40 / /home/a rw,nosuid,nodev,relatime shared:7 master:3 propagate_from:2 - fuse.sshfs a@b:/ rw,"
    b"user_id=1000,group_id=1000,allow_other",
    b"41 27 0:41 / /mnt/with\\040blanks\\011and\\134\\012 rw - fuse.x\\040y x\\040-\\040,user_id=5,x rw,user_id=1001,group_id=0",
    b"42 27 0:42 / /root's rw - fuse.sshfs a@b:/ rw,user_id=0,group_id=0,allow_other",
    b"43 27 0:40 /sub /elsewhere ro - fuse.sshfs a@b:/ rw,user_id=1000,group_id=1000",  # bound from 40
    b"44 40 0:44 / /home/a rw - fuse  rw,user_id=1002,group_id=1002",  # upon 40; without a source
    b"45 27 8:1 / /stick rw - fuseblk /dev/sda1 rw,user_id=1003,group_id=1003,blksize=4096",
    b"46 27 0:46 / /user_id=7 rw,user_id=8 - tmpfs user_id=9 rw,xuser_id=10,user_id=x,user_idx=11",
    b"47 27 0:47 / /merged rw - overlay overlay rw," + LONG + b",upperdir=/x",
    b'48 27 0:48 / /labelled rw - fuse.y y rw,context="system_u:object_r:x_t:s0:c1,c2",user_id=1004',
    b"49 27 0:49 / /\xff\xfe rw - fuse z rw,user_id=4294967294",
]


def test_the_user_of_each_mount_is_read():
    assert mounts.read_mounters(b"\n".join(LINES) + b"\n") == {
        27: None,
        40: 1000,
        41: 1001,
        42: 0,
        43: 1000,
        44: 1002,
        45: 1003,
        46: None,
        47: None,
        48: 1004,
        49: 4294967294,
    }
    assert mounts.read_mounters(b"") == {}


def number_of(path):
    fd = os.open(path, os.O_PATH)
    try:
        return mounts.mount_number(fd)
    finally:
        os.close(fd)


def test_every_mount_of_this_host_can_be_read():
    with open("/proc/self/mountinfo", "rb") as stream:
        mounters = mounts.read_mounters(stream.read())
    assert number_of("/proc") in mounters and number_of("/proc") != number_of("/")


def test_a_mount_of_roots():
    assert mounts.find_mounter(number_of("/proc")) is None


@needs_root
def test_what_was_unmounted_meanwhile_is_not_believed():
    with open_folder() as folder:
        with small_disk(folder):
            fd = os.open(folder, os.O_PATH)
            assert mounts.find_mounter(mounts.mount_number(fd)) is None
        with pytest.raises(OSError) as caught:
            mounts.find_mounter(mounts.mount_number(fd))
        os.close(fd)
    assert caught.value.errno == errno.ESTALE


@needs_root
def test_below_a_changed_root_its_mount_is_not_listed():
    def confined():
        os.chroot("/usr")
        os.chdir("/")
        return mounts.find_mounter(number), mounts.find_mounter(None)

    number = number_of("/usr")
    if number != number_of("/"):
        pytest.skip("/usr is a file system of its own")
    assert in_child(confined) == (None, None)


def test_a_plain_user_learns_it_too():
    def ask():
        fd = os.open("/proc", os.O_PATH)
        return mounts.find_mounter(mounts.mount_number(fd))

    assert as_plain_user(ask) is None


@pytest.mark.parametrize(
    "number, reported",
    [
        (errno.ENOENT, False),
        (errno.ENOTDIR, False),
        (errno.EACCES, False),
        (errno.EPERM, False),
        (errno.EMFILE, True),
        (errno.EIO, True),
    ],
)
def test_where_it_cannot_be_read_nothing_is_reported(monkeypatch, number, reported):
    def fail(path, *arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(builtins, "open", fail)
    for ask in (lambda: mounts.mount_number(0), lambda: mounts.find_mounter(27)):
        if reported:
            with pytest.raises(OSError) as caught:
                ask()
            assert caught.value.errno == number
        else:
            assert ask() is None


def test_an_old_kernel_reports_no_number(monkeypatch):
    monkeypatch.setattr(mounts, "_read", lambda path: b"pos:\t0\nflags:\t0100000\n")
    assert mounts.mount_number(0) is None
