# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site that fails and recovers: tries in a row end right and leave no stale temporary file, in a task and from task to task."""

import os

import pytest
from file_snapshots import names
from playbook_run import MODULE, VERSION, task, task_args

DEAD = "http://127.0.0.1:9"  # nothing listens there


@pytest.fixture(scope="module")
def rapid(tasks, module_site, folder):
    """The same task eight times in a row, as fast as it goes, while a site fails in seven ways."""
    from release_site import misbehaviours

    failures = [
        ("*.zip", misbehaviours.truncate(at=300)),
        ("*.zip", misbehaviours.status(500)),
        ("*.zip", misbehaviours.reset(at=100)),
        ("*_SHA256SUMS", misbehaviours.status(503)),
        ("*.zip", misbehaviours.html_200()),
        ("*_SHA256SUMS", misbehaviours.close_before_reply()),
        ("*.sig", misbehaviours.flip()),
    ]
    for pattern, behaviour in failures:
        module_site.misbehave(pattern, behaviour, times=1)
    store = os.path.join(folder, "rapid")
    tries = [task("try %d" % number, module_site, store) for number in range(len(failures) + 1)]
    run = tasks(tries + [task("once more", module_site, store)])
    module_site.behave()
    return run, len(failures)


def test_tries_in_a_row_end_right(rapid):
    run, failures = rapid
    results = [run["try %d" % number] for number in range(failures + 1)]
    assert [result["failed"] for result in results] == [True] * failures + [False]
    assert [result["changed"] for result in results] == [False] * failures + [True]
    assert not run["once more"]["changed"] and not run["once more"]["failed"]


def test_each_failure_names_its_step(rapid):
    run, failures = rapid
    steps = sorted(run["try %d" % number]["error"]["step"] for number in range(failures))
    assert steps == ["fetch"] * (failures - 1) + ["verify"]
    assert all(run["try %d" % number]["error"]["url"] for number in range(failures))


def test_no_stale_temporary_file_is_left(rapid, folder):
    assert names(os.path.join(folder, "rapid")) == [
        ".terraform-%s.lock" % VERSION,
        "%s/" % VERSION,
        "%s/terraform" % VERSION,
        "%s/terraform.json" % VERSION,
    ]


@pytest.fixture(scope="module")
def patient(tasks, module_site, folder):
    """Stores whose task tries again by itself, each at another version."""
    from release_site import misbehaviours

    args_by_host = {}
    for number, (name, pattern, behaviour) in enumerate(
        [
            ("cut-short", "*.zip", misbehaviours.truncate(at=200)),
            ("server-error", "*_SHA256SUMS", misbehaviours.status(502)),
            ("busy", "*.sig", misbehaviours.retry_later(429, seconds=1)),
            ("damaged-once", "*.zip", misbehaviours.flip()),
        ]
    ):
        version = "1.40.%d" % number
        module_site.publish(version)
        module_site.misbehave("*/%s/%s" % (version, pattern), behaviour, times=1)
        args_by_host[name] = task_args(module_site, os.path.join(folder, name), version=version, retries=3)
    args_by_host["next-site"] = task_args(module_site, os.path.join(folder, "next-site"), sites=[DEAD, module_site.url])
    return tasks.each(args_by_host)


@pytest.mark.parametrize("name", ["cut-short", "server-error", "busy", "damaged-once", "next-site"])
def test_a_task_tries_again_by_itself(name, patient):
    result = patient.each[name]
    assert result["changed"] and not result["failed"], result
    words = {"damaged-once": "once more from the start", "next-site": "site failed: " + DEAD}.get(name, "try 2 of 3")
    assert any(words in step for step in result["steps"]), result["steps"]


def test_until_and_retries_of_ansible_work(play, module_site, tmp_path):
    from release_site import misbehaviours

    module_site.misbehave("*/1.9.8/*.zip", misbehaviours.status(500), times=2)
    run = play(
        [
            {
                "name": "until",
                MODULE: task_args(module_site, tmp_path / "store", version="1.9.8"),
                "register": "answer",
                "until": "answer is succeeded",
                "retries": 3,
                "delay": 0,
            }
        ]
    )
    assert run["until"]["changed"] and run["until"]["attempts"] == 3, run["until"]
