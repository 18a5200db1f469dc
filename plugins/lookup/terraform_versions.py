# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup terraform_versions: what a release site offers, as the module would see it."""

DOCUMENTATION = r"""
name: terraform_versions
short_description: List the versions of Terraform that a release site offers
version_added: 0.1.0
author:
  - IaC Platform team (@iac-platform)
description:
  - Lists the versions of Terraform in the index of a release site, the newest first. Use it for the choices of a survey, or to
    check a version before an upgrade.
  - The rules are those of the module M(iac_platform.terraform.terraform_binary) with
    O(iac_platform.terraform.terraform_binary#module:download=controller). So the first version in the list is the one that the
    module would choose, unless a newer one that matches is installed on the host.
  - The list comes from the first of O(sites) that has a match. The next site is asked if a site cannot be reached or has no
    match. If all sites answer and none has a match, the list is empty. If one of them does not answer, that is an error.
  - Each site is asked once a run, by this lookup and the module together. A site that failed is not asked again for the other
    hosts of the task.
  - An index is not signed. It only says what to ask for. The module verifies what it installs.
options:
  _terms:
    description:
      - Versions to list, which are constraints such as V(~> 1.13.0), exact versions such as V(1.13.4), V(latest), or V(all).
        They mean what they mean in O(iac_platform.terraform.terraform_binary#module:version). A version is listed once if at
        least one term matches.
      - V(latest) is the newest final release alone. V(all) is every version, pre-releases included.
      - Without a term, all final releases are listed. Pre-releases are listed only for V(all), and for a constraint or an exact
        version that contains one.
    type: list
    elements: str
  sites:
    description:
      - URLs of the release sites, which are tried in order.
      - If this option is not given, the environment variable E(TERRAFORM_BINARY_SITES) of the controller is used, as in
        O(iac_platform.terraform.terraform_binary#module:sites). The C(environment) keyword does not reach a lookup.
    type: list
    elements: str
    default: ["https://releases.hashicorp.com"]
  platform:
    description:
      - List only versions with a build for this platform, for example V(linux_amd64).
      - Without it, a build for any platform is enough, because a lookup does not know the hosts.
    type: str
  url_username:
    description:
      - User name for HTTP basic authentication at O(sites). See
        O(iac_platform.terraform.terraform_binary#module:url_username) for the sites that get credentials.
    type: str
  url_password:
    description: Password for O(url_username).
    type: str
  url_token:
    description:
      - Token that O(sites) get in the header C(Authorization) as C(Bearer).
      - If neither it nor O(url_username) is given, the environment variable E(TERRAFORM_BINARY_TOKEN) of the controller is used,
        as in O(iac_platform.terraform.terraform_binary#module:url_token). It is refused together with O(sites).
    type: str
  url_headers:
    description: Additional HTTP headers for O(sites), which count as credentials.
    type: dict
    aliases: [headers]
  ca_path:
    description:
      - A PEM file of certificate authorities to trust for C(https), or a directory of them, on the controller. See
        O(iac_platform.terraform.terraform_binary#module:ca_path).
    type: path
  client_cert:
    description: A PEM file with the client certificate for O(sites), on the controller.
    type: path
  client_key:
    description: A PEM file with the private key of O(client_cert), on the controller.
    type: path
  validate_certs:
    description: If V(false), any certificate is accepted. V(false) is refused for the public site.
    type: bool
    default: true
  use_proxy:
    description: If V(false), ignore the proxies in the environment of the controller.
    type: bool
    default: true
  http_agent:
    description: The HTTP header C(User-Agent) that O(sites) get.
    type: str
    default: iac_platform.terraform/0.1.0
  timeout:
    description: Number of seconds without a byte after which a download is given up.
    type: int
    default: 30
  retries:
    description: Number of attempts for one download, the first one included. At least 1.
    type: int
    default: 4
notes:
  - C(module_defaults) and the variables of the role do not apply to a lookup. Give what it needs, for example
    C(sites=terraform_binary_sites).
  - Blank and null options and terms count as not given.
  - A lookup runs on the controller, also in a task for another host. Use C(run_once) or a play for C(localhost) if its result is
    the same for all hosts.
requirements:
  - the Python package C(requests) on the controller, unless all O(sites) are C(file) URLs
seealso:
  - module: iac_platform.terraform.terraform_binary
"""

EXAMPLES = r"""
- name: Show which patch releases of 1.13 there are
  ansible.builtin.debug:
    msg: "{{ query('iac_platform.terraform.terraform_versions', '~> 1.13.0', platform='linux_amd64') }}"

- name: Check that the mirror has the version before the maintenance window
  ansible.builtin.assert:
    that: query('iac_platform.terraform.terraform_versions', '1.13.4', platform='linux_amd64', sites=mirrors) | length == 1
    fail_msg: Terraform 1.13.4 is not on the mirror yet
  vars:
    mirrors: ["https://mirror.example.com/hashicorp"]
  run_once: true

- name: Say whether a newer final release exists
  ansible.builtin.debug:
    msg: "{{ query('iac_platform.terraform.terraform_versions', '> 1.13.4') | first | default('no') }}"

- name: The five newest releases of a site that needs a token
  ansible.builtin.set_fact:
    choices: "{{ query('iac_platform.terraform.terraform_versions', sites=artifacts, url_token=artifacts_token)[:5] }}"
  vars:
    artifacts: ["https://artifacts.example.com/hashicorp"]
"""

RETURN = r"""
_list:
  description: The versions, without a leading C(v), the newest first.
  type: list
  elements: str
  sample: ["1.13.4", "1.13.3"]
"""

import collections
import contextlib
import multiprocessing
import os
from typing import Any, Counter, Dict, FrozenSet, Iterator, List, Optional, Set, Tuple

from ansible import constants as C
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display
from ansible_collections.iac_platform.terraform.plugins.action.terraform_binary import (
    decrypt_file,
    validate_arguments,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._argument_spec import SPEC
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import (
    MissingDependency,
    TerraformBinaryError,
    compose_message,
    printable,
    redacted,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._http.credentials import secrets_of
from ansible_collections.iac_platform.terraform.plugins.module_utils._records import DownloadRequest, Params
from ansible_collections.iac_platform.terraform.plugins.module_utils._release.resolver import offered_versions
from ansible_collections.iac_platform.terraform.plugins.module_utils._request.parse import parse_download_request
from ansible_collections.iac_platform.terraform.plugins.module_utils._versions.constraint import (
    VersionSpec,
    parse_version_spec,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._versions.version import sort_key
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._cache.run import RunCache, enter_run
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._download.release import (
    ControllerDownload,
    how_to_install,
)
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task.key_files import read_file_options
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task.options import (
    apply_environment,
    decrypt_values,
    is_blank,
)
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task.variables import (
    check_facts,
    check_options,
    check_types,
)

LOOKUP = "iac_platform.terraform.terraform_versions"
# Options of the module that this lookup has, too.
OPTIONS: FrozenSet[str] = frozenset(
    (
        "sites",
        "platform",
        "url_username",
        "url_password",
        "url_token",
        "url_headers",
        "headers",
        "ca_path",
        "client_cert",
        "client_key",
        "validate_certs",
        "use_proxy",
        "http_agent",
        "timeout",
        "retries",
    )
)
_FINAL = ">= 0"  # a constraint that each final release matches
_OMIT = "<<Omit>>"  # the text of ``omit`` from ansible-core 2.19 on; before, it is a variable

display = Display()
# How many lookups of a task this process has done: core forks it for each task and host.
_TRIES: Counter[str] = collections.Counter()


class LookupModule(LookupBase):
    def run(self, terms: List[Any], variables: Optional[Params] = None, **kwargs: Any) -> List[str]:
        self._variables: Params = variables or {}
        self._secrets: Tuple[str, ...] = ()
        try:
            wanted = [parse_version_spec(term) for term in self._given_terms(terms) or (_FINAL,)]
            with self._arguments(kwargs) as arguments:
                params = validate_arguments(arguments, SPEC)
                self._secrets = secrets_of(params, os.environ)
                return self._offered(wanted, parse_download_request(dict(params, version=_FINAL), params["platform"]))
        except TerraformBinaryError as exc:
            if isinstance(exc, MissingDependency):
                exc.hint = how_to_install("requests")  # what else would help the module does not help here
            exc.redact(self._secrets)  # before anything is cut: half a secret is not recognized
            # Without the cause: ansible-core 2.19 and later would show its message, too.
            raise AnsibleLookupError(printable(compose_message(str(exc), exc.hint, "controller"))) from None

    def _offered(self, wanted: List[VersionSpec], order: DownloadRequest) -> List[str]:
        """Return what the sites offer, newest first. Raises FetchError, RequestError, InstallError."""
        host = str(self._variables.get("inventory_hostname") or "an earlier lookup")
        found: Set[str] = set()
        with enter_run(C.DEFAULT_LOCAL_TMP, self._log) as run:
            cache = RunCache(run, None, self._log, self._log_waiting, _name_attempt(), host)
            download = ControllerDownload(order, cache, os.environ, self._log)
            for spec in wanted:
                versions = offered_versions(order._replace(wanted=spec), download.listing, self._log)
                found.update(versions[:1] if spec.is_latest else versions)
        return sorted(found, key=sort_key, reverse=True)

    def _given_terms(self, terms: List[Any]) -> List[Any]:
        """Return the terms that are given, also those in a list. Each has the type that YAML gave it."""
        flat = [each for term in decrypt_values(terms) for each in (term if isinstance(term, list) else [term])]
        return [term for term in flat if self._is_given(term)]

    @contextlib.contextmanager
    def _arguments(self, kwargs: Params) -> Iterator[Params]:
        """Yield the options as the module has them, with paths of files on the controller. Raises RequestError."""
        check_facts(self._variables)  # an option here is often a variable of the role
        given: Dict[str, Any] = {key: value for key, value in decrypt_values(kwargs).items() if self._is_given(value)}
        check_options(given, OPTIONS, LOOKUP, "-t lookup ")
        check_types(given, SPEC)
        with contextlib.ExitStack() as stack:

            def find(path: str) -> Optional[str]:
                found: Optional[str] = self.find_file_in_search_path(
                    self._variables, "files", os.path.expanduser(path), ignore_missing=True
                )
                return found

            def decrypt(path: str) -> str:
                plain = decrypt_file(self._loader, path)
                stack.callback(self._loader.cleanup_tmp_file, plain)
                return plain

            yield read_file_options(apply_environment(given, os.environ, {}), find, decrypt)

    def _is_given(self, value: Any) -> bool:
        """Whether an option or term is neither blank nor ``omit``, which core leaves to lookups."""
        return not is_blank(value) and str(value) not in (_OMIT, self._variables.get("omit"))

    def _log(self, line: str, warning: bool = False) -> None:
        line = redacted(printable("controller: %s" % line), self._secrets)
        if warning:
            display.warning(line)
        else:
            display.vvv(line)

    def _log_waiting(self, what: str) -> None:
        self._log("waiting for the download of %s for another host" % what)


def _name_attempt() -> str:
    """Return a name that the hosts of a task share, but not its next lookup, as the action plugin has it for a task.

    So a site that is down costs one set of tries and not one for each host, and ``until`` asks it again.
    """
    task = getattr(multiprocessing.current_process(), "_task", None)  # core's worker; other processes have no task
    name = str(getattr(task, "_uuid", os.getpid()))
    _TRIES[name] += 1
    return "lookup-%s-%d" % (name, _TRIES[name])
