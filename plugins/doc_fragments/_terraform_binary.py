# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plugins' documentation has in common."""


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  base_dir:  # target
    description:
      - The base directory, an absolute path on the target. Binaries are at C(<base_dir>/<version>/terraform). It is created if it
        does not exist.
      - Every directory on the way to it must belong to root, to the user that Ansible works as, or to O(owner). It must not be
        writable by others, because whoever can rename a directory can replace what is installed below it.
    type: path
    default: /opt/iac-platform/terraform-binaries
  allow_unsafe_base_dir:  # target
    description:
      - Warn about unsafe B(ancestors) of O(base_dir), and about an unsafe directory of O(link), instead of refusing them.
      - The warning is repeated in every run, and the receipt records it. The rules for the base directory itself still apply.
    type: bool
    default: false
"""

    ATTRIBUTES = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/iac_platform.terraform.terraform) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - iac_platform.terraform.terraform
  async:
    description: Supports the C(async) keyword.
    support: full
    details: With C(download=controller), the download is finished before the job starts.
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    support: full
    details: Downloads and verifies the SHA256SUMS of what would have to be installed. Creates nothing on the host.
  diff_mode:
    description: Returns details on what has changed, or would change, when in diff mode.
    support: full
  facts:
    description: Action returns an C(ansible_facts) dictionary that will update existing host facts.
    support: full
  platform:
    description: Target operating systems that can be operated against.
    support: full
    platforms: posix
"""
