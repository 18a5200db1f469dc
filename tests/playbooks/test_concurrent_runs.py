# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installers that meet: twelve at once on one version, and two on two versions with one link."""

import os

import pytest
from file_snapshots import hash_of, names
from playbook_run import VERSION, task_args

HOSTS = 12


@pytest.fixture(scope="module")
def concurrent(tasks, module_site, folder):
    """Twelve hosts that are one, all at once: (results by host, Run, requests for the archive)."""
    from release_site import misbehaviours

    # The first one is slow, so that the others meet its lock.
    module_site.misbehave("*.zip", misbehaviours.delay(3), times=1)
    module_site.requests.clear()
    store = os.path.join(folder, "store")
    run = tasks.each(
        {"h%d" % number: task_args(module_site, store, download="target") for number in range(HOSTS)}, forks=HOSTS
    )
    return run.each, run, module_site.counts(".zip").requests


def test_all_succeed_and_one_of_them_installed(concurrent):
    results, run, _zips = concurrent
    assert run.returncode == 0 and len(results) == HOSTS
    assert not [result["msg"] for result in results.values() if result["failed"]]
    assert [result["changed"] for result in results.values()].count(True) == 1


def test_the_archive_was_asked_for_once(concurrent):
    assert concurrent[2] == 1


def test_all_report_the_same_binary(concurrent, folder):
    binary = os.path.join(folder, "store", VERSION, "terraform")
    assert {(result["path"], result["binary_sha256"]) for result in concurrent[0].values()} == {
        (binary, hash_of(binary))
    }
    assert names(os.path.join(folder, "store")) == [
        ".terraform-%s.lock" % VERSION,
        "%s/" % VERSION,
        "%s/terraform" % VERSION,
        "%s/terraform.json" % VERSION,
    ]


def test_those_who_waited_say_so_in_at_most_two_steps(concurrent):
    idle = [result for result in concurrent[0].values() if not result["changed"]]
    assert all(1 <= len(result["steps"]) <= 2 for result in idle), [result["steps"] for result in idle]
    assert any("another run did it just now" in result["msg"] for result in idle)


def test_two_versions_at_once_with_one_link(play, module_site, tmp_path):
    store, link = str(tmp_path / "store"), str(tmp_path / "bin" / "terraform")
    args_by_host = {
        version: task_args(module_site, store, version=version, link=link) for version in ("1.13.3", "1.9.8")
    }
    run = play.each(args_by_host)
    paths = {os.path.join(store, version, "terraform") for version in args_by_host}
    assert all(result["changed"] and not result["failed"] for result in run.each.values()), run.output
    assert {result["path"] for result in run.each.values()} == paths
    assert os.readlink(link) in paths and all(os.access(path, os.X_OK) for path in paths)
    assert names(str(tmp_path / "bin")) == ["terraform"]
    checked = play.each({version: dict(wanted, link=None) for version, wanted in args_by_host.items()}, check=True)
    assert not any(result["changed"] for result in checked.each.values()), checked.output
