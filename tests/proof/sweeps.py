# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sweep: every call of a run below its folder, one fault at a time, and the invariants after each.

The work is shared by processes that each have their own copy of the host; a sweep goes in a fixed order, so that the
short one (every so many-th fault) is the same every time.
"""

import contextlib
import itertools
import multiprocessing
import os
import shutil
import tempfile
from typing import NamedTuple, Optional

import faults
import invariants
import scenarios

PROCESSES = min(2, os.cpu_count() or 1)
# Calls that change something below the folder: these get every fault in every scenario. The others look: every fault for
# them, too, in the main scenarios, and one each in turn in the rest.
CHANGING = (
    "write",
    "pwrite64",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "fchmod",
    "fchmodat",
    "chmod",
    "fchown",
    "fsync",
    "fdatasync",
    "ftruncate",
    "symlink",
    "symlinkat",
    "link",
    "flock",
    "execve",
)


def is_changing(call):
    """A call changes something, as far as its name says."""
    return call.name in CHANGING or "O_CREAT" in call.text


class Task(NamedTuple):
    """A part of a sweep: one scenario, by one user."""

    scenario: str
    installer: str
    uid: Optional[int]
    kinds: Optional[tuple] = None  # of faults, at the calls that change something; None: all of them at all calls


class Finding(NamedTuple):
    """What one fault did."""

    task: Task
    fault: faults.Fault
    fired: bool
    wrong: tuple  # sentences
    acted: bool  # the fault's run changed something on disk
    recovered: bool  # clean runs followed

    def __str__(self):
        return "%s as %s: %s at %s number %d, %s: %s" % (
            self.task.scenario,
            self.task.uid,
            self.fault.kind,
            self.fault.call.name,
            self.fault.call.number,
            self.fault.call.text[:200],
            "; ".join(self.wrong),
        )


class Bench:
    """A host to strike, again and again, with all that a check needs."""

    def __init__(self, strace, task, folder):
        self.strace = strace
        self.task = task
        self.log = os.path.join(folder, "trace")
        self.world = scenarios.World(
            folder, scenarios.SCENARIOS[task.scenario], scenarios.INSTALLERS[task.installer], task.uid
        )
        before = self.world.hit()
        first = self._run()
        assert first.answer and not first.answer.get("failed"), first
        self.course = invariants.Course(before, self.world.hit())
        self.world.reset()
        ending, calls = faults.trace(strace, self.world.act, self.world.folder, self.log, task.uid)
        assert ending.answer == first.answer, "two runs, two answers: %s, %s" % (first, ending)
        self.calls = calls
        self._put_right = []  # pictures of what faults left, and clean runs put right

    def _run(self):
        return faults.run(self.world.act, self.task.uid)

    def faults(self):
        """All faults of the sweep, in a fixed order."""
        thorough = scenarios.SCENARIOS[self.task.scenario].calls == "all"
        rotating = itertools.cycle(faults.ERRORS + faults.SIGNALS)
        for call in self.calls:
            changing = is_changing(call)
            if changing or thorough:
                kinds = faults.ERRORS + faults.SIGNALS + faults.LIES.get(call.name, ())
            else:
                kinds = (next(rotating),)
            for kind in kinds:
                if self.task.kinds is None or changing and kind in self.task.kinds:
                    yield faults.Fault(call, kind)

    def strike(self, fault):
        """One fault, and a clean run and a third one after it: Finding."""
        self.world.reset()
        ending, fired = faults.strike(self.strace, self.world.act, fault, self.log, self.task.uid)
        if not fired:  # a call more or less was counted, as happens once in thousands: it has to strike now
            self.world.reset()
            ending, fired = faults.strike(self.strace, self.world.act, fault, self.log, self.task.uid)
        hit = self.world.hit()
        injected = fault.kind if fault.kind in faults.ERRORS else "EINTR" if fault.kind == "SIGTERM" else None
        wrong = self.course.after_fault(hit, ending, injected, fault.kind in ("0", "1"))
        if ending.signal and not fault.kind.startswith("SIG"):
            wrong.append("I5: ended by signal %d" % ending.signal)
        if ending.signal and fault.kind == "SIGTERM" and self.course.has_changed(hit) and not self._is_right(hit):
            wrong.append("I5: ended by SIGTERM without a word in the middle of its work")
        # At a call that only looks there is little that a fault can leave: what was put right once is not put right again.
        recover = is_changing(fault.call) or hit.picture not in self._put_right
        if recover:
            found = self._recover(hit)
            wrong += found
            if not found:
                self._put_right.append(hit.picture)
        return Finding(self.task, fault, fired, tuple(wrong), self.course.has_changed(hit), recover)

    def _recover(self, hit):
        """A clean run, and a third one: what is wrong then."""
        rerun = self._run()
        again = self.world.hit()
        third = self._run()
        return self.course.after_rerun(hit, rerun, again, third, self.world.hit())

    def _is_right(self, hit):
        return hit.picture == self.course.right.picture


def sweep(strace, tasks, every=1, offset=0):
    """Strike.

    :param tasks: list of Task.
    :param every: int, only each so many-th fault of all.
    :param offset: int, from which.
    :returns: list of Finding.
    """
    parts = [
        (strace, task, every, offset + number, part) for number, task in enumerate(tasks) for part in range(PROCESSES)
    ]
    with multiprocessing.get_context("fork").Pool(PROCESSES, be_nice, maxtasksperchild=1) as pool:
        return [finding for findings in pool.imap(_sweep_part, parts, chunksize=1) for finding in findings]


def be_nice():
    """Leave the machine to others, as with ``nice -n 10``."""
    os.nice(max(0, 10 - os.nice(0)))


def stay_on_one_core(number):
    """This process and its children keep to one core: strace and what it traces hand over to each other all the time."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[number % len(cores)]})


def _sweep_part(part):
    strace, task, every, offset, share = part
    stay_on_one_core(share)
    with fast_folder() as folder:
        bench = Bench(strace, task, folder)
        chosen = itertools.islice(bench.faults(), offset % every, None, every)
        return [bench.strike(fault) for fault in itertools.islice(chosen, share, None, PROCESSES)]


@contextlib.contextmanager
def fast_folder():
    """A folder in memory where there is one: thousands of fsync(2) are not what is tried here."""
    folder = os.path.realpath(
        tempfile.mkdtemp(prefix="terraform-binary-proof-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    )
    os.chmod(folder, 0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def fast_world(scenario):
    """The host of a scenario, for us, in this process."""
    before = tempfile.tempdir
    with fast_folder() as folder:
        try:
            yield scenarios.World(folder, scenarios.SCENARIOS[scenario], scenarios.ours)
        finally:
            tempfile.tempdir = before
