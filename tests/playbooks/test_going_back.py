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
