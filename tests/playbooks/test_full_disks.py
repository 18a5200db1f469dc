# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are full or read-only: the path and the errno are named, nothing is left, and with room it works."""

import os
import re
import subprocess
from typing import NamedTuple

import pytest
from file_snapshots import look, names
from playbook_run import task_args

OLD, BIG = "1.13.3", "1.30.0"  # the latter has 3 MB, as archive and as binary
PADDING = 3 << 20
ROOMY = "size=120m,nr_inodes=200"


class Disk(NamedTuple):
    """A file system on which something is missing."""

    options: str  # of its mount
    path: str  # what error.path has to be: a pattern, below the mount
    left: int = 2  # how many of INSTALLED are there after the failure


DISKS = {  # the first two are seen before anything is fetched; who has room for less than that gets the error as it comes
    "no-room": Disk("size=90m", r"store/{version}/terraform", left=0),
    "no-inode-at-all": Disk("size=120m,nr_inodes=1", r"store/{version}/terraform", left=0),
    "no-inode-for-the-lock": Disk("size=120m,nr_inodes=2", r"store/\.terraform-{version}\.lock", left=0),
    "no-inode-for-the-version": Disk("size=120m,nr_inodes=3", r"store/{version}/terraform", left=1),
    "no-inode-for-the-archive": Disk("size=120m,nr_inodes=4", r"store/{version}/\.tmp\.archive\.\w+"),
}


SEEN = ("no-room", "no-inode-at-all")


def installed(version):
    """What a store with this version has, in the order in which it comes."""
    return [".terraform-%s.lock" % version, "%s/" % version, "%s/terraform" % version, "%s/terraform.json" % version]


@pytest.fixture(scope="module")
def big_site(module_site, host_platform):
    from release_site import releases

    module_site.publish(BIG, archives={host_platform: releases.make_archive(BIG, host_platform, padding=PADDING)})
    return module_site


@pytest.fixture(scope="module")
def mount(folder):
    """callable(name, options) -> a folder on which a new tmpfs is mounted."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    mounted = []

    def make(name, options):
        place = os.path.join(folder, name)
        os.mkdir(place)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "mode=0755," + options, "tmpfs", place],
            stderr=subprocess.PIPE,
            universal_newlines=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.skip("no tmpfs can be mounted here: %s" % done.stderr.strip())
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", place], check=True)


def remount(place, options):
    subprocess.run(["mount", "-o", "remount," + options, place], check=True)


@pytest.fixture(scope="module")
def full(tasks, big_site, mount):
    """Every disk once as it is, and once with room."""
    places = {name: mount(name, disk.options) for name, disk in DISKS.items()}
    args_by_host = {name: task_args(big_site, os.path.join(places[name], "store"), version=BIG) for name in DISKS}
    seen = tasks.each({name: args_by_host[name] for name in SEEN}).each
    requests = list(big_site.requests)
    failed = dict(tasks.each({name: args_by_host[name] for name in set(DISKS) - set(SEEN)}).each, **seen)
    left = {name: names(os.path.join(places[name], "store")) for name in DISKS}
    for place in places.values():
        remount(place, ROOMY)
    return {
        "failed": failed,
        "left": left,
        "places": places,
        "roomy": tasks.each(args_by_host).each,
        "requests": requests,
    }


@pytest.mark.parametrize("name", sorted(DISKS))
def test_the_path_and_the_errno_are_named(name, full):
    result, disk, place = full["failed"][name], DISKS[name], full["places"][name]
    error = result["error"]
    assert result["failed"] and not result["changed"], result
    assert (error["step"], error["errno_name"], error["errno"]) == ("install", "ENOSPC", 28)
    path = disk.path.replace("{version}", re.escape(BIG))
    assert re.fullmatch(re.escape(place) + "/" + path, error["path"]), error["path"]
    assert error["path"] in result["msg"] and "\n" not in result["msg"] and len(result["msg"]) <= 400
    assert "free" in error["hint"] and "base_dir" in error["hint"]


@pytest.mark.parametrize("name", sorted(DISKS))
def test_nothing_is_left_but_a_lock_and_empty_directories(name, full):
    assert full["left"][name] == installed(BIG)[: DISKS[name].left]


@pytest.mark.parametrize("name", sorted(DISKS))
def test_with_room_the_same_task_succeeds(name, full):
    assert full["roomy"][name]["changed"] and not full["roomy"][name]["failed"], full["roomy"][name]
    assert names(os.path.join(full["places"][name], "store")) == installed(BIG)


def test_what_is_seen_before_costs_no_request(full):
    """No archive is fetched, and none sent, for a host that cannot take it; the message says which mount."""
    assert full["requests"] == []
    place = full["places"]["no-room"]
    assert full["failed"]["no-room"]["msg"].startswith("no-room: 94 MB free on %s (tmpfs), 100 MB needed for /" % place)
    place = full["places"]["no-inode-at-all"]
    assert full["failed"]["no-inode-at-all"]["msg"].startswith("no-inode-at-all: no inode free on %s (" % place)


@pytest.fixture(scope="module")
def read_only(tasks, big_site, mount):
    """A disk with a good store and a damaged one, made read-only, and what runs say of it."""
    disk = mount("read-only", ROOMY)
    good, bad = os.path.join(disk, "good"), os.path.join(disk, "bad")
    tasks.each({"good": task_args(big_site, good), "bad": task_args(big_site, bad)})
    os.unlink(os.path.join(bad, "1.13.4", "terraform"))
    before = look(disk)
    remount(disk, "ro")
    results = tasks.each(
        {
            "in-order": task_args(big_site, good),
            "to-repair": task_args(big_site, bad),
            "new": task_args(big_site, os.path.join(disk, "new")),
            "to-link": task_args(big_site, good, link=os.path.join(disk, "terraform")),
        }
    ).each
    return results, disk, look(disk) == before


@pytest.mark.parametrize("name,path", [("to-repair", "bad"), ("new", "new"), ("to-link", "")])
def test_a_read_only_disk_is_named(name, path, read_only):
    results, disk, same = read_only
    result = results[name]
    assert result["failed"] and not result["changed"], result
    assert (result["error"]["step"], result["error"]["errno_name"]) == ("install", "EROFS")
    assert result["error"]["path"].startswith(os.path.join(disk, path)) and result["error"]["path"] in result["msg"]
    assert "read-only" in result["error"]["hint"] and same


def test_what_is_in_order_on_a_read_only_disk_is_in_order(read_only):
    result = read_only[0]["in-order"]
    assert not result["failed"] and not result["changed"], result


def test_no_room_for_an_upgrade_leaves_the_old_version_and_its_link(play, big_site, mount):
    disk = mount("upgrade", "size=120m")
    store, link = os.path.join(disk, "store"), os.path.join(disk, "terraform")
    play.each({"old": task_args(big_site, store, version=OLD, link=link)})
    remount(disk, "size=2m")
    before = look(os.path.join(store, OLD))
    result = play.each({"new": task_args(big_site, store, version=BIG, link=link)}).each["new"]
    assert result["failed"] and result["error"]["errno_name"] == "ENOSPC", result
    assert os.readlink(link) == os.path.join(store, OLD, "terraform")
    assert look(os.path.join(store, OLD)) == before
