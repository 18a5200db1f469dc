#!/usr/bin/python
# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: terraform_binary
short_description: Install a verified Terraform binary on a host
version_added: 0.1.0
author:
  - IaC Platform team (@iac-platform)
description:
  - Installs one version of Terraform below a base directory. The binary there is always complete and verified, even if an
    installation is interrupted, or if several run at the same time.
  - By default, the archive must match a C(SHA256SUMS) file with a valid signature by a trusted key. The module writes the
    binary to a temporary file, syncs it to disk, and reads it back before it renames it into place. Installers on one host
    take turns with a kernel lock.
  - By default, every run hashes an installed binary and compares it with its receipt. A damaged binary is replaced.
  - By default, the controller downloads a release once for all hosts of a play, and pushes it to the hosts that need it.
    Each host verifies all of it again. A host needs Python and nothing else. It needs neither a network nor C(requests),
    C(unzip), or C(gpg).
  - The module does not fall back from one platform to another, does not take a list of versions (use a loop), and does not
    read netrc files.
extends_documentation_fragment:
  - iac_platform.terraform._terraform_binary
  - iac_platform.terraform._terraform_binary.attributes
requirements:
  - Python 3.6 or later on the target
  - the Python package C(requests) on the side that downloads, unless O(archive) is given or all O(sites) are C(file) URLs
# The comment beside the name of an option is read by .ci/options.py. It says who may see the option while the controller
# downloads (target or controller), and whether its value is a secret: required where the name looks like one.
options:
  version:  # target
    description:
      - The version of Terraform, which is an exact version such as V(1.13.4), a constraint such as V(~> 1.13.0), or
        V(latest). Always quote it.
      - Either O(version) or O(version_file) is required, also with O(state=absent). There is no default version, so nothing
        is upgraded without review.
      - A leading C(v) of an exact version is dropped. V(latest) is the newest final release. Constraints are written as in
        Terraform, for example V(~> 1.13.0), V(>= 1.9, < 2.0), or V(= 1.10). V(all) can be used only with O(state=absent).
      - V(previous) is the version below O(base_dir) that O(link) pointed to before it was switched to the version that it
        points to now, as the receipt of that version records it. Nothing is downloaded. If the version is not there any
        more, is damaged, or was verified by a weaker O(checksum_policy), that is an error. So is a link of which nothing is
        recorded, for example because it was made by other means. O(checksum) is not compared, because it is that of another
        version.
      - V(previous) goes back one step, once. If it has switched O(link), running it again changes nothing, so a run for many
        hosts can be repeated. It is meant for one run, with C(-e). To go back further, or forward again, write the version.
      - V(latest) and constraints choose the newest of the versions that the first of O(sites) with a match lists for
        O(platform), and of the versions that are installed and intact. So no site can roll a host back. If a site is
        behind, the module warns. RV(version) returns what was chosen. An exact version, and a constraint with C(=), needs
        no index.
      - The operators are C(=), C(!=), C(>), C(>=), C(<), C(<=), and C(~>). A comma between two means "and". They mean what
        they mean in L(hashicorp/go-version,https://github.com/hashicorp/go-version). V(~> 1.9) is C(>= 1.9.0, < 2.0.0),
        V(~> 1.9.0) is C(>= 1.9.0, < 1.10.0), and V(~> 1) has no upper limit.
      - Pre-releases are never chosen, except by a constraint that contains a pre-release, for example V(>= 1.14.0-alpha1).
        Of the pre-releases, it matches only those with the same three numbers.
      - A bare C(X) or C(X.Y) is refused, as a number and as text, because an unquoted C(1.10) reaches a module as C(1.1).
      - Blanks around a version, and around the parts of a constraint, are ignored. Blank text and null count as not given.
    type: str
  version_file:  # controller
    description:
      - A file or folder on the controller that contains the version. Use it instead of O(version).
      - Relative paths are searched as M(ansible.builtin.copy) searches its C(src).
      - A file is read as a C(.terraform-version) file. Its first line that is neither blank nor a comment (C(#)) is an
        exact version, V(latest), or a constraint. A bare C(1.10) means C(= 1.10.0). Keywords of tfenv such as
        C(latest:regex) or C(min-required) are refused. The message says which line to write instead.
      - A folder is read as a Terraform root module. The version must match the C(required_version) of all C(terraform)
        blocks in its C(.tf) and C(.tf.json) files. A C(required_version) in an override file replaces the others.
      - What Terraform refuses to read is an error with file and line, and so is a C(required_version) that would have to be
        computed. The module does not check whether Terraform knows a block or an argument, except for arguments outside of
        all blocks.
      - Links below the folder that lead out of it are refused. Messages quote at most 20 characters of a file, and only
        what could be a version.
    type: str
  state:  # target
    description:
      - V(present) installs, repairs, and links the binary. V(absent) removes the binary, its receipt, and O(link) if it
        points to the binary.
      - With a constraint, V(absent) removes all installed versions that match, one after the other. If one of them must not
        be removed, none is. If none matches, nothing changes. V(latest) cannot be removed. RV(steps) names the versions
        that a constraint passes over, such as pre-releases.
      - With O(version=all), V(absent) removes everything that this module made below O(base_dir). These are all versions,
        pre-releases included, with their stale temporary files and lock files, and O(base_dir) itself once it is empty.
        What this module did not make, and a lock that another process holds, stays and is named in RV(msg).
      - A binary without a receipt was not installed by this module, and is not removed by it. A version that another link
        still points to is not removed.
    type: str
    choices: [present, absent]
    default: present
  checksum_policy:  # target
    description:
      - How an archive is verified before it is installed.
      - V(signature) requires a valid signature of C(SHA256SUMS) by one of O(trusted_keys), and the archive must match
        C(SHA256SUMS).
      - V(sha256sums) trusts the C(SHA256SUMS) of the site without a signature. It protects against accidents, not against
        the site. It is refused over plain HTTP and with O(validate_certs=false), unless O(checksum) is given. Plain HTTP to
        the host itself is accepted on Linux, if root or the user who downloads listens on that port. C(file) URLs and
        O(archive) are refused if others could write the files, or a directory on the way to them.
      - V(pinned) lets O(checksum) alone decide. It needs an exact version.
      - An installed binary that was verified by a weaker policy is verified again.
    type: str
    choices: [signature, sha256sums, pinned]
    default: signature
  checksum:  # target
    description:
      - The SHA-256 of the archive. Write 64 hexadecimal digits, C(sha256:<hex>), or lines of a C(SHA256SUMS) file, of which
        the line for O(platform) is used.
      - If it is given, it must match, whatever the policy is.
    type: str
  trusted_keys:  # target, no secret
    description:
      - Armored OpenPGP public keys, or paths of such files on the controller. They are trusted instead of the built-in key
        of HashiCorp (primary fingerprint C874011F0AB405110D02105534365D9472D7468F).
      - A file that is encrypted with C(ansible-vault) is decrypted.
      - An empty list counts as not given.
    type: list
    elements: str
  sites:  # target
    description:
      - URLs of the release sites, which are tried in order.
      - A URL is the root of a tree with the layout of the public site,
        C(<site>/terraform/<version>/terraform_<version>_SHA256SUMS) and so on. Its scheme is C(https), C(http), or C(file).
      - The next site is tried if a site cannot be reached or does not have the release. A wrong digest or signature stops
        the run.
      - A URL that contains a user name or password is refused.
      - If this option is not given, the environment variable E(TERRAFORM_BINARY_SITES) of the controller is used. It
        contains URLs with blanks between them. It belongs together with E(TERRAFORM_BINARY_TOKEN), see O(url_token).
    type: list
    elements: str
    default: ["https://releases.hashicorp.com"]
  download:  # target
    description:
      - The side that downloads the release. C(file) URLs in O(sites) are resolved on that side.
      - With V(controller), the module first runs on the host in check mode. If no archive is needed, it applies the
        remaining changes, if any, and is done. Otherwise the controller downloads the release, once per version and
        platform for the whole play, and pushes the archive with its C(SHA256SUMS) and signature. The host repeats the
        verification. The policy, keys, and credentials of each host also decide on the controller. Hosts share only the
        bytes.
      - A download that failed is not tried again for the other hosts of the run.
      - Proxies are taken from E(https_proxy) and the like in the C(environment) of the task and of the controller's
        process. Loopback addresses are always contacted directly.
      - With V(target), each host downloads the release itself. It needs C(requests) and a route to the site.
    type: str
    choices: [controller, target]
    default: controller
  archive:  # target
    description:
      - Path of an archive that is already on the target. No site is contacted, and O(version) must be exact.
      - C(terraform_<version>_SHA256SUMS) and C(terraform_<version>_SHA256SUMS.sig) must be in the same directory. As on
        sites, the name of the signature may contain the ID of the key. O(checksum_policy=signature) needs both files,
        O(checksum_policy=sha256sums) needs the first one, and O(checksum_policy=pinned) needs neither.
    type: path
  origin:  # target
    description:
      - The source of O(archive) that the receipt records. It is informational.
      - If it is given, the archive counts as downloaded from there, so that a warning about a key that has expired since is
        not repeated.
    type: str
  platform:  # target
    description:
      - Platform of the binary, for example V(linux_amd64). The default is the platform of the target.
      - One base directory contains one platform of a version.
      - V(latest) and constraints pass over a version without a build for the platform. An exact version without one is an
        error.
    type: str
  offline_ok:  # controller
    description:
      - If no site can be contacted, let a constraint choose among the versions that are installed and intact, with a
        warning.
      - O(version=latest) fails anyway.
    type: bool
    default: false
  link:  # target
    description:
      - Path of a symbolic link to switch to this version atomically, for example V(/usr/local/bin/terraform). Its directory
        is created if it does not exist.
      - Anything else in its place is refused, unless O(link_force=true). A directory is always refused, also under another
        name.
      - A link to a binary for another O(platform) than the host's is refused, unless O(run_check=false).
    type: path
  link_force:  # target
    description: Replace a regular file in the place of O(link). The diff shows its size and digest.
    type: bool
    default: false
  backup:  # target
    description:
      - Keep the file that O(link_force) replaces in the same directory, as C(<name>.<pid>.<date>~). M(ansible.builtin.copy)
        uses the same name.
      - Links that are switched are not kept.
    type: bool
    default: false
  allow_downgrade:  # target
    description:
      - If V(false), a task that would move O(link) to an older version than the one it points to is an error, before an
        archive is downloaded. In this way, neither a wrong variable nor a constraint can take a host back.
      - The version that O(link) points to is read from the path that it leads to, C(<version>/terraform), also below
        another directory than O(base_dir), and through other links. If this path does not contain a version, and if a file
        is in the place of O(link), nothing is known to be older.
      - Without O(link), for O(version=previous), and for a removal, it has no effect.
    type: bool
    default: true
  adopt:  # target
    description:
      - If V(true), a binary that is already in the place of the version, without a valid receipt, is taken over if it has
        exactly the bytes of the binary in the release. The archive is verified as for an installation. Then only the receipt
        is written, and O(mode), O(owner), and O(group) are set if they differ. A binary that others could write to is
        replaced by a copy of itself.
      - A binary with other bytes, or one that a process has open for writing (which only Linux tells), is replaced, and so
        is every binary without a receipt if this option is V(false).
    type: bool
    default: false
  keep:  # target
    description:
      - After a success, remove the installed versions of O(platform), except for this number of the newest ones. Without
        this option, all versions stay.
      - The version of the task always stays. So does a version that is in use, because a link that a receipt records points
        to it, or because a process on the host runs it. RV(steps) names them.
      - Only versions that are intact (see RV(intact_versions)) are counted and removed. Damaged ones, those for other
        platforms, and binaries without a receipt stay. Pre-releases count as versions. What a removal that was killed has
        left, without a binary, is removed.
      - Each version is removed as O(state=absent) does it, under its own lock. If another installer holds this lock, the
        version stays until the next run. The lock files stay. On a file system without locks, nothing is removed, and also
        not while a receipt beside a binary is damaged.
      - Processes are looked for in C(/proc), on Linux. If this user may not see which file a process runs, it counts as
        running every version if it is called C(terraform) or like a recorded link, and otherwise as running none. A process
        of another container that runs the same file counts too, if C(/proc) shows it.
      - V(1) leaves nothing that O(version=previous) could go back to. A larger number leaves it only if the version that
        O(link) pointed to before is among the newest ones.
    type: int
  owner:  # target
    description: Owner of the binary, as a name or UID. If it is not given, the owner stays as the file was created.
    type: str
  group:  # target
    description: Group of the binary, as a name or GID. If it is not given, the group stays as the file was created.
    type: str
  mode:  # target
    description:
      - Permission bits of the binary in octal. Quote the value.
      - Setuid, setgid, and sticky bits are refused. Write bits for group and others are refused, too, because a binary that
        others can rewrite does not stay verified.
    type: raw
    default: "0755"
  seuser:  # target
    description: SELinux user of the binary. If it is not given, the policy's default is used.
    type: str
  serole:  # target
    description: SELinux role of the binary. If it is not given, the policy's default is used.
    type: str
  setype:  # target
    description: SELinux type of the binary. If it is not given, the policy's default is used.
    type: str
  selevel:  # target
    description: SELinux level of the binary. If it is not given, the policy's default is used.
    type: str
  verify:  # target
    description:
      - How an installed binary is checked.
      - V(full) hashes it in every run.
      - V(receipt) compares its size, mode, owner, modification time, and inode with the receipt, and hashes it only if they
        differ.
    type: str
    choices: [full, receipt]
    default: full
  run_check:  # target
    description:
      - Run the binary (C(version -json), in a clean environment) after an install or repair, and before O(link) is
        switched.
      - If the check fails, the link stays where it was.
      - Root runs the binary as its O(owner). Time, memory, output, and processes are limited.
      - The check is skipped for a platform that is not the host's. RV(steps) says so.
    type: bool
    default: true
  url_username:  # controller
    description:
      - User name for HTTP basic authentication at O(sites).
      - Credentials (this option, O(url_password), O(url_token), O(url_headers), and O(client_cert)) are sent only to the
        O(sites) that the task names, and only below their paths. They are not sent after a redirect that leaves the scheme,
        host, port, or path of the site, not even to another of O(sites) or back. They are never sent to the public site,
        and to a site over plain HTTP only if it is on the same machine. Credentials that none of the sites may get are
        refused.
    type: str
  url_password:  # controller, secret
    description: Password for O(url_username).
    type: str
  url_token:  # controller, secret
    description:
      - Token that O(sites) get in the header C(Authorization) as C(Bearer). It cannot be combined with O(url_username).
      - If neither is given, the environment variable E(TERRAFORM_BINARY_TOKEN) of the controller is used. That token is
        sent only to the sites in E(TERRAFORM_BINARY_SITES). It is refused together with O(sites), or without that variable.
        In AWX, put both variables into one credential.
    type: str
  url_headers:  # controller, secret
    description:
      - Additional HTTP headers for O(sites), for example C(X-JFrog-Art-Api). They count as credentials, see
        O(url_username).
      - Values of 8 characters or more are masked in all output. Masking shorter values would garble every path.
      - Headers that the download depends on (C(Range), C(Accept-Encoding), C(Host), and the like) are refused.
    type: dict
    aliases: [headers]
  ca_path:  # controller
    description:
      - A PEM file of certificate authorities to trust for C(https), or a directory of them as C(openssl rehash) makes it.
      - If this option is not given, the environment variables E(REQUESTS_CA_BUNDLE) and E(SSL_CERT_FILE) are used, and
        without those the system's store together with the authorities of C(requests). Only the first of these that is given
        is used.
      - With O(download=controller), O(ca_path), O(client_cert), and O(client_key) are files on the controller. They are
        searched as M(ansible.builtin.copy) searches its C(src), and decrypted if they are encrypted with C(ansible-vault).
        Otherwise they are absolute paths on the target.
    type: path
  client_cert:  # controller
    description:
      - A PEM file with the client certificate for O(sites). It also contains the private key, unless O(client_key) is
        given.
    type: path
  client_key:  # controller, no secret
    description: A PEM file with the private key of O(client_cert), without a passphrase.
    type: path
  validate_certs:  # controller
    description:
      - If V(false), any certificate is accepted. The signature of the release is verified anyway.
      - V(false) is refused for the public site. It is also refused with O(checksum_policy=sha256sums), unless O(checksum)
        is given.
    type: bool
    default: true
  use_proxy:  # controller
    description:
      - If V(false), ignore the proxies in the environment variables E(https_proxy), E(http_proxy), E(all_proxy), and
        E(no_proxy).
    type: bool
    default: true
  http_agent:  # controller
    description: The HTTP header C(User-Agent) that O(sites) get.
    type: str
    default: iac_platform.terraform/0.1.0
  timeout:  # target
    description: Number of seconds without a byte after which a download is given up.
    type: int
    default: 30
  retries:  # target
    description:
      - Number of attempts for one download, the first one included. At least 1.
      - A download always ends after 30 minutes, or when it is slower than 1 KiB/s for 30 seconds.
    type: int
    default: 4
  lock_timeout:  # target
    description: Number of seconds to wait for another installer of the same version.
    type: int
    default: 2000
  cache_dir:  # controller
    description:
      - With O(download=controller), a directory on the controller that keeps archives between runs, with their
        C(SHA256SUMS) and signatures.
      - If it is not given, a download is kept only for the run, below Ansible's local temporary directory.
      - The path is absolute. The directory is created with mode 0700 if it does not exist. A directory that others can
        write to is refused.
      - Cached files are verified again whenever they are used, and replaced if they are damaged. Several runs may share the
        directory. Files that do not look as if this module wrote them stay.
    type: path
  cache_keep:  # controller
    description: Maximum number of archives in O(cache_dir). Those that were used last are kept.
    type: int
    default: 3
  progress:  # controller
    description:
      - With O(download=controller), show the progress of a download that takes longer than two seconds, with size and rate.
      - There is at most one line for each quarter or every ten seconds, and one for each host that waits for the download.
        The lines appear at once in a terminal, and among the events of ansible-runner and AWX.
      - Check mode shows no progress.
    type: bool
    default: true
notes:
  - In check mode, the lack of something that an earlier task would have made is a warning, and C(changed) is true. This
    holds for an O(owner) or O(group) that is not known, for a missing O(archive) or a missing file beside it, and for a
    host that downloads and has no C(requests). Return values that cannot be known then are null.
  - If something visibly prevents a host from taking a release, that is an error, in check mode, too, before anything is
    downloaded or sent for the host. Examples are missing permissions, mounts that are read-only or noexec, and too little
    space (100 MB if the size is not known).
  - In a diff, C(bytes_to_fetch) (check mode only) is what would be read for the archive. A site is asked for it by one
    request for the archive's first byte, once for all hosts of a run. C(bytes_freed) is the size of the binaries of the
    versions that are removed, without receipts and temporary files, and without a binary that is replaced.
  - With C(async), the controller's part is done before the job starts. So a download counts neither for the job's time
    limit nor in its result. Such a result has no C(controller) lines in RV(steps), and RV(downloaded_bytes) is 0.
  - The binary is at C(<base_dir>/<version>/terraform). Its receipt is in the same directory, in C(terraform.json).
  - The lock files C(.terraform-*.lock) in O(base_dir) stay. Only O(version=all) removes them. If you remove one by hand
    while an installer runs, two installers can run at the same time.
seealso:
  - name: Decisions and their reasons
    description: Why the collection verifies signatures and writes files by itself.
    link: https://github.com/iac-platform/ansible-collection-terraform/tree/main/docs/decisions
"""

EXAMPLES = r"""
- name: Install Terraform 1.13.4, and link it as /usr/local/bin/terraform
  iac_platform.terraform.terraform_binary:
    version: "1.13.4"
    link: /usr/local/bin/terraform

- name: Install the newest patch release of 1.13
  iac_platform.terraform.terraform_binary:
    version: "~> 1.13.0"
    link: /usr/local/bin/terraform

- name: Install the newest patch release, and remove all but the newest three versions
  iac_platform.terraform.terraform_binary:
    version: "~> 1.13.0"
    link: /usr/local/bin/terraform
    keep: 3

- name: Take over a binary that somebody else has put there, if it is the genuine one
  iac_platform.terraform.terraform_binary:
    version: "1.13.4"
    adopt: true

- name: Install what a root module requires, or keep what is installed if no site can be reached
  iac_platform.terraform.terraform_binary:
    version_file: "{{ playbook_dir }}/infrastructure"
    offline_ok: true

- name: Go back to the version that the link pointed to before, without a download
  iac_platform.terraform.terraform_binary:
    version: previous
    link: /usr/local/bin/terraform

- name: Remove all versions before 1.10
  iac_platform.terraform.terraform_binary:
    version: "< 1.10"
    state: absent

- name: Remove everything, including the lock files and the base directory
  iac_platform.terraform.terraform_binary:
    version: all
    state: absent
    link: /usr/local/bin/terraform

- name: Download from a mirror, or else from the public site
  iac_platform.terraform.terraform_binary:
    version: "1.13.4"
    sites:
      - https://mirror.example.com/hashicorp
      - https://releases.hashicorp.com

- name: Download from a mirror that needs a token and has a private CA
  iac_platform.terraform.terraform_binary:
    version: "1.13.4"
    sites: ["https://artifacts.example.com/hashicorp"]
    url_token: "{{ artifacts_token }}"
    ca_path: /etc/pki/ca-trust/source/anchors/example.pem

- name: Install on a host without a network, from files that are already there
  iac_platform.terraform.terraform_binary:
    version: "1.13.4"
    archive: /srv/incoming/terraform_1.13.4_linux_amd64.zip

- name: Install one pinned archive, whoever signed it
  iac_platform.terraform.terraform_binary:
    version: "1.11.4"
    checksum_policy: pinned
    checksum: sha256:1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc

- name: Use the binary with cloud.terraform
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
    - If a constraint was removed, the newest version that was removed, or null if none matched. RV(path) belongs to the
      same version.
  returned: success
  type: str
  sample: 1.13.4
requested:
  description: The version as it was requested, or as O(version_file) contains it.
  returned: success
  type: str
  sample: "~> 1.13.0"
path:
  description: Path of the binary, also in check mode and after a removal.
  returned: success
  type: str
  sample: /opt/iac-platform/terraform-binaries/1.13.4/terraform
link:
  description: Path of the link that was requested.
  returned: success
  type: str
  sample: /usr/local/bin/terraform
previous_version:
  description: The version that the link pointed to before. Null if it pointed to none, or if that was not looked at.
  returned: always
  type: str
  sample: 1.13.3
base_dir:
  description: The base directory.
  returned: success
  type: str
  sample: /opt/iac-platform/terraform-binaries
platform:
  description: Platform of the binary.
  returned: success
  type: str
  sample: linux_amd64
binary_sha256:
  description: SHA-256 of the binary. Null if it is not known yet (check mode), or if there is no binary.
  returned: success
  type: str
  sample: 268000fca5c61021c6396893d9483007ba589ad9d0aaccbd7dfa8c78bf7dbe23
archive_sha256:
  description: SHA-256 of the archive that the binary came from. Null if it is not known.
  returned: success
  type: str
  sample: 1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc
size:
  description: Size of the binary in bytes. Null if it is not known.
  returned: success
  type: int
  sample: 90579096
verification:
  description: How the archive was verified. Null if nothing is installed.
  returned: success
  type: dict
  contains:
    policy:
      description: The policy that it met.
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
    site:
      description: The site that the archive came from, or the O(origin) of a given archive.
      type: str
      sample: https://releases.hashicorp.com
downloaded_bytes:
  description:
    - Number of bytes that came over the network for this host. With O(download=controller), these are the bytes of the
      download that this host caused. The value is 0 for hosts that found the download done.
  returned: success
  type: int
  sample: 27843419
needs_archive:
  description:
    - Whether something had to be, or would have to be, downloaded or read from O(archive). Null in check mode while
      O(owner) or O(group) is not known, because nothing is downloaded before it is.
  returned: success
  type: bool
  sample: false
intact_versions:
  description:
    - Versions below O(base_dir), for O(platform), whose binary is still the file that its receipt describes (size,
      modification time, inode).
  returned: success
  type: list
  elements: str
  sample: ["1.13.3", "1.13.4"]
removed:
  description:
    - Paths that were, or would be, removed, by O(state=absent) or by O(keep).
    - In all return values, a character that cannot be printed becomes C(?).
  returned: success
  type: list
  elements: str
  sample: []
backup_file:
  description: Path of the file that O(link_force) replaced and O(backup) kept. Null if there is none, and in check mode.
  returned: success
  type: str
  sample: /usr/local/bin/terraform.4711.2025-11-30@09:55:00~
steps:
  description: What was done and checked, one line each, with full paths, sizes, and modes. At most two if nothing was to do.
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
      description: One of V(request), V(fetch), V(verify), V(extract), V(install), V(lock), V(run_check), or V(setup).
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
      description: Error number of the operating system.
      type: int
    errno_name:
      description: Error name of the operating system.
      type: str
      sample: ENOSPC
    hint:
      description: What you can do about it.
      type: str
ansible_facts:
  description: Facts about the result. There are none in check mode.
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
from ansible_collections.iac_platform.terraform.plugins.module_utils._argument_spec import SPEC
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import (
    TerraformBinaryError,
    os_error_context,
    printable,
    redacted,
    to_result,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._fs.selinux import selinux_labeler
from ansible_collections.iac_platform.terraform.plugins.module_utils._http.credentials import (
    SHORTEST_SECRET,
    secrets_of,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._records import Params
from ansible_collections.iac_platform.terraform.plugins.module_utils._run.module_run import Steps, run_module


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
        result = run_module(module.params, module.check_mode, steps, set_context, bool(module._diff))
        if not module._diff:
            del result["diff"]
        with os_error_context("look at", str(result["path"])):  # exit_json does, too, whenever a result has a path
            module.exit_json(**redacted(printable(dict(result, steps=steps.lines)), steps.secrets))
    except TerraformBinaryError as exc:
        exc.changed = exc.changed or result["changed"]
        exc.redact(steps.secrets)
        module.fail_json(
            steps=steps.lines,
            previous_version=printable(steps.previous_version),
            **to_result(exc, "target", platform.node()),
        )


if __name__ == "__main__":
    main()
