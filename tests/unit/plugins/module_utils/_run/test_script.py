# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plain script does in the place of AnsibleModule. That both give the same answers: tests/unit/plugins/modules."""

import json
import os
import syslog

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils import _argument_spec, _records
from ansible_collections.iac_platform.terraform.plugins.module_utils._run import script


@pytest.fixture
def logged(monkeypatch):
    """What is written to the system's log: list of (how it was opened, priority, line)."""
    lines, opened = [], []
    monkeypatch.setattr(syslog, "openlog", lambda *args: opened.append(args))
    monkeypatch.setattr(syslog, "syslog", lambda priority, line: lines.append((opened[-1], priority, line)))
    return lines


@pytest.fixture
def answer(host, capsys, logged):
    """One run of the script: callable(options) -> its answer."""
    host.defaults = host.offer()

    def run(**options):
        arguments = dict(host.defaults, base_dir=host.base_dir, run_check=False, **options)
        script.run_script(json.dumps(arguments).encode("utf-8"))
        (line,) = capsys.readouterr().out.splitlines()
        return json.loads(line)

    return run


def test_paths_are_expanded_on_the_target(monkeypatch):
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setenv("PLACE", "there")
    params = script.read_params(
        {"base_dir": "~/$PLACE/x", "version": "$PLACE", "link": None, "_ansible_diff": True}, script.SPEC
    )
    assert params["base_dir"] == "/home/alice/there/x" and params["version"] == "$PLACE", "only paths are"
    assert params["link"] is None and params["retries"] == 4 and params["state"] == "present"
    assert params.keys() == _argument_spec.SPEC.keys()


def test_it_installs_and_says_who_owns_the_binary(host, answer):
    done = answer()
    status = os.stat(host.binary())
    assert done["changed"] and (done["uid"], done["gid"], done["size"]) == (
        status.st_uid,
        status.st_gid,
        status.st_size,
    )
    assert (done["mode"], done["state"]) == ("0755", "file") and done["owner"] and done["group"]
    assert done["invocation"]["module_args"]["version"] == done["version"] and "diff" not in done
    again = answer(_ansible_diff=True, _ansible_check_mode=True)
    assert not again["changed"] and "diff" in again and again["owner"] == done["owner"]
    os.link(host.binary(), host.at("second"))
    assert answer()["state"] == "hard"


def test_a_link_in_the_place_of_the_binary_is_described_as_one(tmp_path):
    os.symlink("/", str(tmp_path / "link"))
    assert script.describe_path(str(tmp_path / "link"))["state"] == "link"
    assert script.describe_path(str(tmp_path))["state"] == "directory"
    assert script.describe_path(str(tmp_path / "missing")) == {}


@pytest.mark.parametrize(
    "options, refused",
    [
        ({}, True),
        ({"_ansible_check_mode": True}, False),
        ({"_ansible_check_mode": True, "setype": "bin_t"}, True),
        ({"_ansible_check_mode": True, "selevel": "_default"}, True),
    ],
)
def test_labels_are_left_to_the_module(host, answer, monkeypatch, tmp_path, options, refused):
    assert "msg" in answer(_ansible_check_mode=True) and not os.path.exists(host.base_dir)
    monkeypatch.setattr(script, "SELINUX", str(tmp_path))
    found = answer(**options)
    assert (found.get("failed") and found["msg"] == _records.SCRIPT_REFUSED) == (refused or None)
    assert not os.path.exists(host.base_dir), "nothing is done before"


def test_the_log_has_a_line_for_every_step(answer, logged):
    done = answer(
        _ansible_syslog_facility="LOG_LOCAL3",
        _ansible_module_name="a.b.c",
        _ansible_target_log_info="awx",
        url_token="s3cr3t",
    )
    assert done["changed"] and {(opened, priority) for opened, priority, _line in logged} == {
        (("ansible-a.b.c", 0, syslog.LOG_LOCAL3), syslog.LOG_INFO)
    }
    lines = [line for _opened, _priority, line in logged]
    assert lines[0].startswith("awx Invoked with version=") and "url_username" in lines[0]
    assert "url_token" not in lines[0] and "s3cr3t" not in str(lines)
    assert lines[1:] == ["awx " + line for line in done["steps"]] and len(lines) > 5


def test_an_unknown_facility_is_that_of_users(answer, logged):
    assert answer(_ansible_syslog_facility="nonsense")["changed"]
    assert logged[0][0] == ("ansible-None", 0, syslog.LOG_USER)


def test_a_task_without_log_leaves_no_line(answer, logged):
    assert answer(_ansible_no_log=True)["changed"] and not logged


def test_a_failure_is_one_in_parts(host, answer):
    os.symlink("/opt/1.9.8/terraform", host.at("tf"))
    found = answer(link=host.at("tf"), archive=host.at("missing"))
    assert found["failed"] and not found["changed"] and found["error"]["errno_name"] == "ENOENT"
    assert found["previous_version"] == "1.9.8" and "exception" not in found
    found = answer(archive=host.at("missing"), _ansible_verbosity=3)
    assert "RequestError" in found["exception"]


def test_warnings_are_texts(host, answer):
    os.mkdir(host.at("there"))
    os.chmod(host.at("there"), 0o777)
    host.base_dir = host.at("there/store")
    assert answer()["failed"]
    warnings = answer(allow_unsafe_base_dir=True)["warnings"]
    assert warnings and all(host.at("there") in warning for warning in warnings)


def test_nothing_is_printed_before_an_error_that_was_not_expected(answer, capsys, monkeypatch):
    monkeypatch.setattr(script, "run_module", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        answer()
    assert capsys.readouterr().out == ""
