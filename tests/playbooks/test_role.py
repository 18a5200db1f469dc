# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role and the shipped playbook: what they add to the module.

The fact about a failure, the answers of AWX's surveys, and the playbook by its name.
"""

import os

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._argument_spec import SPEC
from playbook_run import VERSION

FAIL = "Fail with what the module said"
MISSING = "1.13.99"  # a version that the site does not have
NEEDED = ("version", "base_dir", "sites", "trusted_keys")

# What is answered, beside the options that each request needs. Blank and null are what a survey gives for no answer.
GOOD = {
    "plain": {},
    "blank": {option: "" for option in SPEC if option not in NEEDED},
    "null": {option: None for option in SPEC if option not in NEEDED},
    "text": {"mode": "0700", "run_check": "false", "timeout": "20", "link_force": "no"},
    "false": {"run_check": False},
}
BAD = {
    "version not set": {"version": ...},
    "version blank": {"version": ""},
    "version null": {"version": None},
    "version missing on the site": {"version": MISSING},
}


def include(**keywords):
    """A block that runs the role and goes on when it fails."""
    role = {"name": "iac_platform.terraform.terraform_binary"}
    if keywords:
        role["apply"] = keywords
    return {"block": [{"ansible.builtin.include_role": role}], "rescue": [{"ansible.builtin.meta": "noop"}]}


def show(name):
    """A task that shows the fact, or ``none``."""
    return {
        "name": name,
        "ansible.builtin.debug": {"msg": "{{ ansible_facts['terraform_binary_result'] | default('none') }}"},
    }


@pytest.fixture(scope="module")
def variables(module_site, folder):
    """callable(store, **options) -> the role's variables for a release of the site; ``...`` leaves an option out."""

    def make(store, **options):
        usual = dict(
            version=VERSION,
            base_dir=os.path.join(folder, store),
            sites=[module_site.url],
            trusted_keys=[module_site.key.armored],
        )
        usual.update(options)
        return {"terraform_binary_" + option: value for option, value in usual.items() if value is not ...}

    return make


@pytest.fixture(scope="module")
def hosts(variables):
    """A host for each answer; none has facts of its own."""
    return {name: variables(name, **options) for name, options in dict(GOOD, **BAD).items()}


@pytest.fixture(scope="module")
def checked(play, hosts):
    """The role on all hosts in check mode; it runs before ``done`` does."""
    return play([include(), show("fact")], hosts=hosts, check=True)


@pytest.fixture(scope="module")
def done(play, hosts, checked):
    """The role on all hosts."""
    return play([include(), show("fact")], hosts=hosts)


@pytest.fixture(scope="module")
def facts(done):
    return {host: result["msg"] for host, result in done.on_hosts("fact").items()}


@pytest.mark.parametrize("name", sorted(GOOD))
def test_every_answer_of_a_survey_is_understood(name, facts, folder, done):
    assert facts[name] != "none", done.output
    path = os.path.join(folder, name, VERSION, "terraform")
    expected = {"failed": False, "changed": True, "version": VERSION, "path": path}
    assert {key: facts[name][key] for key in expected} == expected
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize("name, asked", [("plain", True), ("blank", True), ("text", False), ("false", False)])
def test_false_is_not_blank(name, asked, done):
    steps = " ".join(done.on_hosts("Put Terraform in place")[name]["steps"])
    assert ("run check passed" in steps) is asked


def test_text_is_a_mode(facts):
    assert os.stat(facts["text"]["path"]).st_mode & 0o7777 == 0o700
    assert os.stat(facts["blank"]["path"]).st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_failure_is_recorded_and_then_reported(name, facts, done):
    said = done.on_hosts("Put Terraform in place")[name]
    assert facts[name]["failed"] is True and facts[name]["changed"] is False
    assert facts[name]["msg"] == said["msg"] == done.on_hosts(FAIL)[name]["msg"]
    assert facts[name]["error"] == said["error"] and name in reported_as_failed(done)
    assert facts[name]["requested"] == (MISSING if "site" in name else "")
    assert facts[name]["checked_at"].endswith("Z") and "version" in facts[name]["msg"].lower()


def test_the_error_comes_in_parts(facts, module_site):
    error = facts["version missing on the site"]["error"]
    assert error["step"] == "fetch" and error["url"].startswith(module_site.url) and error["hint"]


def test_check_mode_leaves_no_fact_and_no_file(checked, folder, hosts):
    assert {host: result["msg"] for host, result in checked.on_hosts("fact").items()} == {
        host: "none" for host in hosts
    }
    assert checked.on_hosts("Put Terraform in place")["plain"]["changed"]
    assert reported_as_failed(checked) == set(BAD)


def reported_as_failed(run):
    return set(line["host"] for line in run.lines if line["task"] == FAIL and line["status"] == "failed")


def test_check_mode_of_the_role_alone_leaves_no_fact(play, variables):
    run = play([include(check_mode=True), show("fact")], extra_vars=variables("alone", version=MISSING))
    assert run["fact"]["msg"] == "none" and run["Put Terraform in place"]["error"] and run[FAIL]["failed"]


def test_check_mode_leaves_the_fact_where_nothing_would_change(play, variables, done):
    run = play(
        [
            include(),
            show("fact"),
            dict(show("outcome"), **{"ansible.builtin.debug": {"var": "terraform_binary_outcome"}}),
        ],
        hosts={"plain": variables("plain"), "new": variables("new")},
        check=True,
    )
    facts = {host: result["msg"] for host, result in run.on_hosts("fact").items()}
    assert facts["new"] == "none" and facts["plain"]["version"] == VERSION and facts["plain"]["changed"] is False
    outcomes = {host: result["terraform_binary_outcome"] for host, result in run.on_hosts("outcome").items()}
    assert outcomes["new"]["changed"] and not outcomes["plain"]["changed"]
    assert {outcome["version"] for outcome in outcomes.values()} == {VERSION}


def test_the_fact_is_about_the_latest_run_of_the_role(play, variables):
    failing = dict(include(), vars=variables("latest", version=MISSING))
    succeeding = dict(include(), vars=variables("latest"))
    run = play([failing, show("first"), succeeding, show("second"), failing, show("third")])
    assert [run[name]["msg"]["failed"] for name in ("first", "second", "third")] == [True, False, True]


def test_the_playbook_runs_by_its_name(play, variables, folder, module_site):
    link = os.path.join(folder, "bin", "terraform")
    task_args = variables("by name", link=link)
    first = play("iac_platform.terraform.install", extra_vars=task_args)
    assert first.returncode == 0 and first["Put Terraform in place"]["changed"], first.output
    assert os.readlink(link) == os.path.join(folder, "by name", VERSION, "terraform")
    asked = module_site.counts().requests
    second = play("iac_platform.terraform.install", extra_vars=task_args)
    assert second.returncode == 0 and not second["Put Terraform in place"]["changed"], second.output
    assert module_site.counts().requests == asked
