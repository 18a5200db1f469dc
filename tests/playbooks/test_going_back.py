# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host goes back only where it is meant to, and then without a download."""

import os

import playbook_run
import pytest

OLD, NEW = "1.13.3", "1.13.4"


@pytest.fixture(params=playbook_run.SIDES)
def args(request, module_site, tmp_path):
    """callable(version, **options) -> dict: the options for one store and one link."""

    def make(version, **options):
        return playbook_run.task_args(
            module_site,
            tmp_path / "store",
            **dict({"version": version, "link": str(tmp_path / "tf"), "download": request.param}, **options),
        )

    return make


def run(tasks, arguments, **how):
    return tasks([{"name": "run", playbook_run.MODULE: arguments}], **how)["run"]


def target(arguments):
    return os.path.basename(os.path.dirname(os.readlink(arguments["link"])))


@pytest.mark.parametrize("version", [OLD, "< 1.13.4"])
def test_a_downgrade_is_refused_before_an_archive_is_downloaded(tasks, module_site, args, version):
    assert run(tasks, args(NEW))["changed"]
    del module_site.requests[:]
    for check in (True, False):
        result = run(tasks, args(version, allow_downgrade=False), check=check)
        assert result["failed"] and not result["changed"], result
        assert result["error"]["step"] == "request" and "and %s is older" % OLD in result["msg"]
        assert "allow_downgrade: true" in result["error"]["hint"]
    assert {request.path for request in module_site.requests} <= {"/terraform/index.json"}
    assert target(args(NEW)) == NEW


def test_the_choice_of_a_newer_installed_version_is_no_downgrade(tasks, module_site, args):
    """The site offers less than what is installed and linked, and a constraint keeps that."""
    from release_site import Site

    assert run(tasks, args(NEW))["changed"]
    with Site(versions=(OLD,), key=module_site.key) as behind:
        result = run(tasks, args("~> 1.13.0", allow_downgrade=False, sites=[behind.url]))
    assert not result["failed"] and not result["changed"] and result["version"] == NEW, result


def test_an_upgrade_by_constraint_passes(tasks, args):
    assert run(tasks, args(OLD))["changed"]
    result = run(tasks, args("~> 1.13.0", allow_downgrade=False))
    assert result["changed"] and target(args(NEW)) == NEW, result


def test_previous_goes_back_without_a_site_and_stays(tasks, module_site, args):
    for version in (OLD, NEW):
        assert run(tasks, args(version))["changed"]
    del module_site.requests[:]
    back = args("previous", sites=["http://127.0.0.1:1"], allow_downgrade=False)
    predicted = run(tasks, back, check=True)
    assert predicted["changed"] and predicted["version"] == OLD and target(back) == NEW, predicted
    result = run(tasks, back)
    assert result["changed"] and (result["version"], result["previous_version"]) == (OLD, NEW), result
    assert result["requested"] == "previous" and result["downloaded_bytes"] == 0 and target(back) == OLD
    assert result["ansible_facts"]["terraform_binary_result"]["version"] == OLD
    again = run(tasks, back)
    assert not again["changed"] and target(back) == OLD and "went back" in again["steps"][0], again
    assert not module_site.requests


def test_previous_never_downloads_what_is_damaged(tasks, module_site, args):
    for version in (OLD, NEW):
        assert run(tasks, args(version))["changed"]
    os.truncate(os.path.join(args(OLD)["base_dir"], OLD, "terraform"), 1)
    del module_site.requests[:]
    result = run(tasks, args("previous"))
    assert result["failed"] and "cannot be linked without a download" in result["msg"], result
    assert "write version: '%s'" % OLD in result["error"]["hint"] and target(args(NEW)) == NEW
    assert not module_site.requests


def test_previous_of_a_host_that_was_never_upgraded(tasks, args):
    assert "nothing to go back to" in run(tasks, args("previous"))["msg"]
    assert run(tasks, args(NEW))["changed"]
    assert "is not known" in run(tasks, args("previous"))["msg"]


def test_a_role_goes_back_with_one_variable(play, module_site, tmp_path):
    variables = {
        "terraform_binary_%s" % name: value
        for name, value in playbook_run.task_args(module_site, tmp_path / "store", link=str(tmp_path / "tf")).items()
    }

    def role(name, version):
        return {
            "name": name,
            "ansible.builtin.include_role": {"name": "iac_platform.terraform.terraform_binary"},
            "vars": dict(variables, terraform_binary_version=version),
        }

    shown = {"name": "shown", "ansible.builtin.debug": {"msg": "{{ ansible_facts.terraform_binary_result.version }}"}}
    run = play([role("old", OLD), role("new", NEW), role("back", "previous"), role("once more", "previous"), shown])
    assert run.returncode == 0 and run["shown"]["msg"] == OLD, run.output
    assert target({"link": str(tmp_path / "tf")}) == OLD
