#!/usr/bin/python
# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: terraform_binary_info
short_description: Report which Terraform binaries a host has, and whether they are intact
version_added: 0.1.0
author:
  - IaC Platform team (@iac-platform)
description:
  - Reports the versions that M(iac_platform.terraform.terraform_binary) installed below a base directory. For each of them it
    returns whether the binary still matches its receipt, who signed the release, and when and by which policy it was installed.
  - It also reports what else is below the base directory, whether only trusted users can change it, and where links point.
  - It never writes, needs no network, and starts no binary. What it may not read is a null with the reason, and not a failure,
    so that it also works for a user without privileges.
  - A receipt proves nothing against an attacker who became root on the host. Compare RV(versions[].sha256) of several hosts,
    with O(verify=full), to notice that.
requirements:
  - Python 3.6 or later on the target
attributes:
  action_group:
    description: Use C(group/iac_platform.terraform.terraform) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - iac_platform.terraform.terraform
  async:
    description: Supports the C(async) keyword.
    support: none
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    support: full
    details: It does the same in check mode.
  diff_mode:
    description: Returns details on what has changed, or would change, when in diff mode.
    support: N/A
    details: It changes nothing.
  facts:
    description: Action returns an C(ansible_facts) dictionary that will update existing host facts.
    support: none
  platform:
    description: Target operating systems that can be operated against.
    support: full
    platforms: posix
options:
  base_dir:  # target
    description:
      - The base directory, an absolute path on the target. If it does not exist, RV(versions) is empty.
    type: path
    default: /opt/iac-platform/terraform-binaries
  links:  # target
    description:
      - Absolute paths of symbolic links on the target. The module reports where each of them points. At most 100.
    type: list
    elements: path
    default: []
  owner:  # target
    description:
      - A user whose files are trusted, besides root and the user that Ansible works as. Give the O(owner) that was given to
        M(iac_platform.terraform.terraform_binary), as a name or a number. A user that the host does not know is ignored.
    type: str
  verify:  # target
    description:
      - How a binary is compared with its receipt.
      - V(receipt) compares size, modification time and inode. A binary that was copied or restored from a backup does not pass.
      - V(full) also hashes each binary. Times and inode do not count then.
    type: str
    choices: [receipt, full]
    default: receipt
notes:
  - Paths and names that a host returns can contain anything. A character that cannot be printed becomes C(?), and texts of
    more than 1000 characters are cut.
  - The module takes the lock of a version for an instant if that has temporary files, to see whether an installer holds it.
seealso:
  - module: iac_platform.terraform.terraform_binary
"""

EXAMPLES = r"""
- name: See which Terraform binaries a host has
  iac_platform.terraform.terraform_binary_info:
    links: [/usr/local/bin/terraform]
  register: terraform

- name: Fail if one of them is not intact, after hashing all
  iac_platform.terraform.terraform_binary_info:
    verify: full
  register: terraform
  failed_when: terraform.versions | rejectattr('intact') | length > 0

- name: Show what the link means
  ansible.builtin.debug:
    msg: "{{ terraform.links[0].path }} is Terraform {{ terraform.links[0].version }}"
"""

RETURN = r"""
base_dir:
  description: The base directory.
  returned: success
  type: str
  sample: /opt/iac-platform/terraform-binaries
base_dir_state:
  description: V(present), V(absent), or V(unreadable).
  returned: success
  type: str
  sample: present
base_dir_safe:
  description:
    - Whether only trusted users can change the base directory and the directories above it. Null if it is absent or cannot be
      read.
  returned: success
  type: bool
  sample: true
base_dir_reason:
  description: Why the base directory is not safe, is absent, or cannot be read. Null if it is safe.
  returned: success
  type: str
  sample: null
versions:
  description:
    - The versions below the base directory that have a receipt, the newest first. At most 200. Of a receipt that is not valid,
      all values are null.
  returned: success
  type: list
  elements: dict
  contains:
    version:
      description: The version, which is the name of its directory.
      type: str
      sample: 1.13.4
    path:
      description: Path of the binary.
      type: str
      sample: /opt/iac-platform/terraform-binaries/1.13.4/terraform
    intact:
      description:
        - Whether the binary is the one that its receipt describes, and only trusted users can write to it. Null if that cannot
          be seen.
      type: bool
    reason:
      description: Why it is not intact, or why that cannot be seen. Null if it is intact.
      type: str
      sample: null
    sha256:
      description:
        - SHA-256 of the binary. Hashed with O(verify=full), and otherwise what the receipt of an intact binary says. Null if it
          is not known.
      type: str
      sample: 268000fca5c61021c6396893d9483007ba589ad9d0aaccbd7dfa8c78bf7dbe23
    size:
      description: Size of the binary in bytes. Null if there is none.
      type: int
      sample: 90579096
    mode:
      description: Permissions of the binary.
      type: str
      sample: "0755"
    owner:
      description: Owner of the binary.
      type: str
      sample: root
    group:
      description: Group of the binary.
      type: str
      sample: root
    platform:
      description: Platform of the binary.
      type: str
      sample: linux_amd64
    policy:
      description: The policy that the archive met, see O(iac_platform.terraform.terraform_binary#module:checksum_policy).
      type: str
      sample: signature
    signer:
      description: Fingerprint of the signing key's primary key. Null without a signature.
      type: str
      sample: C874011F0AB405110D02105534365D9472D7468F
    signed_at:
      description: Time of the signature, in UTC.
      type: str
      sample: "2025-04-09T13:35:39Z"
    archive_sha256:
      description: SHA-256 of the archive that the binary came from.
      type: str
      sample: 1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc
    site:
      description: The site that the archive came from.
      type: str
      sample: https://releases.hashicorp.com
    run_check:
      description: The version that the binary reported when it was run after the installation. Null if it was not run.
      type: str
      sample: 1.13.4
    installed_at:
      description: Time of the installation, in UTC.
      type: str
      sample: "2025-11-30T09:55:00Z"
    collection:
      description: Version of the collection that installed it.
      type: str
      sample: 0.1.0
    receipt:
      description: The receipt. Null if it is not valid.
      type: dict
      contains:
        path:
          description: Path of the receipt.
          type: str
          sample: /opt/iac-platform/terraform-binaries/1.13.4/terraform.json
        format:
          description: Format of the receipt.
          type: int
          sample: 1
        sha256:
          description: SHA-256 that the binary has to have.
          type: str
          sample: 268000fca5c61021c6396893d9483007ba589ad9d0aaccbd7dfa8c78bf7dbe23
        size:
          description: Size that the binary has to have, in bytes.
          type: int
          sample: 90579096
        links:
          description: Links that were switched to this version, whether or not they still point to it. At most 10.
          type: list
          elements: str
          sample: [/usr/local/bin/terraform]
        base_dir_unsafe:
          description: What O(iac_platform.terraform.terraform_binary#module:allow_unsafe_base_dir) allowed. At most 10.
          type: list
          elements: str
          sample: []
unmanaged:
  description: What is below the base directory and was not made by the module, or has no receipt. At most 200.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Its path.
      type: str
      sample: /opt/iac-platform/terraform-binaries/notes.txt
    reason:
      description: What it is.
      type: str
      sample: a regular file of 12 bytes
stale_files:
  description:
    - Temporary files that an interrupted installation left. The next installation of that version removes them. At most 200.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Its path.
      type: str
      sample: /opt/iac-platform/terraform-binaries/1.13.4/.tmp.archive.x4kd9w2p
    size:
      description: Its size in bytes.
      type: int
      sample: 27843419
    held:
      description: False, or null if this user cannot see whether an installer still uses it.
      type: bool
locks:
  description: The lock files. They stay after an installation. At most 200.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Its path.
      type: str
      sample: /opt/iac-platform/terraform-binaries/.terraform-1.13.4.lock
    version:
      description: The version that it is for, or V(link).
      type: str
      sample: 1.13.4
    held:
      description: Whether another process holds it now. Null if this user cannot see that.
      type: bool
not_listed:
  description: Number of entries that the lists above leave out, because they would be too long.
  returned: success
  type: int
  sample: 0
links:
  description: Where each of O(links) points, in that order.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Its path.
      type: str
      sample: /usr/local/bin/terraform
    kind:
      description: V(link), V(absent), V(file), V(directory), or V(other). Null if it cannot be looked at.
      type: str
      sample: link
    target:
      description: What the link contains. Null if it is no link.
      type: str
      sample: /opt/iac-platform/terraform-binaries/1.13.4/terraform
    version:
      description: The version below O(base_dir) whose binary it leads to. Null if it leads elsewhere.
      type: str
      sample: 1.13.4
    below_base_dir:
      description: Whether it leads to something below O(base_dir).
      type: bool
    dangling:
      description: Whether its target does not exist. Null if that cannot be seen.
      type: bool
    safe:
      description: Whether only trusted users can switch it.
      type: bool
    reason:
      description: Why it is not safe, or why it cannot be looked at.
      type: str
      sample: null
msg:
  description: What there is, in one line.
  returned: always
  type: str
  sample: "2 versions below /opt/iac-platform/terraform-binaries, all intact: 1.13.4, 1.13.3"
error:
  description: What went wrong, as M(iac_platform.terraform.terraform_binary) returns it.
  returned: failure
  type: dict
"""

import platform

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.iac_platform.terraform.plugins.module_utils._argument_spec import INFO_SPEC
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import (
    TerraformBinaryError,
    printable,
    to_result,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._install.info import (
    parse_info_request,
    read_info,
)


def main() -> None:
    module = AnsibleModule(argument_spec=INFO_SPEC, supports_check_mode=True)
    try:
        module.exit_json(changed=False, **printable(read_info(parse_info_request(module.params))))
    except TerraformBinaryError as exc:
        module.fail_json(**to_result(exc, "target", platform.node()))


if __name__ == "__main__":
    main()
