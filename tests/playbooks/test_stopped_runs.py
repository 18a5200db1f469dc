# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are stopped: by a signal that asks, and by one that does not."""

import os
import signal
import time

import pytest
from playbook_run import VERSION, task
from trees import names

BIG = "1.31.0"      # big enough to be met while it is written
PADDING = 96 << 20
PATIENCE = 60       # seconds for something that has to come


def wait_for(what):
    """The first true answer of ``what``."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        answer = what()
        if answer:
            return answer
        time.sleep(0.002)
    raise AssertionError("it did not come within %d s" % PATIENCE)


def find_installer(store, version=VERSION):
    """The process that holds the lock, by what it wrote into it; None when there is none yet."""
    try:
        with open(os.path.join(store, ".terraform-%s.lock" % version), encoding="ascii") as file:
            words = file.read().split()
    except FileNotFoundError:
        return None
    return int(words[1]) if words[:1] == ["pid"] and words[-1].endswith("Z") else None


def stop_while_downloading(play, site, store, number):
    """Start an install, send its module a signal when the archive has begun to come, and give the Run."""
    from release_site import misbehaviours
    site.misbehave("*/%s/*.zip" % VERSION, misbehaviours.stall(at=100), times=1)
    before = site.counts(".zip").requests
    run = play.start([task("stopped", site, store)])
    installer = wait_for(lambda: find_installer(store))
    wait_for(lambda: site.counts(".zip").requests > before)
    time.sleep(0.2)     # for the bytes to be on their way into the file
    os.kill(installer, number)
    return run.finish()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_asked_to_stop_it_says_so_and_leaves_no_temporary_file(number, play, site, tmp_path):
    store = str(tmp_path / "store")
    result = stop_while_downloading(play, site, store, number)["stopped"]
    assert result["failed"] and not result["changed"], result
    assert "stopped by %s" % signal.Signals(number).name in result["msg"] and "\n" not in result["msg"]
    assert result["error"]["step"] == "install" and result["error"]["errno_name"] == "EINTR"
    assert any("signature good" in step for step in result["steps"])
    assert names(store) == [".terraform-%s.lock" % VERSION, "%s/" % VERSION]


def test_killed_while_downloading_the_next_run_installs_and_the_third_changes_nothing(play, site, tmp_path):
    store = str(tmp_path / "store")
    killed = stop_while_downloading(play, site, store, signal.SIGKILL)
    assert killed["stopped"]["failed"]
    assert not [name for name in names(store) if name.endswith("/terraform")]
    run = play([task("second", site, store), task("third", site, store)])
    assert run["second"]["changed"] and not run["second"]["failed"], run["second"]
    assert not run["third"]["changed"] and not run["third"]["failed"], run["third"]
    assert names(store) == [".terraform-%s.lock" % VERSION, "%s/" % VERSION, "%s/terraform" % VERSION, "%s/terraform.json" % VERSION]


def test_killed_while_writing_the_left_over_is_swept(play, site, tmp_path, host_platform):
    from release_site import releases
    site.publish(BIG, archives={host_platform: releases.make_archive(BIG, host_platform, padding=PADDING)})
    store = str(tmp_path / "store")
    folder = os.path.join(store, BIG)

    def left_overs():
        return [name for name in names(folder) if name.startswith(".tmp.")] if os.path.isdir(folder) else []

    def writing():
        return os.path.isdir(folder) and any(name.startswith(".tmp.binary.") for name in os.listdir(folder))

    run = play.start([task("killed", site, store, version=BIG)])
    installer = wait_for(lambda: find_installer(store, BIG))
    wait_for(writing)
    os.kill(installer, signal.SIGKILL)
    assert run.finish()["killed"]["failed"]
    left = left_overs()
    assert len(left) == 1 and not os.path.exists(os.path.join(folder, "terraform")), names(folder)

    check = play([task("check", site, store, version=BIG)], check=True)["check"]
    assert check["changed"] and left_overs() == left
    assert any("would remove the left-over %s/%s" % (folder, left[0]) in step for step in check["steps"]), check["steps"]

    run = play([task("second", site, store, version=BIG), task("third", site, store, version=BIG)])
    assert run["second"]["changed"] and not run["second"]["failed"], run["second"]
    assert "target: left-over removed: %s/%s" % (folder, left[0]) in run["second"]["steps"]
    assert not run["third"]["changed"] and not run["third"]["failed"], run["third"]
    assert names(folder) == ["terraform", "terraform.json"]


def test_a_left_over_beside_a_good_binary_is_swept_and_counts_as_a_change(play, site, tmp_path):
    store = str(tmp_path / "store")
    play([task("install", site, store)])
    left = os.path.join(store, VERSION, ".tmp.binary.abcd1234")
    with open(left, "wb") as file:
        file.write(b"half")
    site.stop()
    run = play([task("sweep", site, store), task("again", site, store)])
    assert run["sweep"]["changed"] and not run["sweep"]["failed"], run["sweep"]
    assert not os.path.exists(left) and "target: left-over removed: %s" % left in run["sweep"]["steps"]
    assert not run["again"]["changed"], run["again"]


def test_who_waits_too_long_for_the_lock_is_told_who_holds_it(play, site, tmp_path):
    from release_site import misbehaviours
    store = str(tmp_path / "store")
    site.misbehave("*.zip", misbehaviours.stall(at=10), times=1)
    first = play.start([task("first", site, store)])
    holder = wait_for(lambda: find_installer(store))
    result = play([task("second", site, store, lock_timeout=1)])["second"]
    os.kill(holder, signal.SIGTERM)
    first.finish()
    assert result["failed"] and result["error"]["step"] == "lock", result
    assert "pid %d on " % holder in result["msg"] and os.path.join(store, ".terraform-%s.lock" % VERSION) in result["msg"]
    assert "lock_timeout" in result["error"]["hint"]
