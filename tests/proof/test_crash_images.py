# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""T5: the power goes before each step of an install, a repair and a removal, and after the last one, on four file systems.

What comes back is legal, and a clean run puts it right. A success that was reported survives.
"""

import itertools
import multiprocessing

import crash_disks
import pytest
import sweeps
from support import tiers

EVERY = 1 if tiers.FULL else 31  # of all images every so many-th is made
SCENARIOS = ("nothing", "damaged, link", "link back", "mode", "removal, link")


@pytest.fixture(scope="module", autouse=True)
def possible():
    reason = crash_disks.missing_tools()
    if reason:
        pytest.skip(reason)


def make_images(strace, installer, scenarios, every):
    parts = [
        (strace, file_system, scenario, installer, every)
        for file_system, scenario in itertools.product(crash_disks.FILE_SYSTEMS, scenarios)
    ]
    with multiprocessing.get_context("fork").Pool(sweeps.PROCESSES, start_worker, maxtasksperchild=1) as pool:
        # map() waits for all of them, also when one fails: who is ended in the middle leaves a mount behind.
        return [image for images in pool.map(_make_part, parts, chunksize=1) for image in images]


def start_worker():
    sweeps.be_nice()
    crash_disks.mount_alone()


def _make_part(part):
    strace, file_system, scenario, installer, every = part
    with sweeps.fast_folder() as folder:
        disk = crash_disks.Disk(folder, file_system, scenario, installer)
        # From the end on: that a success survives is looked at in the shortest run, too.
        crashes = itertools.product(reversed(disk.steps(strace)), (False, True))
        return [disk.lose_power(strace, step, busy) for step, busy in itertools.islice(crashes, 0, None, every)]


def test_every_crash_image_is_legal_and_repaired(strace, proof):
    images = make_images(strace, "ours", SCENARIOS, EVERY)
    wrong = [image for image in images if image.wrong]
    proof(
        "%s crash images on %s, %d violations"
        % ("{:,}".format(len(images)), ", ".join(crash_disks.FILE_SYSTEMS), len(wrong))
    )
    assert not wrong, "\n".join(map(str, wrong))
    for file_system in crash_disks.FILE_SYSTEMS:
        lost = any(image.lost for image in images if image.where.startswith(file_system + ","))
        assert lost or not tiers.FULL, "%s: no power loss took anything away" % file_system
    tiers.check_floor("T5", len(images))


def test_the_same_power_losses_leave_a_naive_installer_half_done(strace, proof):
    images = make_images(strace, "naive", ("nothing",), 1 if tiers.FULL else 5)
    wrong = [image for image in images if image.wrong]
    proof("naive: %d crash images, %d violations" % (len(images), len(wrong)))
    for file_system in crash_disks.FILE_SYSTEMS:
        assert any(image.where.startswith(file_system + ",") for image in wrong), (
            "%s: nothing was seen wrong" % file_system
        )
