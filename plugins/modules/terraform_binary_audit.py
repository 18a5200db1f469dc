#!/usr/bin/python
# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: terraform_binary_audit
short_description: Write a report on the Terraform binaries of all hosts of a play
version_added: 0.1.0
author:
  - IaC Platform team (@iac-platform)
description:
  - Judges what M(iac_platform.terraform.terraform_binary_info) and a run of M(iac_platform.terraform.terraform_binary) in check
    mode returned for each host of the play, and writes a report. The entry point C(audit) of the role
    P(iac_platform.terraform.terraform_binary#role) uses it, and registers the variables that it reads.
  - It runs on the controller and contacts no host. Use it with C(run_once).
attributes:
  async:
    description: Supports the C(async) keyword.
    support: none
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    support: full
    details: It writes no files in check mode.
  diff_mode:
    description: Returns details on what has changed, or would change, when in diff mode.
    support: none
  facts:
    description: Action returns an C(ansible_facts) dictionary that will update existing host facts.
    support: none
  platform:
    description: Target operating systems that can be operated against.
    support: full
    platforms: posix
options:
  dest:
    description:
      - A directory on the controller, which is created if it does not exist. A relative path is relative to the playbook, and
        with the playbook C(iac_platform.terraform.audit) to the working directory.
      - The files in it are C(terraform-audit.html), C(terraform-audit.json), and C(terraform-audit.csv).
      - Without it, nothing is written.
    type: path
notes:
  - The files do not count as a change, so RV(ignore:changed) is always false.
  - The HTML file loads nothing, and works without JavaScript except for sorting, filtering, and the choice of colours.
  - The format of the JSON file is described by C(roles/terraform_binary/files/terraform-audit.schema.json).
seealso:
  - module: iac_platform.terraform.terraform_binary_info
"""

EXAMPLES = r"""
- name: Look at all hosts, and write a report
  hosts: all
  gather_facts: false
  tasks:
    - name: Audit
      ansible.builtin.include_role:
        name: iac_platform.terraform.terraform_binary
        tasks_from: audit
      vars:
        terraform_binary_version: "~> 1.13.0"
        terraform_binary_audit_dest: reports
"""

RETURN = r"""
totals:
  description: Number of hosts, in all and by status.
  returned: success
  type: dict
  sample: {"hosts": 3, "ok": 1, "notice": 0, "problem": 1, "unreachable": 1}
problems:
  description: What is wrong with each host that has a problem, or cannot be reached. At most five lines for each.
  returned: success
  type: dict
  sample: {"web1": ["1.13.4 is not intact: /opt/iac-platform/terraform-binaries/1.13.4/terraform is missing"]}
paths:
  description: The files that were written.
  returned: success
  type: list
  elements: str
  sample: ["/srv/reports/terraform-audit.html", "/srv/reports/terraform-audit.json", "/srv/reports/terraform-audit.csv"]
msg:
  description: The totals in one line.
  returned: always
  type: str
  sample: "3 hosts: 1 ok, 0 with notices, 1 with problems, 1 unreachable; see /srv/reports/terraform-audit.html"
error:
  description: What went wrong, as M(iac_platform.terraform.terraform_binary) returns it.
  returned: failure
  type: dict
"""
