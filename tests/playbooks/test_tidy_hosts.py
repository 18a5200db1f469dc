# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host keeps the newest versions, and adopts a genuine binary, by the whole task on both sides."""

import os

import playbook_run
import pytest
from playbook_run import MODULE

OLD, OLDER, NEW = "1.13.3", "1.9.8", "1.13.4"


@pytest.fixture(params=playbook_run.SIDES)
def run(request, tasks, module_site, tmp_path):
    """callable(version, check, **options): the result of one task on the host."""

    def act(version, check=False, **options):
        arguments = playbook_run.task_args(
            module_site, tmp_path / "store", **dict({"version": version, "download": request.param}, **options)
        )
        return tasks([{"name": "run", MODULE: arguments}], check=check, diff=True)["run"]

    return act


def there(tmp_path):
    return sorted(name for name in os.listdir(str(tmp_path / "store")) if not name.startswith("."))


@pytest.mark.parametrize("version", [NEW, "latest"])
def test_an_upgrade_removes_what_is_not_kept(run, tmp_path, version):
    for old in (OLDER, OLD):
        assert run(old)["removed"] == []
    predicted = run(version, check=True, keep=2)
    assert there(tmp_path) == [OLD, OLDER]
    result = run(version, keep=2)
    gone = [str(tmp_path / "store" / OLDER) + name for name in ("/terraform", "/terraform.json", "")]
    assert result["removed"] == predicted["removed"] == gone and result["changed"], (result, predicted)
    assert there(tmp_path) == [OLD, NEW] and result["intact_versions"] == [OLD, NEW]
    assert result["msg"].endswith("; removed (keep: 2): %s" % OLDER)
    assert predicted["msg"].endswith("; would be removed (keep: 2): %s" % OLDER)
    assert (
        sorted(result["diff"]["before"]["versions"]) == sorted(predicted["diff"]["before"]["versions"]) == [OLD, OLDER]
    )
    assert sorted(result["ansible_facts"]["terraform_binary_result"]["versions"]) == [OLD, NEW]
    assert not run(version, keep=2)["changed"]


def test_where_nothing_is_to_be_installed_nothing_is_downloaded(run, tmp_path, module_site):
    for version in (OLDER, NEW):
        run(version)
    del module_site.requests[:]
    result = run(NEW, keep=1)
    assert result["changed"] and there(tmp_path) == [NEW] and not module_site.requests, result
    assert [step for step in result["steps"] if "removed: " in step]


def test_what_is_used_is_said_in_one_of_two_lines(run, tmp_path):
    run(OLDER, link=str(tmp_path / "tf-old"))
    run(NEW, keep=1, link=str(tmp_path / "tf"))
    assert there(tmp_path) == [NEW, OLDER]
    result = run("~> 1.13.0", keep=1, link=str(tmp_path / "tf"))
    assert not result["changed"] and len(result["steps"]) <= 2
    assert "in use: %s" % OLDER in result["steps"][-1] and str(tmp_path / "tf-old") in result["steps"][-1]


@pytest.mark.parametrize("genuine", [True, False])
def test_a_binary_that_was_there_is_adopted_or_replaced(run, tmp_path, module_site, host_platform, genuine):
    place = tmp_path / "store" / NEW
    path = place / "terraform"
    run(NEW)
    os.unlink(str(place / "terraform.json"))
    if not genuine:
        with open(str(path), "ab") as stream:
            stream.write(b"x")
    was = os.stat(str(path)).st_ino
    predicted = run(NEW, check=True, adopt=True)
    assert predicted["changed"] and predicted["needs_archive"] and "adopted or reinstalled" in predicted["msg"]
    result = run(NEW, adopt=True)
    assert result["changed"] and (os.stat(str(path)).st_ino == was) is genuine, result
    assert result["msg"].startswith("Terraform %s %s at" % (NEW, "adopted" if genuine else "reinstalled"))
    assert result["verification"]["signer"] == module_site.key.fingerprint
    assert not run(NEW)["changed"]
