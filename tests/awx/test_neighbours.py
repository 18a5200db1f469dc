# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that run Terraform, with the genuine binary that the job has installed just before."""

import json
import os

import pytest

COLLECTIONS = os.environ.get("TERRAFORM_BINARY_COLLECTIONS", "")
VERSION = "1.11.4"
CONFIGURATION = """\
resource "terraform_data" "greeting" { input = "hello" }
output "greeting" { value = terraform_data.greeting.output }
"""
PLAY = """\
- hosts: all
  gather_facts: false
  roles:
    - role: iac_platform.terraform.terraform_binary
- hosts: all
  gather_facts: false
  module_defaults:
    {module}:
      binary_path: "{{{{ ansible_facts['terraform_binary_result'].path }}}}"
  tasks:
    - name: Apply
      {module}:
        project_path: {project}
        force_init: true
"""


@pytest.mark.parametrize("module", ["community.general.terraform", "cloud.terraform.terraform"])
def test_what_we_installed_applies_a_configuration(module, jobs, folder, genuine_site):
    namespace, name, plugin = module.split(".")
    if not COLLECTIONS or not os.path.exists(
        os.path.join(COLLECTIONS, "ansible_collections", namespace, name, "plugins", "modules", plugin + ".py")
    ):
        pytest.skip("no %s in TERRAFORM_BINARY_COLLECTIONS=%s" % (module, COLLECTIONS))
    project = os.path.join(folder, module)
    os.mkdir(project)
    with open(os.path.join(project, "main.tf"), "w", encoding="ascii") as file:
        file.write(CONFIGURATION)
    own = {"playbooks/apply.yml": PLAY.format(module=module, project=project)}
    applied = [
        jobs.run(
            "apply",
            answers={"terraform_binary_version": VERSION},
            hosts={"builder": {}},
            own=own,
            collections=COLLECTIONS,
            template={
                "terraform_binary_base_dir": folder + "/store",
                "terraform_binary_sites": ["file://" + genuine_site],
            },
        )
        for _again in range(2)
    ]
    for job, changed in zip(applied, (True, False)):
        assert job.status == "successful", job.output
        result = job.results("Apply")["builder"]
        assert result["changed"] is changed and result["outputs"]["greeting"]["value"] == "hello", result
        assert result["command"].startswith("%s/store/%s/terraform " % (folder, VERSION))
    with open(os.path.join(project, "terraform.tfstate"), encoding="utf-8") as file:
        assert json.load(file)["terraform_version"] == VERSION
