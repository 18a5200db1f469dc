# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is returned: the same words in check mode and after the run, nothing that cannot be known, nothing left out."""

import ast
import functools
import os
import re

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._run import results
from ansible_collections.iac_platform.terraform.plugins.module_utils._install import apply

HERE = os.path.dirname(os.path.realpath(__file__))
MODULE = os.path.join(HERE, "..", "..", "..", "..", "..", "plugins", "modules", "terraform_binary.py")
# What is in no result of a success, or is added by the module itself.
ELSEWHERE = {"steps", "error", "ansible_facts"}
NOW = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z\Z")


@functools.lru_cache(maxsize=None)
def returns():
    """The keys that the module documents."""
    yaml = pytest.importorskip("yaml")
    with open(MODULE, "rb") as file:
        tree = ast.parse(file.read())
    (text,) = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "RETURN"]
    return yaml.safe_load(ast.literal_eval(text))


@pytest.mark.parametrize("state", ["present", "absent"])
def test_every_result_has_the_documented_keys(host, state):
    host.defaults = host.offer()
    expected = set(returns()) - ELSEWHERE | {"changed", "diff"}
    assert set(host.check(state=state)) == expected
    for _changing in (True, False):
        assert set(host.run(state=state)) == expected | {"ansible_facts"}
    assert set(returns()["verification"]["contains"]) == {"policy", "signer", "signed_at", "site"}


def test_what_cannot_be_known_is_null(host):
    result = host.check(link=host.at("tf"), **host.offer())
    assert (result["binary_sha256"], result["size"], result["previous_version"]) == (None, None, None)
    assert result["intact_versions"] == [] and result["removed"] == []
    assert result["diff"]["after"]["sha256"] == result["diff"]["after"]["size"] == "known after the archive is fetched"


def test_check_mode_and_the_run_report_the_same(host):
    host.defaults = dict(host.offer(), link=host.at("tf"))
    predicted, result = host.check(), host.run()
    for key in (
        "version",
        "requested",
        "path",
        "link",
        "previous_version",
        "base_dir",
        "platform",
        "archive_sha256",
        "verification",
        "changed",
        "needs_archive",
        "removed",
    ):
        assert predicted[key] == result[key], key
    assert predicted["diff"]["before"] == result["diff"]["before"]
    known = dict((key, value) for key, value in result["diff"]["after"].items() if key not in ("sha256", "size"))
    assert known == dict((key, predicted["diff"]["after"][key]) for key in known)
    assert predicted["msg"].replace("would be ", "") == result["msg"]


def test_an_unchanged_run_reports_what_it_verified(installed):
    result = installed.run(version="v1.13.4", link=None)
    assert (result["version"], result["requested"], result["path"]) == ("1.13.4", "v1.13.4", installed.binary())
    assert result["msg"] == "Terraform 1.13.4 is right at %s" % installed.binary()
    assert result["diff"]["before"] == result["diff"]["after"]
    assert (result["size"], result["binary_sha256"]) == (385, installed.read_receipt()["sha256"])
    (line,) = installed.lines
    assert line == "verified %s: 385 bytes, sha256 %s (hashed), -rwxr-xr-x" % (
        installed.binary(),
        result["binary_sha256"],
    )


def test_the_facts(installed):
    installed.run(**installed.offer("1.14.0"))
    for changed in (True, False):
        facts = installed.run(link=installed.at("tf"))["ansible_facts"]
        assert list(facts) == ["terraform_binary_result"]
        (facts,) = facts.values()
        assert NOW.match(facts.pop("checked_at"))
        assert facts == {
            "version": "1.13.4",
            "path": installed.binary(),
            "link": installed.at("tf"),
            "base_dir": installed.base_dir,
            "versions": dict((version, installed.binary(version)) for version in ("1.13.4", "1.14.0")),
            "changed": changed,
            "failed": False,
        }


def test_a_damaged_neighbour_is_not_among_the_versions(installed):
    installed.run(**installed.offer("1.14.0"))
    with open(installed.binary("1.14.0"), "ab") as file:
        file.write(b"x")
    assert installed.run()["intact_versions"] == ["1.13.4"]


def test_the_diff_of_a_repair(installed):
    os.chmod(installed.binary(), 0o700)
    diff = installed.run()["diff"]
    assert diff["before"].pop("mode") == "0700" and diff["after"].pop("mode") == "0755"
    assert diff["before"] == diff["after"]


@pytest.mark.parametrize("diff", [None, [], [{"after": {}}], {}, {"after": None}, {"after": "text"}])
def test_a_diff_of_another_form_is_left_alone(diff):
    """A target that does not keep to the form must not stop the controller."""
    assert results.with_fetch(diff, 1) == diff


def headers(result):
    return result["diff"]["before_header"], result["diff"]["after_header"]


def test_the_diff_says_first_which_version_it_was_and_is(installed):
    link = installed.at("tf")
    assert headers(installed.run(link=link)) == ("%s: Terraform absent" % link, "%s: Terraform 1.13.4" % link)
    newer, path = installed.offer("1.14.0"), installed.binary("1.14.0")
    assert headers(installed.check(**newer)) == ("%s: Terraform absent" % path, "%s: Terraform 1.14.0" % path)
    for run in (installed.check, installed.run):
        assert headers(run(link=link, **newer)) == ("%s: Terraform 1.13.4" % link, "%s: Terraform 1.14.0" % link)
    assert headers(installed.run(link=link, state="absent", **newer)) == (
        "%s: Terraform 1.14.0" % link,
        "%s: Terraform absent" % link,
    )
    assert headers(installed.run(state="absent")) == (
        "%s: Terraform 1.13.4" % installed.binary(),
        "%s: Terraform absent" % installed.binary(),
    )
    with open(link, "w"):
        pass
    assert headers(installed.check(link=link, link_force=True, **newer))[0] == "%s: Terraform of unknown version" % link


@pytest.mark.parametrize("link", [False, True])
def test_the_diff_says_first_what_is_wrong_with_the_version_that_is_there(installed, link):
    options = {"link": installed.at("tf")} if link else {}
    installed.run(**options)
    name = "%s: Terraform 1.13.4" % (options.get("link") or installed.binary())
    assert headers(installed.check(**options)) == (name, name)
    installed.flip(installed.binary())
    for run in (installed.check, installed.run):
        assert headers(run(**options)) == (name + ", damaged", name)
    os.unlink(installed.receipt())
    assert headers(installed.check(**options)) == (name + ", without a receipt", name)


def test_the_diff_of_a_reinstall(installed):
    sha256 = installed.read_receipt()["sha256"]
    installed.flip(installed.binary())
    before = installed.check()["diff"]["before"]
    assert before["sha256"] not in (sha256, "not verified") and before["state"] == "present"
    diff = installed.run()["diff"]
    assert diff["before"] == before and diff["after"]["sha256"] == sha256
    os.unlink(installed.receipt())
    assert installed.check()["diff"]["before"]["sha256"] == "not verified"


@pytest.mark.parametrize(
    "strike, words",
    [
        (lambda host: None, "is right at"),
        (lambda host: os.unlink(host.binary()), "installed at"),
        (lambda host: host.flip(host.binary()), "reinstalled at"),
        (lambda host: os.chmod(host.binary(), 0o700), "repaired at"),
        (lambda host: os.chmod(host.binary(), 0o777), "repaired at"),
        (lambda host: setattr(host, "run_check", True), "run at"),
        (lambda host: host.write_receipt(policy=None), "verified again at"),
    ],
)
def test_the_one_line_about_it(installed, strike, words):
    strike(installed)
    predicted = installed.check()["msg"]
    result = installed.run()
    assert words in result["msg"] and "\n" not in result["msg"] and result["msg"].startswith("Terraform 1.13.4 ")
    assert ("would be " in predicted) is result["changed"] and "would be " not in result["msg"]
    if result["changed"]:
        assert " (%s" % os.path.dirname(installed.binary()) in result["msg"], "no word about why"


def test_previous_version_is_what_the_link_meant(installed):
    for target, version in (
        (installed.binary("1.2.3"), "1.2.3"),
        ("../1.14.0-rc1/terraform", "1.14.0-rc1"),
        ("/usr/bin/terraform", None),
        ("/x/1.2.3/terraform.exe", None),
        ("/x/1.2.3/", None),
        ("/x/latest/terraform", None),
    ):
        os.symlink(target, installed.at("tf"))
        plan = installed.plan(link=installed.at("tf"))
        assert results.previous_version(plan) == version == installed.check(link=installed.at("tf"))["previous_version"]
        os.unlink(installed.at("tf"))
    assert results.previous_version(installed.plan()) is None


def test_what_a_concurrent_run_did_is_reported_as_unchanged(host):
    host.defaults = host.offer()
    plan, signers, source = host._plan(host.parsed())
    host.run()
    result = results.applied_result(apply.apply_plan(plan, signers, source, host.log))
    assert not result["changed"] and result["msg"].startswith("verified %s: " % host.binary())
    assert result["msg"].endswith("; another run did it just now") and not result["needs_archive"]
    assert result["diff"]["before"] == result["diff"]["after"] and result["binary_sha256"]
