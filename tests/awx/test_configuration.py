# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/awx.yml with the real modules of awx.awx against a stand-in for AWX's API; and without those modules.

TERRAFORM_BINARY_COLLECTIONS names a folder with ``ansible_collections/awx/awx`` in it, as the Python package ``ansible`` has it.
"""

import json
import os
import re
import subprocess
import sys

import pytest
from awx_rules import answered, refuse_answers
from stand_in import TOKEN, StandIn, playbooks_of

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
COLLECTIONS = os.environ.get("TERRAFORM_BINARY_COLLECTIONS", "")
FOREIGN = ("ANSIBLE_", "CONTROLLER_", "TOWER_")
GIVEN = {
    "awx_sites": "https://mirror.example.com/hashicorp",
    "awx_token": "SECRET-OF-MIRROR",
    "awx_ca": "-----BEGIN CERTIFICATE",
    "awx_credentials": "SSH key",
    "awx_inventory": "Production",
    "awx_image": "registry.example.com/ee:1",
    "awx_variables": {"terraform_binary_link": "/usr/local/bin/terraform"},
}


@pytest.fixture(scope="module")
def configure(checkout_as_collection, tmp_path_factory):
    """Run the playbook: callable(url, collections, **variables) -> (return code, output)."""
    folder = tmp_path_factory.mktemp("configure")
    (folder / "ansible.cfg").write_text("[defaults]\n")

    def run(url, collections, **variables):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        environment.update(
            ANSIBLE_COLLECTIONS_PATH=os.pathsep.join([checkout_as_collection] + collections),
            ANSIBLE_NOCOLOR="1",
            ANSIBLE_CONFIG=str(folder / "ansible.cfg"),
            ANSIBLE_HOME=str(folder / "home"),
            LC_ALL="C.UTF-8",
            CONTROLLER_HOST=url,
            CONTROLLER_OAUTH_TOKEN=TOKEN,
        )
        program = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
        done = subprocess.run(
            [program, "iac_platform.terraform.awx", "-e", json.dumps(variables)],
            env=environment,
            cwd=str(folder),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.returncode, done.stdout

    return run


def test_without_awx_awx_it_says_how_to_get_it(configure):
    status, output = configure("http://127.0.0.1:9", [])
    assert status == 2 and "install it with: ansible-galaxy collection install awx.awx" in " ".join(output.split()), (
        output
    )
    assert "couldn't resolve" not in output


def test_a_misspelt_variable_is_refused(configure):
    """It would take the inventory from templates that have one."""
    status, output = configure("http://127.0.0.1:9", [], awx_inventroy="Production")
    words = "awx_inventroy: no such variable of this playbook, which has awx_state, awx_organization, awx_inventory, "
    assert status == 2 and words in output and "add -i localhost," in output, output
    status, output = configure(
        "http://127.0.0.1:9", [], awx_job_id=1, awx_user_name="admin"
    )  # as AWX gives them to a job
    assert "no such variable" not in output and "The collection awx.awx is not installed here" in output, output


def changes(output):
    return int(re.search(r"changed=(\d+)", output)[1])


@pytest.fixture(scope="module")
def story(configure):
    """With everything set: made, made again, with nothing set but the demonstration, taken away, taken away again."""
    if not os.path.isdir(os.path.join(COLLECTIONS, "ansible_collections", "awx", "awx")):
        pytest.skip(
            "no ansible_collections/awx/awx in TERRAFORM_BINARY_COLLECTIONS=%s (make matrix fetches it)" % COLLECTIONS
        )
    runs, made = {}, {}
    with StandIn(CHECKOUT) as api:
        for name, variables in (
            ("made", GIVEN),
            ("again", GIVEN),
            ("absent", {"awx_state": "absent"}),
            ("gone", {"awx_state": "absent"}),
            ("demo", {"awx_demo": True}),
            ("demo again", {"awx_demo": True}),
        ):
            runs[name] = configure(api.url, [COLLECTIONS], **variables)
            assert runs[name][0] == 0, runs[name][1]
            made[name] = {kind: json.loads(json.dumps(api.named(kind))) for kind in api.things}
        runs["url"] = api.url
    return runs, made


def test_one_run_makes_everything_and_the_next_one_changes_nothing(story):
    runs, made = story
    assert changes(runs["made"][1]) == 6 and changes(runs["again"][1]) == 0 == changes(runs["demo again"][1])
    assert made["again"] == made["made"]


def test_absent_leaves_what_was_there_before(story):
    runs, made = story
    assert changes(runs["absent"][1]) == 6 and changes(runs["gone"][1]) == 0
    assert {name for things in made["gone"].values() for name in things} == {
        "Default",
        "Ansible Galaxy",
        "Production",
        "SSH key",
    }


def test_it_prints_the_addresses(story):
    runs, made = story
    for kind in ("job_template", "workflow_job_template"):
        for name, thing in made["made"][kind + "s"].items():
            assert "%s: %s/#/templates/%s/%d" % (name, runs["url"], kind, thing["id"]) in runs["made"][1]


def test_secrets_are_not_shown(story):
    assert "SECRET" not in "".join(run[1] for run in story[0].values() if isinstance(run, tuple))


def test_the_type_of_credential_has_the_templates_of_awx(story):
    injectors = story[1]["made"]["credential_types"]["Terraform release site"]["injectors"]
    assert injectors == {
        "env": {
            "TERRAFORM_BINARY_SITES": "{{ sites }}",
            "TERRAFORM_BINARY_TOKEN": "{{ token }}",
            "REQUESTS_CA_BUNDLE": "{% if ca %}{{ tower.filename.ca }}{% endif %}",
        },
        "file": {"template.ca": "{{ ca }}"},
    }


def test_templates_have_what_was_given(story):
    made = story[1]["made"]
    ids = {
        name: made[kind][name]["id"]
        for kind, name in (
            ("credentials", "SSH key"),
            ("credentials", "Terraform mirror"),
            ("inventories", "Production"),
            ("projects", "Terraform binaries"),
            ("execution_environments", "Terraform"),
        )
    }
    assert set(made["job_templates"]) == {"Terraform: install", "Terraform: audit", "Terraform: remove"}
    for template in made["job_templates"].values():
        assert set(template["_linked"]["credentials"]) == {ids["SSH key"], ids["Terraform mirror"]}
        assert (template["inventory"], template["project"], template["execution_environment"]) == (
            ids["Production"],
            ids["Terraform binaries"],
            ids["Terraform"],
        )
        assert json.loads(template["extra_vars"]) == {
            "terraform_binary_report": True,
            "terraform_binary_link": "/usr/local/bin/terraform",
        }
        assert all(
            template[name] is True
            for name in (
                "use_fact_cache",
                "diff_mode",
                "become_enabled",
                "survey_enabled",
                "ask_limit_on_launch",
                "ask_verbosity_on_launch",
                "ask_job_slice_count_on_launch",
            )
        )
        assert template["ask_job_type_on_launch"] is (template["name"] == "Terraform: install")
    assert made["credentials"]["Terraform mirror"]["inputs"] == {
        "sites": GIVEN["awx_sites"],
        "token": GIVEN["awx_token"],
        "ca": GIVEN["awx_ca"],
    }


def test_without_an_inventory_each_launch_asks_and_the_demonstration_brings_one(story):
    made = story[1]["demo"]
    (host,) = made["hosts"].values()
    interpreter = json.loads(host["variables"])["ansible_python_interpreter"]
    assert host["name"] == "localhost" and interpreter == "{{ ansible_playbook_python }}"
    inventory = made["inventories"]["Terraform demo"]["id"]
    assert {template["inventory"] for template in made["job_templates"].values()} == {inventory}
    assert "Terraform mirror" not in made["credentials"] and not made["execution_environments"]


def test_the_workflow_installs_where_an_audit_fails_and_audits_again(story):
    made = story[1]["made"]
    nodes = {node["identifier"]: node for node in made["workflow_job_template_nodes"].values()}
    names = {template["id"]: name for name, template in made["job_templates"].items()}
    assert {identifier: names[node["unified_job_template"]] for identifier, node in nodes.items()} == {
        "audit": "Terraform: audit",
        "install": "Terraform: install",
        "audit again": "Terraform: audit",
    }
    assert nodes["audit"]["_linked"] == {"failure_nodes": [nodes["install"]["id"]]}
    assert nodes["install"]["_linked"] == {"success_nodes": [nodes["audit again"]["id"]]}


def test_the_files_are_what_the_playbook_posts(story):
    """files/awx-survey.json for people who click, files/awx.json for ``awx import``."""
    made = story[1]["made"]
    with open(os.path.join(CHECKOUT, "files", "awx-survey.json"), encoding="utf-8") as file:
        assert json.load(file) == made["job_templates"]["Terraform: install"]["_survey"]
    with open(os.path.join(CHECKOUT, "files", "awx.json"), encoding="utf-8") as file:
        exported = json.load(file)
    for kind in ("job_templates", "workflow_job_templates"):
        assert {one["name"]: one["related"]["survey_spec"] for one in exported[kind]} == {
            name: thing["_survey"] for name, thing in made[kind].items()
        }
    (credential_type,) = exported["credential_types"]
    assert {key: credential_type[key] for key in ("inputs", "injectors", "kind")} == {
        key: made["credential_types"]["Terraform release site"][key] for key in ("inputs", "injectors", "kind")
    }


def test_a_launch_may_answer_nothing(story):
    for template in story[1]["made"]["job_templates"].values():
        assert refuse_answers(template["_survey"], {}) == ()
    assert answered(story[1]["made"]["job_templates"]["Terraform: remove"]["_survey"], {}) == {
        "terraform_binary_version": ""
    }


def test_awx_lists_the_playbooks_and_no_files_of_tasks():
    assert set(playbooks_of(CHECKOUT)) >= {"playbooks/%s.yml" % name for name in ("install", "audit", "remove", "awx")}
    assert not [name for name in playbooks_of(CHECKOUT) if "/tasks/" in name or "/vars/" in name]
