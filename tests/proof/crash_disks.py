# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power losses: file systems on loop devices, of which a copy is taken while a run stands still between two calls.

The copy holds what the file system had given to its device by then, and nothing of what it kept in memory. It is a crash
image: mounted, which replays its journal, it is the host after the power came back. What a disk does that loses what it
acknowledged is not tried.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
from typing import NamedTuple, Tuple

import faults
import invariants
import scenarios

# Calls before which the power goes; after the last one it goes as well.
STEPS = (
    "write",
    "renameat",
    "unlinkat",
    "mkdirat",
    "fchmod",
    "fsync",
    "symlinkat",
    "openat",
    "rename",
    "unlink",
    "mkdir",
    "chmod",
    "symlink",
)
_CLONE_NEWNS = 0x20000  # unshare(2)


class FileSystem(NamedTuple):
    """How to make one and mount it, so that nothing but the run itself makes it write."""

    make: Tuple[str, ...]
    size: int  # bytes of its device
    options: str


FILE_SYSTEMS = {
    "ext4": FileSystem(("mkfs.ext4", "-q", "-F"), 24 << 20, "commit=300"),
    "ext4 noauto_da_alloc": FileSystem(("mkfs.ext4", "-q", "-F"), 24 << 20, "commit=300,noauto_da_alloc"),
    "xfs": FileSystem(("mkfs.xfs", "-q", "-f"), 320 << 20, "nouuid"),
    "btrfs": FileSystem(("mkfs.btrfs", "-q", "-f", "--mixed"), 64 << 20, "commit=300"),
}


class CrashImage(NamedTuple):
    """What one power loss did."""

    where: str  # file system, scenario, step
    wrong: tuple  # sentences
    lost: bool  # the run had done something that the power loss took away

    def __str__(self):
        return "%s: %s" % (self.where, "; ".join(self.wrong))


class Disk:
    """A device with a file system that a scenario's host is on, in the state before the run.

    :param folder: str, an empty folder, in memory if possible.
    """

    def __init__(self, folder, file_system, scenario, installer):
        self.kind = FILE_SYSTEMS[file_system]
        self.name = "%s, %s" % (file_system, scenario)
        self.log = os.path.join(folder, "trace")
        self.mount_point = os.path.join(folder, "mnt")
        self.before, self.running, self.crashed = (
            os.path.join(folder, name) for name in ("before", "running", "crashed")
        )
        os.mkdir(self.mount_point)
        with open(self.before, "wb") as image:
            image.truncate(self.kind.size)
        _do(*self.kind.make, self.before)
        with self.mounted(self.before):
            self.world = scenarios.World(
                self.mount_point, scenarios.SCENARIOS[scenario], scenarios.INSTALLERS[installer]
            )
            shutil.rmtree(self.world.before)
            first = self.world.hit()
        with self.started():
            ending = faults.run(self.world.act)
            assert ending.answer and not ending.answer.get("failed"), ending
            self.course = invariants.Course(first, self.world.hit())

    @contextlib.contextmanager
    def mounted(self, image):
        _do("mount", "-o", "loop," + self.kind.options, image, self.mount_point)
        try:
            yield
        finally:
            _do("umount", self.mount_point)

    @contextlib.contextmanager
    def started(self):
        """The host before the run, on a device of its own."""
        _copy(self.before, self.running)
        with self.mounted(self.running):
            yield

    def steps(self, strace):
        """The calls before which the power goes: list of Call, and None for the end of the run."""
        with self.started():
            _ending, calls = faults.trace(strace, self.world.act, self.world.folder, self.log)
        return [
            call
            for call in calls
            if call.name in STEPS
            and (call.name != "openat" or "O_CREAT" in call.text)
            and "/tmp/terraform-run-check" not in call.text
            and ".lock" not in call.text
        ] + [None]

    def lose_power(self, strace, step, busy):
        """Let a run come to a step, take the power away, and look what is there when it comes back: CrashImage.

        :param busy: bool, another program syncs a file of its own just before: the journal then is written, with the names
            that the run made, but not the bytes that it did not sync.
        """
        where = "%s, %s%s" % (
            self.name,
            "before %s number %d" % (step.name, step.number) if step else "at the end",
            ", another program syncs" if busy else "",
        )
        with self.started():
            if step is None:
                ending, struck = faults.run(self.world.act), True
            else:
                ending, struck = faults.strike(strace, self.world.act, faults.Fault(step, "SIGKILL"), self.log)
            assert struck, "%s: the run did not come to it" % where
            if busy:
                _sync_another(os.path.join(self.mount_point, "neighbour"))
            left = self.world.hit()
            _copy(self.running, self.crashed)
        with self.mounted(self.crashed):
            found = self.world.hit()
            wrong = self.course.after_fault(found, ending)
            rerun = faults.run(self.world.act)
            again = self.world.hit()
            third = faults.run(self.world.act)
            wrong += self.course.after_rerun(found, rerun, again, third, self.world.hit())
        return CrashImage(where, tuple(wrong), left.picture != found.picture)


def mount_alone():
    """Let this process mount where no other sees it: a copy in another's namespace would keep a device busy, and two
    devices with one btrfs on them must not be there at once."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare(2) of the mounts")
    _do("mount", "--make-rprivate", "/")


def missing_tools():
    """Why there can be no crash images here; None when there can."""
    if os.geteuid() != 0:
        return "loop devices and mount(8) need root"
    missing = [kind.make[0] for kind in FILE_SYSTEMS.values() if not shutil.which(kind.make[0])]
    if missing:
        return "not installed: %s" % ", ".join(sorted(set(missing)))
    done = subprocess.run(["losetup", "-f"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return "no loop device: %s" % done.stdout.decode("utf-8", "replace").strip() if done.returncode else None


def _sync_another(path):
    with open(path, "wb") as file:
        file.write(b"something else")
        file.flush()
        os.fsync(file.fileno())


def _copy(source, target):
    _do("cp", "--sparse=always", source, target)


def _do(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, "%s: %s" % (" ".join(command), done.stdout.decode("utf-8", "replace"))
