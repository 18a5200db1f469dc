# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the judge of an audit takes for an answer, and where it writes: nothing a host decides, nothing of yesterday."""

import os
import types

import pytest

audit = pytest.importorskip("ansible_collections.iac_platform.terraform.plugins.action.terraform_binary_audit")

from ansible.parsing.dataloader import (  # noqa: E402  pylint: disable=wrong-import-position
    DataLoader,
)
from ansible_collections.iac_platform.terraform.plugins.action import (  # noqa: E402  pylint: disable=wrong-import-position
    terraform_binary_info,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import (  # noqa: E402  pylint: disable=wrong-import-position
    RequestError,
)

INFO, LOOK = {"msg": "info"}, {"msg": "look"}


def answers(hosts, asked=None):
    """What is taken of hosts: dict of name and variables."""
    hostvars = types.SimpleNamespace(raw_get=hosts.__getitem__)
    asked = list(hosts) if asked is None else asked
    return audit._answers({"ansible_play_hosts_all": list(hosts), "ansible_play_hosts": asked, "hostvars": hostvars})


def registered(**more):
    return dict({audit.INFO: INFO, audit.LOOK: LOOK}, **more)


def test_it_is_what_was_registered():
    assert answers({"web1": registered(terraform_binary_version="1.13.4"), "web2": {audit.INFO: INFO}}) == {
        "web1": (INFO, LOOK),
        "web2": (INFO, None),
    }


def test_a_misspelt_variable_is_a_problem_beside_what_was_found():
    info, look = answers({"web1": registered(terraform_binary_basedir="/opt")})["web1"]
    assert info == INFO and look["failed"] and "terraform_binary_basedir is no variable of the role" in look["msg"]


@pytest.mark.parametrize(
    "variables, words",
    [
        ({"ansible_facts": {"terraform_binary_base_dir": "/elsewhere"}}, "is among the facts of the host"),
        ({"ansible_facts": {"terraform_binary_audit_dest": "/elsewhere"}}, "is among the facts of the host"),
    ],
)
def test_what_was_found_where_a_fact_decided_counts_for_nothing(variables, words):
    found = answers({"web1": registered(**variables), "web2": registered()})
    assert found["web2"] == (INFO, LOOK)
    info, look = found["web1"]
    assert info["failed"] and words in info["msg"] and look is None


def test_its_own_fact_is_none_of_these():
    assert answers({"web1": registered(ansible_facts={"terraform_binary_result": {}})}) == {"web1": (INFO, LOOK)}


def test_a_host_that_was_not_asked_has_no_answer():
    """Variables that tasks register outlive the play."""
    assert answers({"web1": registered(), "web2": registered()}, asked=["web1"])["web2"] == (None, None)


def test_no_host_decides_where_the_controller_writes():
    variables = {"inventory_hostname": "web1", "ansible_facts": {"terraform_binary_audit_dest": "/elsewhere"}}
    with pytest.raises(RequestError, match="web1: terraform_binary_audit_dest is among the facts"):
        audit._check_dest(variables)
    with pytest.raises(RequestError, match="web1: omit is among the facts"):
        audit._check_dest({"inventory_hostname": "web1", "ansible_facts": {"omit": "/elsewhere"}})
    audit._check_dest({"inventory_hostname": "web1", "ansible_facts": {"terraform_binary_base_dir": "/x"}})
    audit._check_dest({"inventory_hostname": "web1"})


def test_a_relative_path_is_below_the_playbook_or_for_our_own_below_the_working_directory(tmp_path, monkeypatch):
    loader = DataLoader()
    monkeypatch.chdir(tmp_path)
    loader.set_basedir("/srv/playbooks")
    assert audit._folder("reports", loader) == "/srv/playbooks/reports"
    loader.set_basedir(audit._PLAYBOOKS)
    assert audit._folder("reports", loader) == str(tmp_path / "reports")
    assert audit._folder("/srv/reports", loader) == "/srv/reports"
    assert audit._folder("~/reports", loader) == os.path.expanduser("~/reports")


def test_defaults_of_the_group_that_are_for_the_other_module_are_known():
    """module_defaults of a group reach every module in it."""
    action = object.__new__(terraform_binary_info.ActionModule)
    defaults = [
        {"group/iac_platform.terraform.terraform": {"sites": ["https://x.example"], "owner": "alice"}},
        {"copy": {}},
    ]
    action._task = types.SimpleNamespace(module_defaults=defaults)
    assert action._of_group() == {"sites", "owner"}
    action._task = types.SimpleNamespace(module_defaults=None)
    assert action._of_group() == set()
