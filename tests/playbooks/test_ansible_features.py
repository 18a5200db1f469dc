# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a good module has to get along with: facts, module_defaults, loops, async, delegation, environment, handlers."""

import os
import re

import pytest
from file_snapshots import names
from playbook_run import MODULE, VERSION, task, task_args

FACT = "ansible_facts['terraform_binary_result']"
GROUP = "group/iac_platform.terraform.terraform"
OLD = "1.13.3"


def show(name, expression, **keywords):
    """A task whose result has the value of an expression as ``msg``."""
    return dict({"name": name, "ansible.builtin.debug": {"msg": "{{ %s }}" % expression}}, **keywords)


@pytest.fixture(scope="module")
def story(play, module_site, folder):
    """One play on two hosts' worth of features, in the order of the tests."""

    def at(name):
        return os.path.join(folder, name)

    defaults = task_args(module_site, at("defaults"))
    asynchronous = task_args(module_site, at("later"))
    failing = {"register": "broken", "ignore_errors": True}
    run = play(
        [
            show("fact before", FACT + " | default('none')"),
            task(
                "install", module_site, at("store"), {"register": "first", "notify": "reported"}, link=at("terraform")
            ),
            show("fact", FACT),
            {"name": "use", "ansible.builtin.command": {"argv": ["{{ %s['path'] }}" % FACT, "version"]}},
            task("again", module_site, at("store"), {"register": "second", "notify": "never"}, link=at("terraform")),
            show("registered", "[first is changed, second is changed, second.version, second.path == first.path]"),
            task("loop", module_site, at("loop"), {"loop": [OLD, VERSION], "register": "loop"}, version="{{ item }}"),
            show("looped", "loop.results | map(attribute='version') | list"),
            show("fact of the loop", FACT + "['versions']"),
            {"name": "defaults", MODULE: {"version": OLD}, "module_defaults": {GROUP: defaults}},
            {"name": "poll", MODULE: task_args(module_site, at("poll")), "async": 60, "poll": 1},
            show("fact of the poll", FACT + "['base_dir']"),
            {"name": "later", MODULE: asynchronous, "async": 60, "poll": 0, "register": "job"},
            {
                "name": "awaited",
                "ansible.builtin.async_status": {"jid": "{{ job.ansible_job_id }}"},
                "register": "awaited",
                "until": "awaited.finished",
                "retries": 100,
                "delay": 1,
            },
            task("delegated", module_site, at("delegated"), {"delegate_to": "elsewhere"}),
            show("fact of the delegated", FACT + "['base_dir']"),
            task(
                "dead proxy",
                module_site,
                at("proxy"),
                dict(failing, environment={"http_proxy": "http://127.0.0.1:9"}),
                sites=["http://far.example"],
            ),
            show("fact after a failure", FACT + "['base_dir']"),
            task(
                "proxy",
                module_site,
                at("proxy"),
                {"environment": {"http_proxy": module_site.url}},
                sites=["http://far.example"],
            ),
            task("reported as requested", module_site, at("reported"), {"changed_when": False}),
            task(
                "failed_when",
                module_site,
                at("store"),
                {"register": "odd", "failed_when": "odd.version != '0.0.0'", "ignore_errors": True},
            ),
            task("check", module_site, at("checked"), {"check_mode": True}),
            show("fact after a check", FACT + "['base_dir']"),
        ],
        keywords={"handlers": [show("reported", "'handled'"), show("never", "'handled'")]},
    )
    assert run.returncode == 0, run.output
    return run


def test_the_fact_is_there_after_a_success_and_not_before(story, folder):
    store = os.path.join(folder, "store")
    path = "%s/%s/terraform" % (store, VERSION)
    assert story["fact before"]["msg"] == "none"
    fact = dict(story["fact"]["msg"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", fact.pop("checked_at"))
    assert fact == {
        "version": VERSION,
        "path": path,
        "link": os.path.join(folder, "terraform"),
        "base_dir": store,
        "versions": {VERSION: path},
        "changed": True,
        "failed": False,
    }
    assert story["use"]["stdout"].startswith("Terraform v" + VERSION)


def test_register_and_handlers_follow_changed(story, folder):
    path = "%s/store/%s/terraform" % (folder, VERSION)
    assert story["registered"]["msg"] == [True, False, VERSION, True] and story["again"]["path"] == path
    assert story["reported"]["msg"] == "handled"
    assert not [line for line in story.lines if line["task"] == "never"]


def test_a_loop_over_versions(story, folder):
    assert story["looped"]["msg"] == [OLD, VERSION]
    assert all(result["changed"] for result in story["loop"]["results"])
    assert story["fact of the loop"]["msg"] == {
        version: "%s/loop/%s/terraform" % (folder, version) for version in (OLD, VERSION)
    }


def test_module_defaults_by_the_action_group(story, folder):
    assert story["defaults"]["changed"] and story["defaults"]["path"] == "%s/defaults/%s/terraform" % (folder, OLD)


def test_async_with_poll_and_without(story, folder):
    assert story["poll"]["changed"] and story["poll"]["version"] == VERSION
    assert story["fact of the poll"]["msg"] == os.path.join(folder, "poll")
    assert not story["later"]["failed"] and story["later"]["ansible_job_id"]
    assert story["awaited"]["finished"] and story["awaited"]["path"] == "%s/later/%s/terraform" % (folder, VERSION)
    assert "%s/terraform" % VERSION in names(os.path.join(folder, "later"))


def test_delegation(story, folder):
    assert story["delegated"]["changed"] and story["fact of the delegated"]["msg"] == os.path.join(folder, "delegated")


def test_the_environment_of_the_task_reaches_the_module(story):
    broken = story["dead proxy"]
    assert broken["failed"] and broken["error"]["step"] == "fetch" and "proxy" in broken["msg"], broken
    assert story["proxy"]["changed"] and not story["proxy"]["failed"]


def test_a_failure_leaves_the_fact_of_the_last_success(story, folder):
    assert story["fact after a failure"]["msg"] == os.path.join(folder, "delegated")


def test_changed_when_and_failed_when(story, folder):
    assert not story["reported as requested"]["changed"]
    assert "%s/terraform" % VERSION in names(os.path.join(folder, "reported"))
    assert story["failed_when"]["failed"] and story["failed_when"]["version"] == VERSION


def test_check_mode_leaves_no_fact(story, folder):
    assert story["check"]["changed"] and "ansible_facts" not in story["check"]
    assert not os.path.exists(os.path.join(folder, "checked"))
    assert story["fact after a check"]["msg"] != os.path.join(folder, "checked")


def test_two_hosts_have_facts_of_their_own(play, module_site, tmp_path):
    run = play(
        [
            task("install", module_site, tmp_path, {}, base_dir=str(tmp_path) + "/{{ inventory_hostname }}"),
            show("fact", FACT + "['base_dir']"),
        ],
        hosts=["h1", "h2"],
    )
    assert {host: result["msg"] for host, result in run.on_hosts("fact").items()} == {
        host: "%s/%s" % (tmp_path, host) for host in ("h1", "h2")
    }
