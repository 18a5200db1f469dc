# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installers that are stopped while their host downloads: by a signal that asks, and by one that does not."""

import glob
import os
import signal
import time

import pytest
from file_snapshots import names
from playbook_run import VERSION, task, task_args

BIG = "1.31.0"  # big enough to be met while it is written
PADDING = 48 << 20
SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGHUP": signal.SIGHUP, "SIGINT": signal.SIGINT, "SIGKILL": signal.SIGKILL}
PATIENCE = 60  # seconds for something that has to come


def wait_for(run, what):
    """The first true answer of ``what`` while a Run is under way."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends and run.process.poll() is None:
        answer = what()
        if answer:
            return answer
        time.sleep(0.002)
    run.process.kill()
    raise AssertionError("it did not come within %d s, or before the end of:\n%s" % (PATIENCE, run.finish().output))


def find_installer(store, version=VERSION):
    """The process that holds the lock, by what it wrote into it; None when there is none yet."""
    try:
        with open(os.path.join(store, ".terraform-%s.lock" % version), encoding="ascii") as file:
            words = file.read().split()
    except FileNotFoundError:
        return None
    return int(words[1]) if words[:1] == ["pid"] and words[-1].endswith("Z") else None


@pytest.fixture(scope="module")
def stopped(play, tasks, module_site, folder):
    """An install for each signal, which it gets while the archive comes; then two more with a site in good order."""
    from release_site import misbehaviours

    stores = {name: os.path.join(folder, name) for name in SIGNALS}
    args_by_host = {name: task_args(module_site, store, download="target") for name, store in stores.items()}
    module_site.misbehave("*.zip", misbehaviours.stall(at=100), times=len(SIGNALS))
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # what is started under nohup ignores it, as it should
    try:
        run = play.start_each(args_by_host)
    finally:
        signal.signal(signal.SIGHUP, before)
    for name, number in SIGNALS.items():
        installer = wait_for(run, lambda store=stores[name]: find_installer(store))
        wait_for(run, lambda: module_site.counts(".zip").requests == len(SIGNALS))
        os.kill(installer, number)
    stopped = run.finish().each
    left = {name: names(store) for name, store in stores.items()}
    return {
        "stopped": stopped,
        "left": left,
        "stores": stores,
        "second": tasks.each(args_by_host).each,
        "third": tasks.each(args_by_host).each,
    }


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_asked_to_stop_it_says_so(name, stopped):
    result = stopped["stopped"][name]
    assert result["failed"] and not result["changed"], result
    assert "stopped by %s" % name in result["msg"] and "\n" not in result["msg"]
    assert result["error"]["step"] == "install" and result["error"]["errno_name"] == "EINTR"
    assert any("signature good" in step for step in result["steps"])


@pytest.mark.parametrize("name", sorted(SIGNALS))
def test_stopped_while_downloading_nothing_is_left(name, stopped):
    assert stopped["stopped"][name]["failed"]
    assert stopped["left"][name] == [".terraform-%s.lock" % VERSION, "%s/" % VERSION]


@pytest.mark.parametrize("name", sorted(SIGNALS))
def test_the_next_run_installs_and_the_third_changes_nothing(name, stopped):
    second, third = stopped["second"][name], stopped["third"][name]
    assert second["changed"] and not second["failed"], second
    assert not third["changed"] and not third["failed"], third
    assert names(stopped["stores"][name]) == [
        ".terraform-%s.lock" % VERSION,
        "%s/" % VERSION,
        "%s/terraform" % VERSION,
        "%s/terraform.json" % VERSION,
    ]


def test_killed_while_writing_the_stale_temporary_file_is_removed(play, tasks, site, tmp_path, host_platform):
    from release_site import releases

    site.publish(BIG, archives={host_platform: releases.make_archive(BIG, host_platform, padding=PADDING)})
    store = str(tmp_path / "store")
    folder = os.path.join(store, BIG)

    def stale_temp_files():
        return [name for name in names(folder) if name.startswith(".tmp.")] if os.path.isdir(folder) else []

    def writing():
        return os.path.isdir(folder) and any(name.startswith(".tmp.binary.") for name in os.listdir(folder))

    run = play.start([task("killed", site, store, version=BIG)])
    installer = wait_for(run, lambda: find_installer(store, BIG))
    wait_for(run, writing)
    os.kill(installer, signal.SIGKILL)
    assert run.finish()["killed"]["failed"]
    left = stale_temp_files()
    assert len(left) == 1 and not os.path.exists(os.path.join(folder, "terraform")), names(folder)

    check = tasks([task("check", site, store, version=BIG)], check=True)["check"]
    assert check["changed"] and stale_temp_files() == left
    assert "target: would remove the stale temporary file %s/%s" % (folder, left[0]) in check["steps"]

    run = tasks([task("second", site, store, version=BIG), task("third", site, store, version=BIG)])
    assert run["second"]["changed"] and not run["second"]["failed"], run["second"]
    assert "target: stale temporary file removed: %s/%s" % (folder, left[0]) in run["second"]["steps"]
    assert not run["third"]["changed"] and not run["third"]["failed"], run["third"]
    assert names(folder) == ["terraform", "terraform.json"]


def test_removing_a_stale_temporary_file_beside_a_good_binary_is_a_change(tasks, site, tmp_path):
    store = str(tmp_path / "store")
    tasks([task("install", site, store)])
    left = os.path.join(store, VERSION, ".tmp.binary.abcd1234")
    with open(left, "wb") as file:
        file.write(b"half")
    site.stop()
    run = tasks([task("cleanup", site, store), task("again", site, store)])
    assert run["cleanup"]["changed"] and not run["cleanup"]["failed"], run["cleanup"]
    assert not os.path.exists(left) and "target: stale temporary file removed: %s" % left in run["cleanup"]["steps"]
    assert not run["again"]["changed"], run["again"]


def test_a_lock_timeout_names_the_holder(play, tasks, site, tmp_path):
    from release_site import misbehaviours

    store = str(tmp_path / "store")
    site.misbehave("*.zip", misbehaviours.stall(at=10), times=1)
    first = play.start([task("first", site, store, download="target")])
    holder = wait_for(first, lambda: find_installer(store))
    result = tasks([task("second", site, store, lock_timeout=1, download="target")])["second"]
    os.kill(holder, signal.SIGTERM)
    first.finish()
    assert result["failed"] and result["error"]["step"] == "lock", result
    assert "pid %d on " % holder in result["msg"]
    assert os.path.join(store, ".terraform-%s.lock" % VERSION) == result["error"]["path"]
    assert "lock_timeout" in result["error"]["hint"]


def test_what_a_killed_ansible_playbook_left_is_removed_by_the_next(play, site, tmp_path):
    """It cannot tidy up: its own temporary directory stays, with what came of the archive."""
    from release_site import misbehaviours

    site.misbehave("*.zip", misbehaviours.stall(at=10), times=1)
    run = play.start([task("killed", site, tmp_path / "store")])
    wait_for(run, lambda: site.counts(".zip").requests)
    left = glob.glob(
        os.path.join(play.folder, "home", "tmp", "ansible-local-%d*" % run.process.pid, "terraform_binary")
    )
    run.end()
    assert len(left) == 1 and any(".tmp." in name for name in names(left[0])), left
    result = play([task("next", site, tmp_path / "store")])["next"]
    assert result["changed"] and not os.path.exists(left[0]), result
    assert "controller: left by a run that was killed, removed: %s" % left[0] in result["steps"]
