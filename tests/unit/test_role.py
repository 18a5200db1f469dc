# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's documentation repeats the module's options by name: keeps them together, and keeps AWX's surveys in mind."""

import functools
import json
import os

import pytest
from ansible_collections.iac_platform.terraform.plugins.module_utils._argument_spec import SPEC

yaml = pytest.importorskip("yaml")

ROLE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "roles", "terraform_binary")


@functools.lru_cache(maxsize=None)
def read(*path):
    with open(os.path.join(ROLE, *path), "rb") as file:
        return yaml.safe_load(file)


def test_every_option_is_documented():
    options = read("meta", "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert set(options) == set("terraform_binary_" + option for option in [*SPEC, "report"])


@pytest.mark.parametrize("option", sorted(SPEC))
def test_the_documentation_names_the_default(option):
    documented = read("meta", "argument_specs.yml")["argument_specs"]["main"]["options"]["terraform_binary_" + option]
    default = SPEC[option].get("default")
    if isinstance(default, list):
        (default,) = default
    if isinstance(default, bool):
        default = str(default).lower()
    stated = [line for line in documented["description"] if line.startswith("Default: V(")]
    assert stated == ([] if default is None else ["Default: V(%s)." % default])


@pytest.mark.parametrize("option", sorted(SPEC))
def test_no_option_refuses_the_blank_answer_of_a_survey(option):
    documented = read("meta", "argument_specs.yml")["argument_specs"]["main"]["options"]["terraform_binary_" + option]
    assert documented["type"] in ("str", "path", "list", "raw"), "blank text is no %s" % documented["type"]
    assert not set(documented) & {"choices", "default", "required"}, "these refuse null"


def test_the_survey_offers_what_the_options_accept():
    """It asks for a few of them; the questions are in playbooks/vars/awx.yml, since they have words of their own."""
    with open(os.path.join(ROLE, "..", "..", "files", "awx-survey.json"), "rb") as file:
        questions = json.loads(file.read().decode("utf-8"))["spec"]
    for question in questions:
        spec = SPEC[question["variable"][len("terraform_binary_") :]]
        if question["choices"]:
            assert question["choices"] == spec.get("choices", ["true", "false"])
            assert question["default"] == str(spec["default"]).lower()


def test_nothing_has_a_default_in_the_role():
    assert read("defaults", "main.yml") == {}
