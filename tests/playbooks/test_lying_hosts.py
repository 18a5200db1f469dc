# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that lie: what their module answers is changed on its way back, by the interpreter that the inventory names."""

import os
import sys

import pytest
from file_snapshots import names
from playbook_run import VERSION, task

# What a host answers in place of a text: (what the module said, what the host says, a word of the refusal).
LIES = {
    "other version": ('"version": "%s"' % VERSION, '"version": "1.13.3"', "version is '1.13.3', expected %s" % VERSION),
    "shell escape": (
        '"version": "%s"' % VERSION,
        '"version": "1.13.4\\\\u0027\\\\n!touch LEFT\\\\n\\\\u0027"',
        "version is",
    ),
    "other path of the mirror": ('"version": "%s"' % VERSION, '"version": "1.13.4\\/..\\/..\\/api?x="', "version is"),
    "platform": ('"platform": "linux_[a-z0-9]*"', '"platform": 5', "platform is '5'"),
    "steps": ('"steps": \\[[^]]*\\]', '"steps": 5', "steps is '5'"),
    "intact versions": ('"intact_versions": \\[[^]]*\\]', '"intact_versions": ["..\\/x"]', "intact_versions is"),
    "archive digest": ('"archive_sha256": null', '"archive_sha256": "x"', "archive_sha256 is 'x'"),
    "removed": (
        '"removed": \\[\\]',
        '"removed": ["\\/etc\\/passwd"]',
        "removed is \"['/etc/passwd']\", expected nothing",
    ),
    "link": ('"link": null', '"link": "\\/evil"', "link is '/evil', expected none"),
    "base dir": ('"base_dir": "', '"base_dir": "\\/evil', "base_dir is '/evil/"),
    "previous version": ('"previous_version": null', '"previous_version": 5', "previous_version is '5'"),
}
FACTS = (
    '"changed": false',
    '"changed": false, "ansible_facts": {"terraform_binary_result": {"path": "\\/evil"}, "evil": 1}',
)
PONG = ('"ping": "pong"', '"ping": "pong", "ansible_facts": {%s}')  # of ansible.builtin.ping


def interpreter(folder, name, said, claimed):
    """A Python whose standard output is changed by sed: its path."""
    os.makedirs(os.path.join(folder, "pythons"), exist_ok=True)
    path = os.path.join(folder, "pythons", name.replace(" ", "-"))
    with open(path, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\n%s \"$@\" | sed 's/%s/%s/'\n" % (sys.executable, said, claimed))
    os.chmod(path, 0o755)
    return path


@pytest.fixture(scope="module")
def lying(play, module_site, folder):
    """Each of them asked for an install, and one more that is honest."""
    hosts = {
        name.replace(" ", "-"): {
            "ansible_python_interpreter": interpreter(
                folder, name, said, claimed.replace("LEFT", os.path.join(folder, "left").replace("/", "\\/"))
            )
        }
        for name, (said, claimed, _words) in LIES.items()
    }
    module_site.requests.clear()
    steps = [task("install", module_site, "%s/{{ inventory_hostname }}" % folder, {"ignore_errors": True})]
    run = play(steps, hosts=dict(hosts, honest={}))
    return run, [request.path for request in module_site.requests]


@pytest.mark.parametrize("name", sorted(LIES))
def test_a_lie_is_refused_and_nothing_comes_of_it(name, lying, folder):
    host = name.replace(" ", "-")
    result = lying[0].on_hosts("install")[host]
    assert result["failed"] and not result["changed"], result
    assert result["msg"].startswith("%s answered what this module does not say: " % host) and "\n" not in result["msg"]
    assert LIES[name][2] in result["msg"], result["msg"]
    assert (result["error"]["step"], result["error"]["side"], result["error"]["host"]) == ("plan", "target", host)
    assert names(os.path.join(folder, host)) == [] and not os.path.exists(os.path.join(folder, "left"))


def test_the_mirror_is_asked_for_the_honest_host_alone(lying, folder):
    assert lying[0].on_hosts("install")["honest"]["changed"] and len(lying[1]) == 3, lying[1]
    assert not [path for path in lying[1] if "api" in path or ".." in path]


def test_facts_of_a_host_are_not_taken_over(play, module_site, folder):
    store = os.path.join(folder, "facts")
    answers = {
        "name": "facts",
        "ansible.builtin.debug": {
            "msg": "{{ [ansible_facts['terraform_binary_result'].path, ansible_facts.evil | default('none')] }}"
        },
    }
    run = play(
        [
            task("first", module_site, store),
            task(
                "again",
                module_site,
                store,
                {"vars": {"ansible_python_interpreter": interpreter(folder, "facts python", *FACTS)}},
            ),
            answers,
        ]
    )
    assert not run["again"]["changed"] and not run["again"]["failed"], run["again"]
    assert run["facts"]["msg"] == [os.path.join(store, VERSION, "terraform"), "none"]


# Ways to write a variable of the role so that ansible-core, left alone, takes a fact of the host for it.
SHADOWED = {
    "plain": "{{ mirror }}",
    "nested": "{{ behind }}",
    "hostvars": "{{ hostvars[inventory_hostname].mirror }}",
    "another host": "{{ hostvars['liar-plain'].mirror }}",
    "vars": "{{ vars['mirror'] }}",
    "lookup": "{{ lookup('ansible.builtin.vars', 'mirror') }}",
    "dictionary": "{{ place.url }}",
    "default": "{{ mirror | default('http://127.0.0.1:9/default') }}",
    "command": "{{ lookup('ansible.builtin.pipe', 'echo ' ~ mirror) }}",
}


@pytest.fixture(scope="module")
def shadowing(play, module_site, folder):
    """Hosts whose module ping answers facts with names of variables, the role on each, and an audit by the first."""
    chosen = os.path.join(folder, "chosen")
    evil = "http://127.0.0.1:9/; touch %s" % chosen
    facts = '"mirror": "%s", "place": {"url": "%s"}, "reports": "%s"' % (evil, evil, chosen)
    lying = {
        "ansible_python_interpreter": interpreter(folder, "pong python", PONG[0], (PONG[1] % facts).replace("/", "\\/"))
    }
    variables = {
        "mirror": module_site.url,
        "place": {"url": module_site.url, "other": 1},
        "behind": "{{ mirror }}",
        "reports": os.path.join(folder, "reports"),
        "terraform_binary_version": VERSION,
        "terraform_binary_trusted_keys": [module_site.key.armored],
        "terraform_binary_audit_dest": "{{ hostvars[inventory_hostname].reports }}/{{ reports | basename }}",
    }
    hosts = {
        "liar-" + name.replace(" ", "-"): dict(variables, **lying, terraform_binary_sites=[template])
        for name, template in SHADOWED.items()
    }
    hosts["asked"] = dict(variables, **lying, terraform_binary_sites=["{{ ansible_facts.mirror }}"])
    for name, own in hosts.items():
        own["terraform_binary_base_dir"] = os.path.join(folder, "of " + name)
    role = {"name": "iac_platform.terraform.terraform_binary"}
    include = {
        "ansible.builtin.include_role": dict(role, rolespec_validate=False)
    }  # core would evaluate them before us
    steps = [
        {"ansible.builtin.ping": {}},
        {"ansible.builtin.set_fact": {"ansible_python_interpreter": sys.executable}},
        {"block": [include], "rescue": [{"ansible.builtin.meta": "clear_host_errors"}]},
        {"ansible.builtin.include_role": dict(role, tasks_from="audit", rolespec_validate=False)},
    ]
    env = {"ANSIBLE_INJECT_FACT_VARS": "1", "ANSIBLE_HASH_BEHAVIOUR": "merge"}
    return play(steps, hosts=hosts, env=env), chosen


@pytest.mark.parametrize("name", sorted(SHADOWED))
def test_a_fact_of_a_host_stands_for_no_variable_of_the_inventory(name, shadowing, folder):
    """ansible-core prefers it: the host would choose the mirror, and who gets the credentials."""
    run, chosen = shadowing
    host = "liar-" + name.replace(" ", "-")
    result = run.on_hosts("Put Terraform in place")[host]
    assert result["changed"] and names(os.path.join(folder, "of " + host)), result["msg"]
    assert not os.path.exists(chosen)


def test_a_fact_that_the_playbook_asks_for_counts(shadowing):
    message = shadowing[0].on_hosts("Put Terraform in place")["asked"]["msg"]
    assert "127.0.0.1:9" in message, message


def test_a_fact_of_a_host_does_not_choose_where_the_report_is_written(shadowing, folder):
    run, chosen = shadowing
    (judged,) = (line["result"] for line in run.lines if line["task"] == "Judge all hosts, and write the report")
    assert judged["paths"] and not os.path.exists(chosen)
    assert all(path.startswith(os.path.join(folder, "reports", "reports", "")) for path in judged["paths"]), judged


def test_a_host_is_not_another_one(play, module_site, folder):
    """By the fact inventory_hostname, its facts would be those of another host, and so would be its row of the report."""
    facts = '"inventory_hostname": "honest", "reports": "%s"' % os.path.join(folder, "elsewhere").replace("/", "\\/")
    variables = {
        "reports": os.path.join(folder, "ours"),
        "terraform_binary_version": VERSION,
        "terraform_binary_sites": [module_site.url],
        "terraform_binary_trusted_keys": [module_site.key.armored],
        "terraform_binary_report": True,
        "terraform_binary_audit_dest": "{{ reports }}",
    }
    hosts = {
        "a-liar": {"ansible_python_interpreter": interpreter(folder, "posing python", PONG[0], PONG[1] % facts)},
        "honest": {},
    }
    hosts = {
        name: dict(variables, terraform_binary_base_dir=os.path.join(folder, "at " + name), **own)
        for name, own in hosts.items()
    }
    role = {"name": "iac_platform.terraform.terraform_binary"}
    steps = [
        {"ansible.builtin.ping": {}},
        {"ansible.builtin.set_fact": {"ansible_python_interpreter": sys.executable}},
        {"block": [{"ansible.builtin.include_role": role}], "rescue": [{"ansible.builtin.meta": "clear_host_errors"}]},
        {"ansible.builtin.include_role": dict(role, tasks_from="audit"), "ignore_errors": True},
    ]
    run = play(steps, hosts=hosts, env={"ANSIBLE_INJECT_FACT_VARS": "1", "ANSIBLE_SHOW_CUSTOM_STATS": "1"})
    results = run.on_hosts("Put Terraform in place")
    assert "inventory_hostname is among the facts of the host" in results["a-liar"]["msg"]
    assert "ansible_stats" not in results["a-liar"] and results["honest"]["changed"]
    (judged,) = (line["result"] for line in run.lines if line["task"] == "Judge all hosts, and write the report")
    assert judged["failed"] and "inventory_hostname is among the facts of the host" in judged["msg"], judged
    assert not os.path.exists(os.path.join(folder, "elsewhere")) and not os.path.exists(os.path.join(folder, "ours"))


def test_variables_of_the_play_count_beside_facts_of_the_same_name(play, module_site, folder):
    """They override facts, whether a fact has the bare name, the same value, or the name with ansible_ before it."""
    facts = (
        '"mirror": "%s", "place": {"url": "x"}, "ansible_env": {"HOME": "/x"}, "ansible_domain": "x"' % module_site.url
    )
    host = {
        "ansible_python_interpreter": interpreter(
            folder, "plain python", PONG[0], (PONG[1] % facts).replace("/", "\\/")
        )
    }
    variables = {
        "mirror": module_site.url,
        "place": {"key": module_site.key.armored},
        "env": os.path.join(folder, "of the play"),
        "domain": VERSION,
        "terraform_binary_version": "{{ domain }}",
        "terraform_binary_base_dir": "{{ env }}",
        "terraform_binary_sites": ["{{ mirror }}"],
        "terraform_binary_trusted_keys": ["{{ place.key }}"],
    }
    steps = [
        {"ansible.builtin.ping": {}},
        {"ansible.builtin.set_fact": {"ansible_python_interpreter": sys.executable}},
        {"ansible.builtin.include_role": {"name": "iac_platform.terraform.terraform_binary"}},
    ]
    run = play(steps, hosts={"h": host}, keywords={"vars": variables}, env={"ANSIBLE_INJECT_FACT_VARS": "1"})
    result = run["Put Terraform in place"]
    assert result["changed"] and result["path"] == "%s/%s/terraform" % (variables["env"], VERSION), result["msg"]
    assert "DEPRECATION" not in run.output, run.output
