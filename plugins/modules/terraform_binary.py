#!/usr/bin/python
# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: terraform_binary
short_description: Put a verified Terraform binary on a host
version_added: 0.1.0
author:
  - IaC Platform team (@iac-platform)
description:
  - Installs one version of Terraform below a base directory, so that it is never half there, never unverified and never
    in a race. The archive must match a C(SHA256SUMS) that carries a good signature by a trusted key, the binary is
    written to a temporary file, synced and read back before it is renamed into place, and installers on one host take
    turns by a kernel lock.
  - An installed binary is hashed in every run and compared with its receipt; what is damaged is replaced.
  - The controller downloads a release once for all hosts of a play and pushes it to those that need it; each host verifies
    all of it again. A host needs Python and nothing else, neither a network nor C(requests), C(unzip) or C(gpg).
  - There is no fallback from one platform to another, no list of versions in one call (use a loop), and netrc files are
    not read.
extends_documentation_fragment:
  - iac_platform.terraform._terraform_binary
  - iac_platform.terraform._terraform_binary.attributes
requirements:
  - Python 3.6 or later on the target
  - the Python package C(requests) on the side that downloads, unless O(archive) is given or all O(sites) are C(file) URLs
options:
  version:
    description:
      - An exact version, such as V(1.13.4), a leading C(v) is dropped; or V(latest), the newest final release; or a
        constraint as in Terraform, such as V(~> 1.13.0), V(>= 1.9, < 2.0), V(= 1.10). Always in quotes. V(all) is for
        O(state=absent), see there.
      - Either this or O(version_file) is required, also for O(state=absent).
      - V(latest) and constraints choose the newest of what the first of O(sites) with a match lists for O(platform), and of
        the versions that are installed and intact. So no site can roll a host back; one that is behind gets a warning.
        The result says in RV(version) what was chosen. An exact version, and a constraint with C(=), needs no index.
      - The operators are C(=), C(!=), C(>), C(>=), C(<), C(<=) and C(~>), with commas between for "and", with the meaning
        that L(hashicorp/go-version,https://github.com/hashicorp/go-version) gives them. V(~> 1.9) is C(>= 1.9.0, < 2.0.0),
        V(~> 1.9.0) is C(>= 1.9.0, < 1.10.0), and V(~> 1) has no upper end.
      - Pre-releases are never chosen, except by a constraint with a pre-release in it, and then only those of the same
        three numbers, as with V(>= 1.14.0-alpha1).
      - A bare C(X) or C(X.Y), as number or text, is refused, since an unquoted C(1.10) reaches a module as C(1.1).
      - Blanks around a version, and around the parts of a constraint, mean nothing. Blank and null count as not given.
    type: str
  version_file:
    description:
      - A file or folder on the controller that says which version, in place of O(version). Relative paths are searched as
        M(ansible.builtin.copy) does its C(src).
      - A file is read as a C(.terraform-version). Its first line that is neither blank nor a comment (C(#)) is an exact
        version, V(latest) or a constraint; a bare C(1.10) means C(= 1.10.0). Words of tfenv such as C(latest:regex) or
        C(min-required) are refused, with the line to write instead.
      - A folder is read as a Terraform root module. The C(required_version) of all C(terraform) blocks in its C(.tf) and
        C(.tf.json) files have to hold together; those of an override file replace the others. What Terraform
        refuses to read is an error with file and line, and so is a C(required_version) that would have to be computed. Which
        blocks and arguments Terraform knows is not asked, but for arguments outside of all blocks.
      - Links below the folder that lead out of it are refused. Messages quote at most 20 characters of a file, and only of
        what could be a version.
    type: str
  state:
    description:
      - V(present) installs, repairs and links; V(absent) removes the binary, its receipt, and O(link) if it points to it.
      - With a constraint, V(absent) removes all installed versions that match, one after the other, or none when one of
        them may not go; no match changes nothing. V(latest) cannot be removed. What a constraint passes over, such as
        pre-releases, is named in RV(steps).
      - With V(all) as O(version), V(absent) removes everything that this module made below O(base_dir), that is all
        versions, also pre-releases, their left-overs and lock files, and O(base_dir) itself once it is empty. What is not
        of this module, and a lock that another process holds, stays and is named in RV(msg).
      - A binary without a receipt was not installed by this module and is not removed by it. A version that another
        link still points to is not removed.
    type: str
    choices: [present, absent]
    default: present
  checksum_policy:
    description:
      - V(signature) demands a good signature on C(SHA256SUMS) by one of O(trusted_keys), and the archive must match it.
      - V(sha256sums) trusts the C(SHA256SUMS) of the site without a signature. It guards against accidents, not against
        the site, and is refused over plain http and with O(validate_certs=false) unless O(checksum) is given. Plain http
        to the host itself is taken on Linux, where root or the user who downloads listens on that port. C(file) URLs and
        O(archive) are refused as well where others could write the files, or a directory on the way to them.
      - V(pinned) lets O(checksum) alone decide, which takes an exact version.
      - An installed binary that was verified by a weaker policy is verified anew.
    type: str
    choices: [signature, sha256sums, pinned]
    default: signature
  checksum:
    description:
      - SHA-256 of the archive, as 64 hex digits, as C(sha256:<hex>), or as lines of a C(SHA256SUMS) of which the one for
        O(platform) is used.
      - Whenever it is given it must match, whatever the policy.
    type: str
  trusted_keys:
    description:
      - OpenPGP public keys in armor, or paths of such files on the controller, to be trusted in place of the built-in key
        of HashiCorp (primary fingerprint C874011F0AB405110D02105534365D9472D7468F).
      - A file that C(ansible-vault) encrypted is decrypted.
      - An empty list counts as not given.
    type: list
    elements: str
  sites:
    description:
      - Where releases are, tried in order. Each is the root of a tree with the layout of the public site,
        C(<site>/terraform/<version>/terraform_<version>_SHA256SUMS) and so on, by C(https), C(http) or C(file) URL.
      - The next one is tried when one cannot be reached or lacks the release; a wrong digest or signature stops the run.
      - A URL with a user name or password in it is refused.
      - When it is not given, the controller's environment variable E(TERRAFORM_BINARY_SITES) is looked at, URLs with blanks
        between them. It belongs together with E(TERRAFORM_BINARY_TOKEN), see O(url_token).
    type: list
    elements: str
    default: ["https://releases.hashicorp.com"]
  download:
    description:
      - Which side is to download, and is meant by C(file) URLs in O(sites).
      - With V(controller) the module first looks in check mode on the host. Where nothing is to be fetched that is all, or is
        followed by the change. Otherwise the controller obtains the release, once per version and platform for the whole
        play, and pushes the archive with its C(SHA256SUMS) and signature; the host repeats the verification. Every host's own
        policy, keys and credentials decide on the controller, too. Only bytes are shared.
      - A download that failed is not tried again for the other hosts of the run.
      - Proxies are taken from the E(https_proxy) and its like of the task's C(environment) and of the controller's process.
        Loopback is always asked directly.
      - With V(target) each host fetches for itself, and needs C(requests) and a way to the site.
    type: str
    choices: [controller, target]
    default: controller
  archive:
    description:
      - Path of an archive that is on the target already; no site is asked, so it takes an exact version.
      - Beside it lie C(terraform_<version>_SHA256SUMS) and C(terraform_<version>_SHA256SUMS.sig), or the signature with
        the key's id in its name, as sites have it. O(checksum_policy=signature)
        needs both, O(checksum_policy=sha256sums) the first, O(checksum_policy=pinned) neither.
    type: path
  origin:
    description:
      - What the receipt names as the source of O(archive). Informational.
      - Whoever knows it has fetched the archive from there, so that a warning about a key that has expired since is not
        repeated.
    type: str
  platform:
    description:
      - Platform of the binary, such as V(linux_amd64). Detected on the target when not given.
      - One base directory holds one platform of a version.
      - A version without a build for it is passed over by V(latest) and by constraints, and an error when it is asked for
        exactly.
    type: str
  offline_ok:
    description:
      - When no site can be asked, let a constraint choose among the versions that are installed and intact, with a
        warning. V(latest) fails all the same.
    type: bool
    default: false
  link:
    description:
      - A symbolic link to switch to this version in one step, such as V(/usr/local/bin/terraform). Its directory is created.
      - Anything but a link in its place is refused unless O(link_force=true). A directory is always refused, also by another
        name.
      - A link to a binary for another O(platform) than the host's is refused unless O(run_check=false).
    type: path
  link_force:
    description: Replace a regular file in the place of O(link). Its size and digest are shown in the diff.
    type: bool
    default: false
  backup:
    description:
      - Keep the file that O(link_force) replaces beside it, as C(<name>.<pid>.<date>~), which is how M(ansible.builtin.copy)
        names it.
      - Links that are switched are not kept.
    type: bool
    default: false
  owner:
    description: Owner of the binary, a name or uid. Left as it is created when not given.
    type: str
  group:
    description: Group of the binary, a name or gid. Left as it is created when not given.
    type: str
  mode:
    description:
      - Permission bits of the binary in octal, in quotes.
      - Setuid, setgid and sticky bits are refused, and so are write bits for group and others, since a binary that others
        may rewrite does not stay verified.
    type: raw
    default: "0755"
  seuser:
    description: SELinux user of the binary. The policy's default when not given.
    type: str
  serole:
    description: SELinux role of the binary. The policy's default when not given.
    type: str
  setype:
    description: SELinux type of the binary. The policy's default when not given.
    type: str
  selevel:
    description: SELinux level of the binary. The policy's default when not given.
    type: str
  verify:
    description:
      - How an installed binary is judged. V(full) hashes it in every run.
      - V(receipt) compares size, mode, owner, modification time and inode with the receipt and hashes only when they differ.
    type: str
    choices: [full, receipt]
    default: full
  run_check:
    description:
      - Run the binary (C(version -json), in a clean environment) after an install or repair and before O(link) moves.
        When it fails the link stays where it was.
      - Root runs it as the O(owner) of the binary. Time, memory, output and processes are limited.
      - Skipped for a platform that is not the host's. RV(steps) tells when it is skipped.
    type: bool
    default: true
  url_username:
    description:
      - User for HTTP basic authentication at O(sites).
      - Credentials (this one, O(url_password), O(url_token), O(url_headers) and O(client_cert)) are shown to those O(sites)
        that the task names, below their paths, and to nobody else. A redirect that leaves the site's scheme, host, port or
        path loses them, also when it leads to another of O(sites) or comes back. The public site does not get them, nor does
        a site with plain C(http) unless it is on this machine. Credentials that none of the sites would be shown are refused.
    type: str
  url_password:
    description: Password that goes with O(url_username).
    type: str
  url_token:
    description:
      - Token that O(sites) are shown as C(Authorization), C(Bearer). Not together with O(url_username).
      - When neither is given, the controller's environment variable E(TERRAFORM_BINARY_TOKEN) is looked at. It goes only to
        the sites in E(TERRAFORM_BINARY_SITES), and is refused together with O(sites) or without that variable. Put the two
        into one AWX credential.
    type: str
  url_headers:
    description:
      - Further headers for O(sites), such as C(X-JFrog-Art-Api). They count as credentials, see O(url_username).
      - Values of 8 characters or more are kept out of all output; masking shorter ones would mangle every path.
      - Headers on which a download depends (C(Range), C(Accept-Encoding), C(Host) and the like) are refused.
    type: dict
    aliases: [headers]
  ca_path:
    description:
      - A PEM file of certificate authorities, or a directory of them as C(openssl rehash) leaves it, to trust for C(https).
      - Without it the environment's E(REQUESTS_CA_BUNDLE) or E(SSL_CERT_FILE) decides, and without those the system's store
        together with the authorities that come with C(requests). The first of these that is given stands alone.
      - With O(download=controller), O(ca_path), O(client_cert) and O(client_key) are files of the controller, found as C(copy)
        finds its C(src), and decrypted where C(ansible-vault) encrypted them. Otherwise they are absolute paths on the target.
    type: path
  client_cert:
    description: A PEM file with the client certificate to show to O(sites), and with its key unless O(client_key) has that.
    type: path
  client_key:
    description: A PEM file with the private key of O(client_cert), without a pass phrase.
    type: path
  validate_certs:
    description:
      - V(false) accepts any certificate. The signature of the release is verified all the same.
      - Refused for the public site, and together with O(checksum_policy=sha256sums) unless O(checksum) is given.
    type: bool
    default: true
  use_proxy:
    description:
      - V(false) ignores the proxies that the environment names in E(https_proxy), E(http_proxy), E(all_proxy) and E(no_proxy).
    type: bool
    default: true
  http_agent:
    description: What O(sites) get as C(User-Agent).
    type: str
    default: iac_platform.terraform/0.1.0
  timeout:
    description: Seconds without a byte after which a download is given up.
    type: int
    default: 30
  retries:
    description:
      - How often one download is tried, at least 1. It ends after 30 minutes or below 1 KiB/s for 30 seconds in any case.
    type: int
    default: 4
  lock_timeout:
    description: Seconds to wait for another installer of the same version.
    type: int
    default: 2000
  cache_dir:
    description:
      - With O(download=controller), a directory on the controller that keeps archives between runs, with the C(SHA256SUMS) and
        signatures that belong to them. Without it a download is kept for the run only, below Ansible's local temporary
        directory.
      - An absolute path; it is created when missing, with mode 0700. One that others can write to is refused.
      - What is kept is verified anew whenever it is used, and replaced when it is damaged. Several runs may share it. What
        does not look as this module writes it stays.
    type: path
  cache_keep:
    description: How many archives O(cache_dir) may hold. Those that were used last stay.
    type: int
    default: 3
  progress:
    description:
      - With O(download=controller), show lines about a download that takes longer than two seconds, with size and rate, one
        for each quarter or each ten seconds at most, and one for each host that waits for it. They appear at once in a
        terminal and among the events of ansible-runner and AWX.
      - Check mode shows none.
    type: bool
    default: true
notes:
  - In check mode, what a task before this one would have made is a warning, and C(changed) is true - an O(owner) or O(group)
    that is not known, an O(archive) or a file beside it that is not there, C(requests) missing on a host that downloads. Return
    values that cannot be known then are null.
  - What can be seen to keep a host from taking a release is an error in check mode, too, and before anything is fetched or
    sent for it - missing rights, mounts that are read-only or noexec, and too little space, 100 MB where the size is not known.
  - In the background (C(async)) the controller's part is done before the job starts, so that a download counts neither for
    the job's time limit nor in its result. Such a result has no C(controller) lines in RV(steps), and RV(downloaded_bytes) is 0.
  - The binary is at C(<base_dir>/<version>/terraform), its receipt beside it in C(terraform.json).
  - The lock files C(.terraform-*.lock) in O(base_dir) stay, and go with O(version=all) only. Removing one by hand while an
    installer runs lets two run at once.
seealso:
  - name: Decisions and their reasons
    description: Why the collection verifies signatures and writes files by itself.
    link: https://github.com/iac-platform/ansible-collection-terraform/tree/main/docs/decisions
"""

EXAMPLES = r"""
- name: Terraform 1.13.4, verified, as /usr/local/bin/terraform
  iac_platform.terraform.terraform_binary:
    version: "1.13.4"
    link: /usr/local/bin/terraform

- name: The newest patch release of 1.13
  iac_platform.terraform.terraform_binary:
    version: "~> 1.13.0"
    link: /usr/local/bin/terraform

- name: What the root module requires, with what is installed as the answer while no site can be reached
  iac_platform.terraform.terraform_binary:
    version_file: "{{ playbook_dir }}/infrastructure"
    offline_ok: true

- name: Remove all versions before 1.10
  iac_platform.terraform.terraform_binary:
    version: "< 1.10"
    state: absent

- name: Remove everything, with the lock files and the base directory
  iac_platform.terraform.terraform_binary:
    version: all
    state: absent
    link: /usr/local/bin/terraform

- name: From a mirror, with the public site behind it
  iac_platform.terraform.terraform_binary:
    version: "1.13.4"
    sites:
      - https://mirror.example.com/hashicorp
      - https://releases.hashicorp.com

- name: From a mirror with a private CA that wants a token
  iac_platform.terraform.terraform_binary:
    version: "1.13.4"
    sites: ["https://artifacts.example.com/hashicorp"]
    url_token: "{{ artifacts_token }}"
    ca_path: /etc/pki/ca-trust/source/anchors/example.pem

- name: On a host without a network, from files copied there before
  iac_platform.terraform.terraform_binary:
    version: "1.13.4"
    archive: /srv/incoming/terraform_1.13.4_linux_amd64.zip

- name: Pinned to one archive, whoever signed it
  iac_platform.terraform.terraform_binary:
    version: "1.11.4"
    checksum_policy: pinned
    checksum: sha256:1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc

- name: Wire it into cloud.terraform
  module_defaults:
    group/cloud.terraform.terraform:
      binary_path: "{{ ansible_facts['terraform_binary_result']['path'] }}"
  block:
    - name: Apply
      cloud.terraform.terraform:
        project_path: /srv/project

- name: Remove an old version
  iac_platform.terraform.terraform_binary:
    version: "1.9.8"
    state: absent
"""

RETURN = r"""
version:
  description:
    - The exact version, without a leading C(v).
    - Of a removal by constraint the newest that was removed; null when none matched. RV(path) goes with it.
  returned: success
  type: str
  sample: 1.13.4
requested:
  description: The version as it was asked for, or as O(version_file) has it.
  returned: success
  type: str
  sample: "~> 1.13.0"
path:
  description: Path of the binary, also in check mode and when it was removed.
  returned: success
  type: str
  sample: /opt/iac-platform/terraform-binaries/1.13.4/terraform
link:
  description: Path of the link that was asked for.
  returned: success
  type: str
  sample: /usr/local/bin/terraform
previous_version:
  description: The version that the link meant before; null when it meant none, or when that was not looked at.
  returned: always
  type: str
  sample: 1.13.3
base_dir:
  description: The store.
  returned: success
  type: str
  sample: /opt/iac-platform/terraform-binaries
platform:
  description: Platform of the binary.
  returned: success
  type: str
  sample: linux_amd64
binary_sha256:
  description: SHA-256 of the binary; null when it is not known yet (check mode) or absent.
  returned: success
  type: str
  sample: 268000fca5c61021c6396893d9483007ba589ad9d0aaccbd7dfa8c78bf7dbe23
archive_sha256:
  description: SHA-256 of the archive it came from; null when it is not known.
  returned: success
  type: str
  sample: 1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc
size:
  description: Size of the binary in bytes; null when it is not known.
  returned: success
  type: int
  sample: 90579096
verification:
  description: How the archive was verified; null when nothing is installed.
  returned: success
  type: dict
  contains:
    policy:
      description: The policy that it met.
      type: str
      sample: signature
    signer:
      description: Fingerprint of the signing key's primary; null without a signature.
      type: str
      sample: C874011F0AB405110D02105534365D9472D7468F
    signed_at:
      description: When the signature was made, in UTC.
      type: str
      sample: "2025-04-09T13:35:39Z"
    site:
      description: The site that it was obtained from, or the O(origin) of a given archive.
      type: str
      sample: https://releases.hashicorp.com
downloaded_bytes:
  description:
    - Bytes that came over the network for this host. With O(download=controller), those of the download that this host
      caused, and 0 for the hosts that found it done.
  returned: success
  type: int
  sample: 27843419
needs_archive:
  description:
    - Whether something had, or would have, to be fetched or read from O(archive). Null in check mode while O(owner) or O(group)
      is not known, since nothing is fetched before.
  returned: success
  type: bool
  sample: false
intact_versions:
  description:
    - Versions below O(base_dir), for O(platform), whose binary still is the file that its receipt knows (size, modification
      time, inode).
  returned: success
  type: list
  elements: str
  sample: ["1.13.3", "1.13.4"]
removed:
  description: Paths that were, or would be, removed. Here as in all results, what is not printable becomes C(?).
  returned: success
  type: list
  elements: str
  sample: []
backup_file:
  description: Path of the file that O(link_force) replaced and O(backup) kept; null when none was, and in check mode.
  returned: success
  type: str
  sample: /usr/local/bin/terraform.4711.2025-11-30@09:55:00~
steps:
  description: What was done and checked, a line each with full paths, sizes and modes; at most two when nothing was to do.
  returned: always
  type: list
  elements: str
  sample: ["target: directory verified: /opt/iac-platform/terraform-binaries"]
msg:
  description: What happened, in one line.
  returned: always
  type: str
  sample: Terraform 1.13.4 installed at /opt/iac-platform/terraform-binaries/1.13.4/terraform
error:
  description: What went wrong, in parts.
  returned: failure
  type: dict
  contains:
    step:
      description: One of V(request), V(fetch), V(verify), V(extract), V(install), V(lock), V(run_check), V(setup).
      type: str
    side:
      description: V(controller) or V(target).
      type: str
    host:
      description: Name of the machine that failed.
      type: str
    path:
      description: The path concerned.
      type: str
    url:
      description: The URL concerned, without secrets.
      type: str
    errno:
      description: The system's error number.
      type: int
    errno_name:
      description: The system's error name.
      type: str
      sample: ENOSPC
    hint:
      description: What can be done about it.
      type: str
ansible_facts:
  description: Facts about the result. None in check mode.
  returned: success, outside check mode
  type: dict
  contains:
    terraform_binary_result:
      description:
        - RV(version), RV(path), RV(link), RV(base_dir), C(versions) with the path of each intact version,
          RV(ignore:changed), RV(ignore:failed), C(checked_at).
      type: dict
"""

import os
import platform
from typing import Set

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import (
    TerraformBinaryError,
    os_error_context,
    printable,
    redacted,
    to_result,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.selinux import selinux_labeler
from ansible_collections.iac_platform.terraform.plugins.module_utils._http.credentials import SHORTEST_SECRET, secrets_of
from ansible_collections.iac_platform.terraform.plugins.module_utils._records import SPEC, Params
from ansible_collections.iac_platform.terraform.plugins.module_utils._run import Steps, run_module


def unmask_short_headers(module: AnsibleModule) -> None:
    """Have core mask no header's value that is too short to be a secret: it would mangle every text with it inside."""
    # What ansible-core 2.22 and later tell the controller, which masks it from then on in all that the play shows. There is
    # no public way to take something back; where this name is gone, texts are mangled on the screen, and nothing is told.
    told: Set[str] = getattr(getattr(module, "_new_secrets", None), "_new_secrets", set())
    for value in (module.params["url_headers"] or {}).values():
        if len(str(value)) < SHORTEST_SECRET:
            module.no_log_values.discard(str(value))
            told.discard(str(value))


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    unmask_short_headers(module)
    steps = Steps(module.log, module.warn, secrets_of(module.params, os.environ))
    set_context = selinux_labeler(module.params, module.selinux_default_context) if module.selinux_enabled() else None
    result: Params = {"changed": False}
    try:
        result = run_module(module.params, module.check_mode, steps, set_context)
        if not module._diff:
            del result["diff"]
        with os_error_context("look at", str(result["path"])):     # exit_json does, too, whenever a result has a path
            module.exit_json(**redacted(printable(dict(result, steps=steps.lines)), steps.secrets))
    except TerraformBinaryError as exc:
        exc.changed = exc.changed or result["changed"]
        exc.redact(steps.secrets)
        module.fail_json(steps=steps.lines, previous_version=printable(steps.previous_version),
                         **to_result(exc, "target", platform.node()))


if __name__ == "__main__":
    main()
