# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role and the shipped playbook, run by the real ansible-playbook against a release site on this machine."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from ansible_collections.iac_platform.terraform.plugins.module_utils import _model

pytest.importorskip("ansible")
pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the stand-in for Terraform runs on Linux only")

VERSION = "1.13.4"
COLLECTIONS = pathlib.Path(_model.__file__).parents[5]
ROLE = "iac_platform.terraform.terraform_binary"
INSTALL = "iac_platform.terraform.install"


@pytest.fixture
def play(site, tmp_path):
    """callable(playbook, *arguments, **variables) -> (exit status, output, the fact or None)."""
    (tmp_path / "key.asc").write_text(site.key.armored)
    (tmp_path / "record.yml").write_text(json.dumps([{
        "hosts": "localhost", "gather_facts": False, "tasks": [{
            "ansible.builtin.copy": {
                "content": "{{ ansible_facts['terraform_binary_result'] | default(none) | to_json }}",
                "dest": str(tmp_path / "fact.json"),
            }, "check_mode": False,
        }],
    }]))

    def run(playbook, *arguments, **variables):
        given = {
            "ansible_python_interpreter": sys.executable,
            "terraform_binary_base_dir": str(tmp_path / "store"),
            "terraform_binary_sites": [site.url],
            "terraform_binary_trusted_keys": [str(tmp_path / "key.asc")],
        }
        given.update(variables)
        env = dict(
            os.environ, ANSIBLE_COLLECTIONS_PATH=str(COLLECTIONS), ANSIBLE_HOME=str(tmp_path / "home"),
            ANSIBLE_LOCAL_TEMP=str(tmp_path / "local"), ANSIBLE_REMOTE_TEMP=str(tmp_path / "remote"), ANSIBLE_NOCOLOR="1",
            ANSIBLE_CONFIG=str(tmp_path / "ansible.cfg"), ANSIBLE_CALLBACK_RESULT_FORMAT="yaml",
        )
        (tmp_path / "ansible.cfg").write_text("[defaults]\n")
        (tmp_path / "fact.json").write_text("null")
        (tmp_path / "variables.json").write_text(json.dumps(given))
        done = subprocess.run(
            [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-v", "-i", "localhost,", "-c", "local",
             "-e", "@%s" % (tmp_path / "variables.json"), *arguments, str(playbook), str(tmp_path / "record.yml")],
            env=env, cwd=str(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, check=False,
        )
        return done.returncode, done.stdout, json.loads((tmp_path / "fact.json").read_text())

    return run


@pytest.fixture
def write(tmp_path):
    """callable(tasks) -> path of a playbook with these tasks on localhost."""
    def make(tasks):
        path = tmp_path / "site.yml"
        path.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
        return path
    return make


def include(check_mode=None, **variables):
    """A task that runs the role."""
    include_role = {"name": ROLE}
    if check_mode is not None:
        include_role["apply"] = {"check_mode": check_mode}
    return {"ansible.builtin.include_role": include_role, "vars": variables}


def changed(output):
    """How many tasks the recap counts as changed; the one that records the fact is subtracted."""
    return int(re.search(r"^localhost .*\bchanged=(\d+)", output, re.MULTILINE).group(1)) - 1


def test_the_playbook_installs_once_and_leaves_the_fact(play, site, tmp_path):
    link = tmp_path / "bin" / "terraform"
    status, output, fact = play(INSTALL, terraform_binary_version=VERSION, terraform_binary_link=str(link))
    assert status == 0, output
    assert changed(output) == 1
    assert os.readlink(str(link)) == str(tmp_path / "store" / VERSION / "terraform")
    assert (fact["version"], fact["failed"], fact["changed"]) == (VERSION, False, True)
    assert subprocess.check_output([str(link), "version"]).startswith(b"Terraform v" + VERSION.encode())

    asked = len(site.requests)
    status, output, fact = play(INSTALL, terraform_binary_version=VERSION, terraform_binary_link=str(link))
    assert status == 0, output
    assert (changed(output), fact["changed"], len(site.requests)) == (0, False, asked)


@pytest.mark.parametrize("blank", ["", None])
def test_blank_answers_of_a_survey_count_as_not_given(play, tmp_path, blank):
    needed = ("version", "base_dir", "sites", "trusted_keys")
    answers = dict(("terraform_binary_" + option, blank) for option in _model.SPEC if option not in needed)
    status, output, fact = play(INSTALL, terraform_binary_version=VERSION, **answers)
    assert status == 0, output
    assert fact["path"] == str(tmp_path / "store" / VERSION / "terraform")


def test_a_survey_may_answer_with_text_or_numbers(play, tmp_path):
    status, output, fact = play(
        INSTALL, terraform_binary_version=VERSION, terraform_binary_mode=0o700, terraform_binary_run_check="false",
        terraform_binary_timeout="20")
    assert status == 0, output
    assert os.stat(fact["path"]).st_mode & 0o7777 == 0o700
    assert json.loads((tmp_path / "store" / VERSION / "terraform.json").read_text())["run_check"] is None


def test_false_is_not_blank(play, write, tmp_path):
    playbook = write([include(terraform_binary_version=VERSION, terraform_binary_run_check=False)])
    status, output, _fact = play(playbook)
    assert status == 0, output
    assert json.loads((tmp_path / "store" / VERSION / "terraform.json").read_text())["run_check"] is None


@pytest.mark.parametrize("answer", [{}, {"terraform_binary_version": ""}, {"terraform_binary_version": None}])
def test_without_a_version_it_fails_says_how_to_pin_and_leaves_the_fact(play, write, answer):
    rescued = {"block": [include(**answer)], "rescue": [{"ansible.builtin.debug": {"var": "ansible_failed_result.msg"}}]}
    status, output, fact = play(write([rescued]))
    assert status == 0, output
    assert fact["failed"] is True and fact["changed"] is False
    assert fact["error"]["step"] == "request"
    assert "version" in fact["msg"] and re.search(r"'\d+\.\d+\.\d+'", fact["msg"])
    assert "ansible_failed_result.msg: " in output and fact["msg"].split(";")[0] in " ".join(output.split())


def test_a_failure_ends_the_play_with_the_message_of_the_module(play, site):
    site.withdraw(VERSION)
    status, output, fact = play(INSTALL, terraform_binary_version=VERSION)
    assert status == 2
    assert fact is None     # no play after a failed one: what is known is in the fact cache, if there is one
    assert re.search(r"failed=1 .*rescued=1", output)
    assert len(re.findall(r"msg: .*%s" % VERSION, output)) >= 2     # the module's, and the role's


def test_the_fact_follows_the_latest_outcome(play, write):
    failing = {"block": [include(terraform_binary_version="1.13.99")], "rescue": [{"ansible.builtin.meta": "noop"}]}
    status, output, fact = play(write([failing, include(terraform_binary_version=VERSION)]))
    assert status == 0, output
    assert (fact["failed"], fact["version"]) == (False, VERSION)


@pytest.mark.parametrize("version", [VERSION, "1.13.99"])
def test_no_fact_in_check_mode(play, write, tmp_path, version):
    task = include(terraform_binary_version=version)
    playbook = write([{"block": [task], "rescue": [{"ansible.builtin.meta": "noop"}]}])
    status, output, fact = play(playbook, "--check")
    assert status == 0, output
    assert fact is None
    assert not (tmp_path / "store").exists()


def test_no_fact_when_only_the_role_is_in_check_mode(play, write):
    task = include(check_mode=True, terraform_binary_version="1.13.99")
    status, output, fact = play(write([{"block": [task], "rescue": [{"ansible.builtin.meta": "noop"}]}]))
    assert status == 0, output
    assert fact is None
