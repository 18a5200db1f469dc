# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository as a project: what its update installs, and what is in it for execution environments."""

import filecmp
import os
import subprocess

import pytest
import yaml
from jobs import BIN

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
PLACE = os.path.join("ansible_collections", "iac_platform", "terraform")


def test_an_update_installs_the_checkout_itself(jobs):
    installed = os.path.join(jobs.collections, PLACE)
    for folder in ("plugins", "playbooks", "roles", "meta", "files"):
        compared = filecmp.dircmp(
            os.path.join(CHECKOUT, folder), os.path.join(installed, folder), ignore=["__pycache__"]
        )
        assert not compared.left_only and not compared.right_only and not compared.diff_files, (folder, vars(compared))
    assert not [
        name
        for name in ("collections", ".ci", ".git", "build", "dist")
        if os.path.exists(os.path.join(installed, name))
    ]


def builder(*arguments):
    """What ansible-builder prints."""
    program = os.path.join(BIN, "ansible-builder")
    if not os.path.exists(program):
        pytest.skip("there is no %s" % program)
    done = subprocess.run(
        [program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_an_execution_environment_needs_requests_and_nothing_of_the_system(jobs):
    reported = yaml.safe_load(builder("introspect", jobs.collections))
    assert reported == {"python": ["requests  # from collection iac_platform.terraform"], "system": []}


def test_the_example_of_an_execution_environment_can_be_built(tmp_path):
    example = os.path.join(CHECKOUT, "execution-environment.yml")
    builder("create", "-f", example, "-c", str(tmp_path), "--output-filename", "Containerfile")
    text = (tmp_path / "Containerfile").read_text(encoding="utf-8")
    assert "ARG EE_BASE_IMAGE=" in text and "FROM $EE_BASE_IMAGE" in text  # for --build-arg
    (baked,) = [line for line in text.splitlines() if "install_localhost" in line]
    assert baked.startswith(
        "RUN ansible-playbook iac_platform.terraform.install_localhost -e terraform_binary_version="
    )
    assert text.index("AS final") < text.index(baked)
    assert "ansible-collection-terraform.git" in (tmp_path / "_build" / "requirements.yml").read_text(encoding="utf-8")


def test_what_is_pinned_is_this_release():
    with open(os.path.join(CHECKOUT, "galaxy.yml"), encoding="utf-8") as file:
        galaxy = yaml.safe_load(file)
    with open(os.path.join(CHECKOUT, "execution-environment.yml"), encoding="utf-8") as file:
        (source,) = yaml.safe_load(file)["dependencies"]["galaxy"]["collections"]
    with open(os.path.join(CHECKOUT, "playbooks", "awx.yml"), encoding="utf-8") as file:
        (play,) = yaml.safe_load(file)
    assert source["version"] == play["vars"]["awx_project_branch"] == galaxy["version"]
    assert source["name"] == play["vars"]["awx_project_url"] == galaxy["repository"] + ".git"
