# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``version_file``: a file or a root module on the controller, by the module, the role, and without the action plugin."""

import json
import os

import pytest
from playbook_run import MODULE, task_args

ROLE = {"ansible.builtin.include_role": {"name": "iac_platform.terraform.terraform_binary"}}
MAIN = """
# terraform { required_version = "> 99" }
terraform {
  required_version = "~> 1.9"
  backend "local" {}
}
variable "text" {
  default = <<-EOT
    terraform { required_version = "${var.x}" }
  EOT
}
"""
JSON = '{"terraform": [{"required_version": "< 1.13.4"}]}'


@pytest.fixture(scope="module")
def places(folder):
    """What a version_file may name: dict of a name and a path."""
    os.mkdir(os.path.join(folder, "root"))
    os.mkdir(os.path.join(folder, "bad"))
    for name, text in (
        (".terraform-version", "# ours\n1.13\n"),
        ("pinned", "v1.13.4\n"),
        ("tfenv", "latest:^1.9\n"),
        ("root/main.tf", MAIN),
        ("root/limits.tf.json", JSON),
        ("bad/main.tf", MAIN.replace('"~> 1.9"', "var.v")),
    ):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            file.write(text)
    return {
        name: os.path.join(folder, name) for name in (".terraform-version", "pinned", "root", "bad", "tfenv", "gone")
    }


@pytest.fixture(scope="module")
def args_by_host(module_site, folder, places):
    module_site.publish("1.13.0")

    def ask(name, **options):
        return task_args(module_site, os.path.join(folder, "store of " + name), **dict({"version": None}, **options))

    return {
        "file": ask("file", version_file=places[".terraform-version"], link=os.path.join(folder, "bin", "terraform")),
        "pinned": ask("pinned", version_file=places["pinned"]),
        "module": ask("module", version_file=places["root"]),
        "bad": ask("bad", version_file=places["bad"]),
        "tfenv": ask("tfenv", version_file=places["tfenv"]),
        "gone": ask("gone", version_file=places["gone"]),
        "both": ask("both", version="1.13.4", version_file=places["pinned"]),
        "neither": ask("neither"),
        "blank": ask("blank", version=" ", version_file=""),
    }


@pytest.fixture(scope="module")
def checked(play, args_by_host):
    return play.each({name: args_by_host[name] for name in ("file", "module")}, check=True).each


@pytest.fixture(scope="module")
def done(tasks, args_by_host, checked):
    return tasks.each(args_by_host).each


@pytest.fixture(scope="module")
def again(tasks, args_by_host, done):
    return tasks.each({name: args_by_host[name] for name in ("file", "module")}).each


FOUND = {"file": ("1.13.0", "1.13"), "pinned": ("1.13.4", "v1.13.4"), "module": ("1.13.3", "< 1.13.4, ~> 1.9")}


@pytest.mark.parametrize("name", sorted(FOUND))
def test_the_file_decides(name, done):
    result = done[name]
    assert result["changed"] and not result["failed"], result
    assert (result["version"], result["requested"]) == FOUND[name]
    assert os.access(result["path"], os.X_OK)


def test_the_first_step_says_from_where(done, places):
    assert done["file"]["steps"][0] == "controller: version = 1.13 from %s:2" % places[".terraform-version"]
    found = ", ".join(
        "%s/%s" % (places["root"], place) for place in ("limits.tf.json:1 (< 1.13.4)", "main.tf:4 (~> 1.9)")
    )
    assert done["module"]["steps"][0] == "controller: version < 1.13.4, ~> 1.9 from " + found


@pytest.mark.parametrize("name", ["file", "module"])
def test_check_mode_reads_it_and_a_second_run_changes_nothing(name, checked, again):
    assert checked[name]["changed"] and (checked[name]["version"], checked[name]["requested"]) == FOUND[name]
    assert not again[name]["changed"] and not again[name]["failed"] and len(again[name]["steps"]) == 2, again[name]
    assert again[name]["version"] == FOUND[name][0]


@pytest.mark.parametrize(
    "name, words",
    [
        ("bad", "/bad/main.tf:4 cannot be read: required_version is not one plain string in quotes"),
        ("tfenv", "tfenv:1 has latest:..., which is"),
        ("gone", "is neither a file nor a folder on the controller"),
        ("both", "both version and version_file are given"),
        ("neither", "version is not given"),
        ("blank", "version is not given"),
    ],
)
def test_what_is_refused(name, words, done, folder):
    result = done[name]
    assert result["failed"] and not result["changed"] and words in result["msg"] and "\n" not in result["msg"], result
    assert result["error"]["step"] == "request" and result["error"]["side"] == "controller"
    assert not os.path.exists(os.path.join(folder, "store of " + name))


def test_the_role_has_it_too(play, module_site, folder, places):
    usual = {
        key: value for key, value in task_args(module_site, os.path.join(folder, "role")).items() if key != "version"
    }
    variables = {"terraform_binary_" + key: value for key, value in usual.items()}
    good = dict(ROLE, vars=dict(variables, terraform_binary_version_file=places["root"], terraform_binary_version=""))
    bad = {
        "block": [dict(ROLE, vars=dict(variables, terraform_binary_version_file=places["gone"]))],
        "rescue": [{"ansible.builtin.meta": "noop"}],
    }

    def show(name):
        return {"name": name, "ansible.builtin.debug": {"msg": "{{ ansible_facts['terraform_binary_result'] }}"}}

    run = play([good, show("good"), bad, show("bad")])
    assert run["good"]["msg"]["version"] == "1.13.3" and run["good"]["msg"]["failed"] is False, run.output
    assert run["bad"]["msg"]["failed"] is True and run["bad"]["msg"]["requested"] == places["gone"]


def test_a_relative_path_is_searched_beside_the_playbook_and_in_files(play, module_site, tmp_path):
    os.makedirs(str(tmp_path / "files" / "root"))
    (tmp_path / "files" / "root" / "main.tf").write_text(MAIN)
    task = {"name": "ask", MODULE: task_args(module_site, tmp_path / "store", version=None, version_file="root")}
    playbook = tmp_path / "play.yml"
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    result = play(str(playbook), check=True)["ask"]
    assert result["version"] == "1.13.4" and str(tmp_path / "files" / "root" / "main.tf") in result["steps"][0], result


def test_the_module_alone_does_not_guess(play, module_site, tmp_path, places):
    """Without the action plugin, as by a foreign name for the module, nobody has read the file."""
    library = tmp_path / "library"
    library.mkdir()
    source = os.path.join(play.collections, "ansible_collections", "iac_platform", "terraform", "plugins", "modules")
    os.symlink(os.path.join(source, "terraform_binary.py"), str(library / "alone.py"))
    options = task_args(module_site, tmp_path / "store", version=None, version_file=places["pinned"])
    run = play(
        [
            {
                "name": "ask",
                "alone": {key: value for key, value in options.items() if value is not None},
                "ignore_errors": True,
            }
        ],
        env={"ANSIBLE_LIBRARY": str(library)},
    )
    assert run["ask"]["failed"] and "version_file is read on the controller" in run["ask"]["msg"], run["ask"]
