# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seam between module, role and Ansible: under each keyword, three hosts, of which one installs, one has it, one is refused.

Each case is a play for each form: the module, and the role in ``roles``, by import_role and by include_role. Looked at are
the recap, how often a failure is told, the fact, the registered result, the handlers, and the hosts' files. A few cases are
run in ``make test``, all of them in ``make matrix``.
"""

import glob
import json
import os
import pathlib
import re
import shutil
from typing import Any, Dict, NamedTuple, Tuple

import pytest
from playbook_run import MODULE, VERSION, wish

ROLE = MODULE
MISSING = "1.13.99"     # a version that the site does not have
FORMS = ("module", "roles", "import_role", "include_role")
FULL = bool(os.environ.get("TERRAFORM_BINARY_MATRIX"))
TOLD = re.compile(r'"msg": "controller: ')


class Case(NamedTuple):
    """A keyword, where it stands, and what it changes."""

    play: Dict[str, Any] = {}       # keywords of the play
    own: Dict[str, Any] = {}        # of the task, the role, or what the role's tasks inherit
    around: Dict[str, Any] = {}     # of a block around it, with rescue and always
    ends: str = "failed"            # what the recap says of the host that is refused
    breaks: bool = False            # the other hosts stop there, too
    hidden: bool = False            # nothing of the message may be seen
    check: bool = False             # nothing happens
    short: Tuple[str, ...] = ()     # the forms that make test runs
    forms: Tuple[str, ...] = FORMS


RESCUE = {"rescue": [{"name": "rescued", "ansible.builtin.debug": {"msg": "{{ ansible_failed_result.msg }}"}}]}
CASES = {
    "nothing": Case(short=("roles",)),
    "any_errors_fatal": Case(play={"any_errors_fatal": True}, breaks=True, short=("include_role",)),
    "any_errors_fatal of the role": Case(own={"any_errors_fatal": True}, breaks=True, forms=FORMS[:3]),
    "max_fail_percentage": Case(play={"max_fail_percentage": 0}, breaks=True),
    "serial": Case(play={"serial": 2}),
    "serial and any_errors_fatal": Case(play={"serial": 3, "any_errors_fatal": True}, breaks=True),
    "throttle": Case(own={"throttle": 1}),
    "free": Case(play={"strategy": "ansible.builtin.free"}),
    "host_pinned": Case(play={"strategy": "ansible.builtin.host_pinned"}),
    "ignore_errors": Case(own={"ignore_errors": True}, ends="ignored", short=("import_role",)),
    "ignore_errors of the play": Case(play={"ignore_errors": True}, ends="ignored"),
    "ignore_unreachable": Case(own={"ignore_unreachable": True}),
    "rescue": Case(around=RESCUE, ends="rescued", forms=("module", "import_role", "include_role"), short=("include_role",)),
    "always": Case(around={"always": [{"name": "always", "ansible.builtin.debug": {"msg": "reached"}}]},
                   forms=("module", "import_role", "include_role")),
    "check_mode": Case(own={"check_mode": True}, check=True),
    "diff": Case(own={"diff": True}),
    "no_log": Case(own={"no_log": True}, hidden=True),
    "debugger never": Case(own={"debugger": "never"}),
    "tags": Case(own={"tags": ["always"]}),
    "when": Case(own={"when": "terraform_binary_version is defined"}),
    "connection": Case(own={"connection": "ansible.builtin.local"}),
    "port and user": Case(own={"port": 22, "remote_user": "somebody"}),
    "vars": Case(own={"vars": {"something": "else"}}),
    "environment": Case(own={"environment": {"SOMETHING": "else"}}),
    "timeout": Case(own={"timeout": 300}),
    "force_handlers": Case(play={"force_handlers": True}),
    "module_defaults": Case(play={"module_defaults": {"group/iac_platform.terraform.terraform": {"retries": 1}}}),
}
CHOSEN = [(name, form) for name, case in CASES.items() for form in (case.forms if FULL else case.short)]


@pytest.fixture(scope="module")
def variables(module_site, folder, tasks):
    """callable(case, form) -> dict of host and its variables; the store of the second one has the version."""
    ready = os.path.join(folder, "ready")
    assert tasks([{"name": "install", MODULE: wish(module_site, ready)}])["install"]["changed"]

    def make(*names):
        hosts = {}
        for host in ("installs", "unchanged", "refused"):
            store = os.path.join(folder, "-".join(names).replace(" ", "_"), host)
            options = wish(module_site, store, version=MISSING if host == "refused" else VERSION)
            hosts[host] = {"terraform_binary_" + option: value for option, value in options.items()}
        shutil.copytree(ready, hosts["unchanged"]["terraform_binary_base_dir"])
        return hosts
    return make


def form_of(form, own):
    """The keywords of a play that asks for what the variables say, and leaves the result in ``terraform_binary_outcome``."""
    options = {option: "{{ terraform_binary_%s }}" % option
               for option in ("version", "base_dir", "sites", "trusted_keys", "retries")}
    told = {"notify": "told"}
    if form == "module":
        return {"tasks": [dict({"name": "Put Terraform in place", MODULE: options, "register": "terraform_binary_outcome"},
                               **told, **own)]}
    if form == "roles":
        return {"roles": [dict({"role": ROLE}, **own)]}
    if form == "import_role":
        return {"tasks": [dict({"ansible.builtin.import_role": {"name": ROLE}}, **told, **own)]}
    return {"tasks": [{"ansible.builtin.include_role": {"name": ROLE, "apply": dict(told, **own)},
                       **{key: own[key] for key in own.keys() & {"tags"}}}]}


@pytest.fixture(scope="module")
def runs(play, variables):
    """callable(name, form) -> (Run, dict of host and fact, dict of host and variables)."""
    made = {}

    def run(name, form):
        if (name, form) not in made:
            case, hosts = CASES[name], variables(name, form)
            keywords = form_of(form, case.own)
            if case.around:
                keywords["tasks"] = [dict(case.around, block=keywords["tasks"])]
            after = {"name": "after", "ansible.builtin.debug": {"msg": "{{ terraform_binary_outcome.path | default('none') }}"}}
            last = {"post_tasks" if "roles" in keywords else "tasks": keywords.get("tasks", []) + [after]}
            handlers = {"handlers": [{"name": "told", "ansible.builtin.debug": {"msg": "handled"}}]}
            facts = os.path.join(play.folder, "facts-%d" % len(made))
            done = play(last.get("tasks", []), hosts=hosts, keywords=dict(keywords, **handlers, **last, **case.play), env={
                "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": facts})
            made[name, form] = done, read_facts(facts, hosts), hosts
        return made[name, form]
    return run


def read_facts(folder, hosts):
    """The fact of each host, as the cache of facts has it; None: there is none."""
    found = {}
    for host in hosts:
        paths = glob.glob(os.path.join(folder, "*" + host))     # with a prefix from ansible-core 2.19 on
        kept = json.loads(pathlib.Path(paths[0]).read_text(encoding="utf-8")) if paths else {}
        if "__payload__" in kept:       # likewise
            kept = json.loads(kept["__payload__"])
        found[host] = kept.get("terraform_binary_result")
    return found


def recap(run):
    """dict of host and dict of what the recap counts."""
    lines = re.findall(r"(?m)^(\w+) +: (ok=.*)$", run.stdout)
    return {host: {key: int(count) for key, count in re.findall(r"(\w+)=(\d+)", counts)} for host, counts in lines}


@pytest.mark.parametrize("name, form", CHOSEN)
def test_who_failed_is_told_to_have_failed_and_nobody_else(runs, name, form):
    case, (run, _facts, _hosts) = CASES[name], runs(name, form)
    counts = recap(run)
    assert {host: counts[host]["failed"] for host in counts} == {
        "installs": 0, "unchanged": 0, "refused": int(case.ends == "failed")}, run.output
    assert {ending: counts["refused"][ending] for ending in ("failed", "ignored", "rescued")} == dict(
        {"failed": 0, "ignored": 0, "rescued": 0}, **{case.ends: 1})
    assert (counts["installs"]["changed"], counts["unchanged"]["changed"], counts["refused"]["changed"]) == (1, 0, 0)
    assert (run.returncode != 0) is (case.ends == "failed"), run.output


@pytest.mark.parametrize("name, form", CHOSEN)
def test_a_failure_is_told_once(runs, name, form):
    case, (run, _facts, _hosts) = CASES[name], runs(name, form)
    shown = run.stdout if case.ends != "rescued" else run.stdout.partition("rescued")[0]
    assert len(TOLD.findall(shown)) == (0 if case.hidden else 1), run.output
    assert not case.hidden or MISSING not in run.stdout, run.output


@pytest.mark.parametrize("name, form", CHOSEN)
def test_facts_and_results_are_each_hosts_own(runs, name, form):
    case, (run, facts, hosts) = CASES[name], runs(name, form)
    for host, changed in (("installs", True), ("unchanged", False)):
        if case.check and changed:
            assert facts[host] is None, "a prediction"
            continue
        assert (facts[host]["failed"], facts[host]["changed"], facts[host]["version"]) == (False, changed, VERSION)
        assert facts[host]["path"].startswith(hosts[host]["terraform_binary_base_dir"])
    if case.check or form == "module":
        assert facts["refused"] is None
    else:
        assert facts["refused"]["failed"] is True and facts["refused"]["msg"].startswith("controller: ")
    assert MISSING in str(facts["refused"]) or case.check or form == "module"
    results = run.on_hosts("after") if any(line["task"] == "after" for line in run.lines) else {}
    expected = {"installs", "unchanged"} if case.ends == "failed" else set(hosts)
    assert set(results) == (set() if case.breaks else expected), run.output
    for host in results.keys() - {"refused"}:
        assert results[host]["msg"] == "%s/%s/terraform" % (hosts[host]["terraform_binary_base_dir"], VERSION)


@pytest.mark.parametrize("name, form", [(name, form) for name, form in CHOSEN if form != "roles"])
def test_handlers_follow_changed(runs, name, form):
    case, (run, _facts, _hosts) = CASES[name], runs(name, form)
    handled = {line["host"] for line in run.lines if line["task"] == "told"}
    assert handled == (set() if case.breaks else {"installs"}), run.output


@pytest.mark.parametrize("name, form", CHOSEN)
def test_files_are_where_they_should_be(runs, name, form):
    case, (_run, _facts, hosts) = CASES[name], runs(name, form)
    there = {host for host in hosts if os.path.exists(
        "%s/%s/terraform" % (hosts[host]["terraform_binary_base_dir"], VERSION))}
    assert there == ({"unchanged"} if case.check else {"installs", "unchanged"})
    assert not os.path.exists(hosts["refused"]["terraform_binary_base_dir"])
