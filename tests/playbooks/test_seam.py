# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seam between module, role and Ansible: under each keyword, three hosts, of which one installs, one has it, one is refused.

Each case is a play for each form: the module, and the role in ``roles``, by import_role and by include_role. Looked at are
the recap, how often a failure is reported, the fact, the registered result, the handlers, and the hosts' files. A few cases are
run in ``make test``, all of them in ``make matrix``.
"""

import json
import os
import pathlib
import re
import shutil
from typing import Any, Dict, NamedTuple, Tuple

import pytest
from playbook_run import MODULE, VERSION, task_args
from seam import FORMS, MISSING, REPORTED, ROLE, Seen, make_hosts, read_facts, recap, seam

FULL = bool(os.environ.get("TERRAFORM_BINARY_MATRIX"))


class Case(NamedTuple):
    """A keyword, where it stands, and what it changes."""

    play: Dict[str, Any] = {}  # keywords of the play
    own: Dict[str, Any] = {}  # of the task, the role, or what the role's tasks inherit
    around: Dict[str, Any] = {}  # of a block around it, with rescue and always
    ends: str = "failed"  # what the recap says of the host that is refused
    breaks: bool = False  # the other hosts stop there, too
    hidden: bool = False  # nothing of the message may be seen
    check: bool = False  # nothing happens
    env: Dict[str, str] = {}  # of the controller
    short: Tuple[str, ...] = ()  # the forms that make test runs
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
    "rescue": Case(
        around=RESCUE, ends="rescued", forms=("module", "import_role", "include_role"), short=("include_role",)
    ),
    "always": Case(
        around={"always": [{"name": "always", "ansible.builtin.debug": {"msg": "reached"}}]},
        forms=("module", "import_role", "include_role"),
    ),
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
    "until": Case(own={"until": "terraform_binary_outcome is not failed", "retries": 1, "delay": 0}, forms=("module",)),
    "async": Case(own={"async": 300, "poll": 1}, forms=("module",)),
    "become": Case(own={"become": True}),
    "yaml results": Case(env={"ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml"}, short=("import_role",)),
    "module_defaults": Case(play={"module_defaults": {"group/iac_platform.terraform.terraform": {"retries": 1}}}),
}
CHOSEN = [(name, form) for name, case in CASES.items() for form in (case.forms if FULL else case.short)]


@pytest.fixture(scope="module")
def runs(play, module_site, folder, tasks):
    """callable(name, form) -> Seen; the store of the second host has the version."""
    ready = os.path.join(folder, "ready")
    assert tasks([{"name": "install", MODULE: task_args(module_site, ready)}])["install"]["changed"]
    made = {}

    def run(name, form):
        if (name, form) not in made:
            case = CASES[name]
            hosts = make_hosts(
                module_site, lambda host: os.path.join(folder, (name + "-" + form).replace(" ", "_"), host)
            )
            shutil.copytree(ready, hosts["unchanged"]["terraform_binary_base_dir"])
            made[name, form] = seam(play, form, hosts, case.own, case.around, case.play, case.env)
        return made[name, form]

    return run


@pytest.mark.parametrize("name, form", CHOSEN)
def test_only_hosts_that_failed_are_reported_as_failed(runs, name, form):
    case, (run, _facts, _hosts) = CASES[name], runs(name, form)
    counts = recap(run)
    assert {host: counts[host]["failed"] for host in counts} == {
        "installs": 0,
        "unchanged": 0,
        "refused": int(case.ends == "failed"),
    }, run.output
    assert {ending: counts["refused"][ending] for ending in ("failed", "ignored", "rescued")} == dict(
        {"failed": 0, "ignored": 0, "rescued": 0}, **{case.ends: 1}
    )
    assert (counts["installs"]["changed"], counts["unchanged"]["changed"], counts["refused"]["changed"]) == (1, 0, 0)
    assert (run.returncode != 0) is (case.ends == "failed"), run.output


@pytest.mark.parametrize("name, form", CHOSEN)
def test_a_failure_is_reported_once(runs, name, form):
    case, (run, _facts, _hosts) = CASES[name], runs(name, form)
    shown = run.stdout if case.ends != "rescued" else run.stdout.partition("rescued")[0]
    assert len(REPORTED.findall(shown)) == (0 if case.hidden else 1), run.output
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
    handled = {line["host"] for line in run.lines if line["task"] == "reported"}
    assert handled == (set() if case.breaks else {"installs"}), run.output


@pytest.mark.parametrize("name, form", CHOSEN)
def test_files_are_where_they_should_be(runs, name, form):
    case, (_run, _facts, hosts) = CASES[name], runs(name, form)
    there = {
        host
        for host in hosts
        if os.path.exists("%s/%s/terraform" % (hosts[host]["terraform_binary_base_dir"], VERSION))
    }
    assert there == ({"unchanged"} if case.check else {"installs", "unchanged"})
    assert not os.path.exists(hosts["refused"]["terraform_binary_base_dir"])


def include(**variables):
    """A task that includes the role with variables of its own, and goes on when it fails."""
    return {
        "block": [
            {
                "ansible.builtin.include_role": {"name": ROLE},
                "vars": {"terraform_binary_" + option: value for option, value in variables.items()},
            }
        ],
        "rescue": [{"ansible.builtin.meta": "noop"}],
    }


OUTCOME = {"name": "outcome", "ansible.builtin.debug": {"var": "terraform_binary_outcome"}}
PASSWORD = "the password of the vault"
TOKEN = "a-token-that-nobody-may-see"


def encrypted(text):
    """A value as ansible-vault writes it: YAML."""
    vault = pytest.importorskip("ansible.parsing.vault")
    secret = vault.VaultSecret(PASSWORD.encode())
    lines = vault.VaultLib([("default", secret)]).encrypt(text, secret).decode().splitlines()
    return "!vault |\n" + "".join("        %s\n" % line for line in lines)


@pytest.fixture(scope="module")
def vaulted(play, module_site, folder):
    """The role and the module with encrypted values at every depth, with all that -vvv shows."""
    place = os.path.join(folder, "vaulted")
    os.mkdir(place)
    pathlib.Path(place, "password").write_text(PASSWORD + "\n", encoding="utf-8")
    keys = json.dumps(module_site.key.armored)
    pathlib.Path(place, "vars.yml").write_text(
        "".join(
            [
                "terraform_binary_version: ",
                encrypted(VERSION),
                "terraform_binary_url_token: ",
                encrypted(TOKEN),
                "terraform_binary_url_headers:\n  X-Key: ",
                encrypted(TOKEN),
                "terraform_binary_sites:\n  - ",
                encrypted(module_site.url),
                "terraform_binary_trusted_keys: [%s]\n" % keys,
            ]
        ),
        encoding="utf-8",
    )
    options = {
        option: "{{ terraform_binary_%s }}" % option
        for option in ("version", "sites", "trusted_keys", "url_token", "url_headers")
    }
    own = {"name": "module", MODULE: dict(options, base_dir=place + "/module")}
    return play(
        [include(base_dir=place + "/role"), OUTCOME, own],
        verbosity=3,
        arguments=("-e", "@%s/vars.yml" % place, "--vault-password-file", place + "/password"),
    )


def test_an_encrypted_value_works_wherever_a_plain_one_does(vaulted, module_site):
    assert vaulted.returncode == 0, vaulted.output
    for result in (vaulted["outcome"]["terraform_binary_outcome"], vaulted["module"]):
        assert result["changed"] and result["version"] == VERSION
    sent = [request.headers.get("X-Key") for request in module_site.requests if VERSION in request.path]
    assert sent.count(TOKEN) >= 2


def test_an_encrypted_value_is_masked(vaulted):
    assert TOKEN not in vaulted.output and TOKEN not in json.dumps(vaulted.lines)


@pytest.fixture(scope="module")
def variants(play, module_site, folder):
    """One play of the role, with what its variables come from, on hosts of one case each; and a host that is delegated to."""
    usual = {key: value for key, value in task_args(module_site, "").items() if key != "base_dir"}
    stores = {
        name: os.path.join(folder, "variants", name)
        for name in ("defaults", "precedence", "omitted", "misspelt", "odd")
    }
    hosts = {name: {"terraform_binary_base_dir": store} for name, store in stores.items()}
    hosts["precedence"]["terraform_binary_version"] = MISSING  # the play's variables are stronger
    hosts["omitted"].update(terraform_binary_link="{{ omit }}", terraform_binary_mode="{{ nothing | default(omit) }}")
    hosts["misspelt"].update(terraform_binary_lnk="/usr/local/bin/terraform")
    hosts["odd"].update(terraform_binary_link="{{ there_is_no_such_variable }}")
    role = {"role": ROLE, "vars": {"terraform_binary_version": VERSION}, "ignore_errors": True}
    keywords = {
        "module_defaults": {"group/iac_platform.terraform.terraform": usual},
        "roles": [role],
        "post_tasks": [OUTCOME],
    }
    run = play([], hosts=hosts, keywords=keywords)
    return {host: result["terraform_binary_outcome"] for host, result in run.on_hosts("outcome").items()}, stores


def test_what_is_not_set_leaves_module_defaults_alone(variants):
    outcomes, stores = variants
    for name in ("defaults", "precedence", "omitted"):
        assert outcomes[name]["changed"] and outcomes[name]["path"].startswith(stores[name]), outcomes[name]


@pytest.mark.parametrize(
    "name, words",
    [
        ("misspelt", "controller: terraform_binary_lnk is no variable of the role"),
        ("misspelt", "did you mean terraform_binary_link?"),
        ("odd", "the variable terraform_binary_link has no value: "),
        ("odd", "there_is_no_such_variable"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_refused(variants, name, words):
    outcomes, stores = variants
    assert words in outcomes[name]["msg"] and outcomes[name]["error"]["step"] == "request"
    assert not os.path.exists(stores[name])


# What stands in for Python on a host: a shell script -> what the message says, and what to do.
NO_PYTHON = {
    "old": (
        "case $1 in -c) echo '2 7 18 /usr/bin/python';; *) echo 'SyntaxError: invalid syntax' >&2; exit 1;; esac",
        "old: Python is 2.7.18 (/usr/bin/python): 3.",
        "install a newer python3 there",
    ),
    "cut": (
        "case $1 in -c) echo '3 13 0 /usr/bin/python3';; *) printf 'Traceback\\nModuleNotFoundError: "
        "No module named '\\''zipfile'\\''\\n' >&2; exit 1;; esac",
        "cut: ModuleNotFoundError: ",
        "not python3-minimal",
    ),
    "root": (
        "echo '/bin/sh: 1: sudo: not found' >&2; exit 127",
        "root: /bin/sh: 1: sudo: not found",
        "there is no sudo",
    ),
    "gone": (
        "echo 'pyenv: python3.9: command not found' >&2; exit 127",
        "gone: pyenv: python3.9: command not found",
        "set ansible_python_interpreter",
    ),
    "mute": ("exit 1", "mute: ", "no Python answers as "),
    "loud": (
        "case $1 in -c) echo '3 13 0 /usr/bin/python3';; *) head -c 400000 /dev/zero | tr '\\0' x >&2; exit 1;; esac",
        "loud: xxx",
        "-vvv shows all",
    ),
}


@pytest.fixture(scope="module")
def started(play, module_site, folder):
    hosts = {}
    for name, (script, _words, _hint) in NO_PYTHON.items():
        path = os.path.join(folder, name + ".sh")
        pathlib.Path(path).write_text("#!/bin/sh\n%s\n" % script, encoding="utf-8")
        os.chmod(path, 0o755)
        hosts[name] = {"ansible_python_interpreter": path}
    options = task_args(module_site, os.path.join(folder, "started"))
    asked = include(**options)  # pylint: disable=repeated-keyword  # that of ansible-core 2.15 sees one that is not there
    return play([asked, OUTCOME], hosts=hosts)


@pytest.mark.parametrize("name", sorted(NO_PYTHON))
def test_a_module_that_cannot_start_says_why(started, name):
    _script, words, hint = NO_PYTHON[name]
    outcome = started.on_hosts("outcome")[name]["terraform_binary_outcome"]
    assert outcome["msg"].startswith(words) and hint in outcome["msg"], outcome["msg"]
    assert outcome["error"]["host"] == name and outcome["error"]["step"] == "setup" and len(outcome["msg"]) <= 400


def plays_on_more_than_one_host(site, folder):
    """Plays whose hosts do not all do the same: (list of plays, dict of host and variables)."""
    names = ("first", "second", "near", "far", "looped", "stays", "leaves")
    hosts = {
        name: {
            "terraform_binary_" + option: value
            for option, value in task_args(site, os.path.join(folder, "several", name)).items()
        }
        for name in names
    }
    # A host that goes away: from some moment on it is asked for at a port where nobody listens.
    hosts["leaves"].update(
        ansible_connection="{{ 'ansible.builtin.ssh' if gone | default(false) else 'ansible.builtin.local' }}",
        ansible_host="127.0.0.1",
        ansible_port=1,
        ansible_ssh_common_args="-o ConnectTimeout=5",
    )
    options = {
        option: "{{ terraform_binary_%s }}" % option for option in ("version", "base_dir", "sites", "trusted_keys")
    }
    role = {"ansible.builtin.import_role": {"name": ROLE}}

    def module(name, keywords, **more):
        return dict(
            {"name": name, MODULE: dict(options, **more), "register": "result", "ignore_errors": True}, **keywords
        )

    def show(name, text):
        return {"name": name, "ansible.builtin.debug": {"msg": text}}

    fact = "{{ (ansible_facts['terraform_binary_result'] | default({})).path | default('none') }}"
    delegated = {"delegate_to": "far"}
    several = [
        ("first,second", [dict(role, run_once=True), show("once", [fact, "{{ terraform_binary_outcome.path }}"])]),
        (
            "near",
            [
                module("delegated", delegated),
                show("delegated to far", fact),
                module(
                    "with facts", dict(delegated, delegate_facts=True), base_dir="{{ terraform_binary_base_dir }}-2"
                ),
                show(
                    "facts of far", "{{ hostvars['far'].ansible_facts.terraform_binary_result.path | default('none') }}"
                ),
                module("refused there", delegated, base_dir="/proc/nowhere"),
            ],
        ),
        (
            "looped",
            [
                module("loop", {"loop": ["1.13.3", VERSION, MISSING]}, version="{{ item }}"),
                show("after the loop", fact),
                {
                    "ansible.builtin.include_role": {"name": ROLE},
                    "vars": {"terraform_binary_version": "{{ item }}"},
                    "loop": ["1.13.3", "1.9.8"],
                },
                show("after the roles", fact),
            ],
        ),
        ("stays,leaves", [role, {"ansible.builtin.set_fact": {"gone": True}}, dict(role), show("still there", fact)]),
    ]
    return [{"hosts": pattern, "gather_facts": False, "tasks": tasks} for pattern, tasks in several], hosts


@pytest.fixture(scope="module")
def several(play, module_site, folder):
    plays, hosts = plays_on_more_than_one_host(module_site, folder)
    path = os.path.join(folder, "several.yml")
    pathlib.Path(path).write_text(json.dumps(plays), encoding="utf-8")
    facts = os.path.join(folder, "several-facts")
    run = play(
        path,
        hosts=hosts,
        env={"ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": facts},
    )
    return Seen(run, read_facts(facts, hosts), {name: "%s/several/%s" % (folder, name) for name in hosts})


def test_run_once_works_on_one_host_and_speaks_for_all(several):
    run, _facts, stores = several
    path = "%s/%s/terraform" % (stores["first"], VERSION)
    said = {host: result["msg"] for host, result in run.on_hosts("once").items()}
    assert said == dict.fromkeys(("first", "second"), [path] * 2)
    assert os.path.exists(path) and not os.path.exists(stores["second"])
    assert (several.recap["first"]["changed"], several.recap["second"]["changed"]) == (1, 0)


def test_a_delegated_task_is_about_the_host_that_it_went_to(several):
    run, facts, stores = several
    near, there = stores["near"] + "/%s/terraform" % VERSION, stores["near"] + "-2/%s/terraform" % VERSION
    assert run["delegated"]["changed"] and run["with facts"]["changed"]
    assert run["delegated to far"]["msg"] == near == facts["near"]["path"], "core gives facts to the host of the play"
    assert run["facts of far"]["msg"] == there == facts["far"]["path"], "or with delegate_facts to the other one"
    refused = run["refused there"]
    assert refused["msg"].startswith("far: ") and refused["error"]["host"] == "far", refused
    assert several.recap["near"]["changed"] == 2 and several.recap["near"]["ignored"] == 1
    assert run.output.count("terraform_binary: [far] Terraform %s installed" % VERSION) == 2


def test_each_turn_of_a_loop_is_on_its_own(several):
    run, facts, stores = several
    turns = [(turn["changed"], "error" in turn) for turn in run["loop"]["results"]]
    assert turns == [(True, False), (True, False), (False, True)]
    assert len(re.findall('"msg": "controller: .*%s' % MISSING, run.stdout)) == 1
    assert run["after the loop"]["msg"] == "none", "core drops the facts of all turns where one has failed"
    assert run["after the roles"]["msg"] == facts["looped"]["path"] == "%s/1.9.8/terraform" % stores["looped"]
    assert sorted(facts["looped"]["versions"]) == ["1.13.3", VERSION, "1.9.8"]


def test_a_host_that_goes_away_keeps_its_fact_and_stops_nobody(several):
    if not shutil.which("ssh"):
        pytest.skip("there is no ssh (Debian: openssh-client)")
    run, facts, stores = several
    counts = several.recap
    assert (counts["leaves"]["unreachable"], counts["leaves"]["failed"], counts["stays"]["unreachable"]) == (1, 0, 0)
    assert run.stdout.count("UNREACHABLE!") == 1
    assert facts["leaves"]["path"] == "%s/%s/terraform" % (stores["leaves"], VERSION) and facts["leaves"]["changed"]
    assert not facts["stays"]["changed"] and set(run.on_hosts("still there")) == {"stays"}
