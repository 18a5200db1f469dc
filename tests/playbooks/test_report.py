# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of all hosts, and the playbooks install and remove by name; audit is with the jobs of AWX."""

import json
import os
import re

import pytest
from playbook_run import VERSION

FAIL = "Fail with what the module said"
MISSING = "9.9.9"
SHOWN = {"ANSIBLE_SHOW_CUSTOM_STATS": "1", "ANSIBLE_STRATEGY": "ansible.builtin.free"}


def report_of(run):
    """The report that a run shows at its end; None: there is none."""
    found = re.search(r"^\tRUN: (.*)$", run.stdout, re.MULTILINE)
    return json.loads(found.group(1))["terraform_binary_report"] if found else None


@pytest.fixture(scope="module")
def variables(module_site, folder):
    """callable(**options) -> the role's variables for a release of the site, with a store for each host."""

    def make(**options):
        usual = dict(
            version=VERSION,
            base_dir=folder + "/{{ inventory_hostname }}",
            sites=[module_site.url],
            retries=1,
            trusted_keys=[module_site.key.armored],
        )
        return {"terraform_binary_" + option: value for option, value in dict(usual, **options).items()}

    return make


@pytest.fixture(scope="module")
def dead(folder):
    """Variables of a host that cannot be reached."""
    script = os.path.join(folder, "no-ssh")
    with open(script, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nexit 255\n")
    os.chmod(script, 0o755)
    return {"ansible_connection": "ansible.builtin.ssh", "ansible_ssh_executable": script, "ansible_ssh_retries": 0}


@pytest.fixture(scope="module")
def installed(play, variables, dead):
    """The shipped playbook on hosts of each kind, who do not wait for each other; the question for hosts is left blank."""
    return play(
        "iac_platform.terraform.install",
        env=SHOWN,
        extra_vars=dict(terraform_binary_hosts="", terraform_binary_report="true"),
        hosts={
            "one": variables(),
            "bad": variables(version=MISSING),
            "unset": variables(version=""),
            "dead": dict(variables(), **dead),
        },
    )


@pytest.fixture(scope="module")
def removed(play, variables, installed):
    """On the hosts that are named. One failure ends it for all. There is no report of who does not ask for one."""
    asking = {"terraform_binary_report": "yes"}
    return play(
        "iac_platform.terraform.remove",
        env={"ANSIBLE_SHOW_CUSTOM_STATS": "1", "ANSIBLE_ANY_ERRORS_FATAL": "1"},
        extra_vars={"terraform_binary_hosts": "all:!other"},
        hosts={
            "one": dict(variables(), **asking),
            "bad": dict(variables(version="1"), **asking),
            "silent": variables(version="latest"),
            "other": variables(version="1"),
        },
    )


def test_a_report_has_successes_and_failures_alike(installed, folder):
    report = report_of(installed)
    assert set(report) == {"one", "bad", "unset"}, installed.output  # but not of who cannot be reached
    path = "%s/one/%s/terraform" % (folder, VERSION)
    assert report["one"] == {
        "version": VERSION,
        "path": path,
        "changed": True,
        "failed": False,
        "error": None,
        "msg": "Terraform %s installed at %s" % (VERSION, path),
    }
    for name, words in (("bad", "HTTP 404"), ("unset", "version is not given")):
        line = report[name].pop("error")
        assert report[name] == {"version": None, "path": None, "changed": False, "failed": True, "msg": line}
        assert words in line and line == installed.on_hosts(FAIL)[name]["msg"]


def test_a_report_changes_nothing_of_who_fails(installed):
    assert (
        installed.returncode == 4
        and list(installed.on_hosts(FAIL))
        and {line["host"] for line in installed.lines if line["status"] == "failed"} == {"bad", "unset"}
    )
    assert {line["host"] for line in installed.lines if line["status"] == "unreachable"} == {"dead"}


def test_a_removal_removes_and_reports(removed, folder):
    assert {line["host"] for line in removed.lines} == {"one", "bad", "silent"}
    assert report_of(removed)["one"]["changed"] and not os.path.exists("%s/one/%s" % (folder, VERSION)), removed.output


def test_a_report_is_of_those_who_asked_for_one_also_where_one_failure_ends_all(removed):
    report = report_of(removed)
    assert removed.returncode == 2 and set(report) == {"one", "bad"}, removed.output
    assert not report["one"]["failed"] and report["bad"]["failed"]
    assert {line["host"] for line in removed.lines if line["status"] == "failed"} == {"bad", "silent"}
