# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module terraform_binary_info as a task: what it reports after installs, what it refuses, and what lies come to."""

import os
import sys

import pytest
from file_snapshots import look
from playbook_run import INFO, VERSION, task

GONE = {"invocation", "ansible_facts", "steps", "previous_version", "diff"}


def info(name, store, keywords=None, **options):
    """A task that looks at a store."""
    return dict(
        {"name": name, INFO: dict({"base_dir": str(store)}, **options)}, **(keywords or {"ignore_errors": True})
    )


@pytest.fixture(scope="module")
def by_module(tmp_path_factory, tasks):
    """A TaskRunner for the module itself, which runs where a script cannot."""
    with type(tasks)(str(tmp_path_factory.mktemp("by-module")), obstacle="a test") as runner:
        yield runner


@pytest.fixture(scope="module")
def store(tasks, module_site, folder):
    """A store with two versions, the older of which is damaged, and the link to the newer."""
    store, link = os.path.join(folder, "store"), os.path.join(folder, "terraform")
    run = tasks([task("old", module_site, store, version="1.13.3"), task("new", module_site, store, link=link)])
    assert run["old"]["changed"] and run["new"]["changed"], run.lines
    with open(os.path.join(store, "1.13.3", "terraform"), "r+b") as file:
        file.truncate(10)
    with open(os.path.join(store, "notes.txt"), "w", encoding="ascii"):
        pass
    return store


def test_a_task_reports_and_changes_nothing(tasks, store, folder, module_site):
    link = os.path.join(folder, "terraform")
    before = look(store)
    asked = {"links": [link], "verify": "full"}
    run = tasks([info("look", store, **asked), info("check", store, {"check_mode": True}, **asked)])
    found = run["look"]
    assert not found["changed"] and not found["failed"] and found == run["check"] and look(store) == before
    assert not GONE & set(found)
    new, old = found["versions"]
    assert (new["version"], new["intact"], new["signer"]) == (VERSION, True, module_site.key.fingerprint)
    assert (old["version"], old["intact"], old["reason"]) == (
        "1.13.3",
        False,
        "%s/1.13.3/terraform has 10 bytes, expected %d" % (store, old["receipt"]["size"]),
    )
    assert new["receipt"]["links"] == [link] and found["links"][0]["version"] == VERSION
    assert [each["path"] for each in found["unmanaged"]] == [store + "/notes.txt"]
    assert found["base_dir_safe"] is True and found["msg"].startswith("2 versions below %s, 1 not intact" % store)


REFUSED = {
    "unknown option": (
        {"basedir": "/x"},
        "basedir is no option of iac_platform.terraform.terraform_binary_info; did you",
    ),
    "choice": ({"verify": "maybe"}, "value of verify must be one of: receipt, full, got: maybe"),
    "boolean": ({"owner": True}, "owner is a boolean, as YAML"),
    "relative": ({"base_dir": "store"}, "base_dir 'store' is not an absolute path"),
    "dots": ({"links": ["/x/../y"]}, "links '/x/../y' is not an absolute path"),
    "too many links": ({"links": ["/x"] * 101}, "links has 101 paths, expected at most 100"),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_wrong_option_is_refused(tasks, name):
    options, words = REFUSED[name]
    (result,) = tasks([{"name": "look", INFO: options}]).on_hosts("look").values()
    assert result["failed"] and not result["changed"] and words in result["msg"], result
    assert result["msg"].startswith("localhost: " if name in ("relative", "dots", "too many links") else "controller: ")
    assert result["error"]["step"] == "request" and result["error"]["hint"] in result["msg"]
    assert not GONE & set(result)


def test_the_module_itself_answers_as_the_script_does(tasks, by_module, store, folder):
    asked = [info("look", store, links=[folder + "/terraform"]), info("bad", "store"), info("absent", folder + "/none")]
    assert [line["result"] for line in tasks(asked).lines] == [line["result"] for line in by_module(asked).lines]


def test_paths_are_expanded_on_the_target(tasks, by_module, folder):
    asked = [
        {
            "name": "look",
            INFO: {"base_dir": "~/store", "links": "$PLACE/a, ~/b"},
            "environment": {"HOME": folder, "PLACE": "/x"},
        }
    ]
    for runner in (tasks, by_module):
        found = runner(asked)["look"]
        assert found.get("base_dir") == folder + "/store", found
        assert [each["path"] for each in found["links"]] == ["/x/a", folder + "/b"]


def test_blank_options_count_as_not_given(tasks, store):
    run = tasks([info("look", store, owner="", verify=" ", links=None), info("bare", store)])
    assert run["look"] == run["bare"] and not run["look"]["failed"]


def test_a_missing_base_dir_is_no_failure(tasks, folder):
    found = tasks([info("look", folder + "/none")])["look"]
    assert not found["failed"] and found["versions"] == [] and found["base_dir_state"] == "absent"


# by ansible-playbook, with hosts that lie

LIES = {
    "version": ('"version": "1.13.3"', '"version": "..\\/x"', "versions[1].version is '../x'"),
    "path": ('"path": "[^"]*1.13.3\\/terraform"', '"path": "\\/evil"', "versions[1].path is '/evil'"),
    "base-dir": ('"base_dir": "', '"base_dir": "\\/evil', "base_dir is '/evil/"),
    "intact": ('"intact": false', '"intact": true', "versions[1].reason is "),
    "changed": ('"changed": false', '"changed": true', "changed is 'True'"),
    "escape": ('"mode": "0755"', '"mode": 5', "mode is '5', expected text"),
}
FACTS = (
    '"changed": false',
    '"changed": false, "ansible_facts": {"evil": 1}, "evil": 2, "warnings": ["\\\\u001b[31mred"]',
)


def interpreter(folder, name, said, claimed):
    """A Python whose standard output is changed by sed: its path."""
    path = os.path.join(folder, "python-" + name)
    with open(path, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\n%s \"$@\" | sed 's/%s/%s/'\n" % (sys.executable, said, claimed))
    os.chmod(path, 0o755)
    return path


@pytest.fixture(scope="module")
def hosts(play, store, folder):
    """Each of them looked at, with the options from module_defaults of the action group."""
    paths = {name: interpreter(folder, name, said, claimed) for name, (said, claimed, _words) in LIES.items()}
    paths["facts"] = interpreter(folder, "facts", *FACTS)
    silent = os.path.join(folder, "silent")
    with open(silent, "w", encoding="ascii") as file:
        file.write(
            '#!/bin/sh\nif [ "$1" = -c ]; then exec %s "$@"; fi\ncat >/dev/null\necho \'ValueError: odd\' >&2\nexit 1\n'
            % sys.executable
        )
    os.chmod(silent, 0o755)
    inventory = {name: {"ansible_python_interpreter": path} for name, path in paths.items()}
    return play(
        [
            {"name": "look", INFO: {}, "ignore_errors": True},
            {
                "name": "facts",
                "ansible.builtin.debug": {"msg": "{{ ansible_facts.evil | default('none') }}"},
            },
        ],
        hosts=dict(inventory, honest={}, silent={"ansible_python_interpreter": silent}),
        keywords={"module_defaults": {"group/iac_platform.terraform.terraform": {"base_dir": store}}},
    )


@pytest.mark.parametrize("name", sorted(LIES))
def test_a_lie_is_refused(hosts, name):
    result = hosts.on_hosts("look")[name]
    assert result["failed"] and not result["changed"], result
    assert result["msg"].startswith("%s answered what this module does not say: " % name)
    assert LIES[name][2] in result["msg"], result["msg"]
    assert (result["error"]["step"], result["error"]["side"], result["error"]["host"]) == ("plan", "target", name)


def test_nothing_else_of_an_answer_passes(hosts):
    honest, result = hosts.on_hosts("look")["honest"], hosts.on_hosts("look")["facts"]
    assert not honest["failed"] and len(honest["versions"]) == 2 and not GONE & set(honest)
    assert result.pop("warnings") == ["?[31mred"] and result == honest
    assert set(hosts.on_hosts("facts")) >= {"facts"} and hosts.on_hosts("facts")["facts"]["msg"] == "none"


def test_a_module_that_does_not_start_is_explained(hosts):
    result = hosts.on_hosts("look")["silent"]
    assert result["failed"] and result["msg"].startswith("silent: ValueError: odd"), result
    assert result["error"]["step"] == "setup" and not GONE & set(result)
