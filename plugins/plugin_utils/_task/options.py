# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides which options go to the target, and which environment variables stand in for options.

An option overrides the environment, and the environment overrides the default. A token from the environment goes only
to sites from the environment. While the controller downloads, the target gets only the options in TO_TARGET, so no
credentials.
"""

from typing import Any, List, Mapping

from ...module_utils._argument_spec import TO_TARGET
from ...module_utils._errors import RequestError
from ...module_utils._records import Params
from ...module_utils._request.parse import check_site

SITES, TOKEN = "TERRAFORM_BINARY_SITES", "TERRAFORM_BINARY_TOKEN"
TRUST = ("REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE")  # which say who is taken for a site

_TRUE = ("true", "yes", "on", "y", "t", "1", "1.0")  # values that ansible-core reads as true


def target_arguments(arguments: Params) -> Params:
    """Return the arguments that a target may see while the controller downloads."""
    return {key: value for key, value in arguments.items() if key in TO_TARGET}


def apply_environment(arguments: Params, environ: Mapping[str, str], of_task: Mapping[str, str]) -> Params:
    """Return the task's arguments, with options that are not given taken from the controller's environment.

    :param arguments: dict, the task's arguments.
    :param environ: mapping, the environment of this process, overridden by that of the task.
    :param of_task: mapping, the environment of the task alone.
    :returns: dict.
    :raises RequestError: a site is not valid; a token is in the task's environment, which core sends to the target; or
        a token would go to sites from elsewhere.
    """
    if of_task.get(TOKEN):
        raise RequestError(
            "%s is in the task's environment, which travels to the target" % TOKEN,
            hint="set it for the controller's process (an AWX credential does), or use an option",
        )
    found = dict(arguments)
    sites = (environ.get(SITES) or "").split()
    if sites:
        found.setdefault("sites", sites)
    for site in as_list(found.get("sites")):
        check_site(site)
    token = (environ.get(TOKEN) or "").strip()
    own = found.keys() & {"url_token", "url_username"}
    if token and not own and "archive" not in found and str(found.get("state")).strip() != "absent":
        _check_origin(arguments, sites, of_task)
        found["url_token"] = token
    return found


def _check_origin(arguments: Params, sites: List[str], of_task: Mapping[str, str]) -> None:
    """Refuse a token from the environment if another party, for example through a survey, decides who gets it.

    :raises RequestError: an option or the task's environment decides who gets the token.
    """
    if "sites" in arguments:
        reason = "sites is given by an option"
    elif of_task.get(SITES):
        reason = "%s is in the task's environment" % SITES
    elif not sites:
        reason = "%s is not set" % SITES
    elif str(arguments.get("download")).strip() == "target":
        reason = "download: target would hand it to the hosts"
    elif any(map(of_task.get, TRUST)):
        reason = "%s is in the task's environment" % next(filter(of_task.get, TRUST))
    elif "ca_path" in arguments:
        reason = "ca_path, given by an option, would decide who is taken for that site"
    elif str(arguments.get("validate_certs", True)).strip().lower() not in _TRUE:
        reason = "validate_certs: false would let anybody be taken for that site"
    else:
        return
    raise RequestError(
        "%s is set for the controller, and %s: a token from there goes only to sites from there" % (TOKEN, reason),
        hint="put all that decides on it into one AWX credential (%s, REQUESTS_CA_BUNDLE), or give url_token beside it"
        % SITES,
    )


def as_list(value: Any) -> List[str]:
    """Return a list option as a list of str, however the playbook wrote it, without blank entries."""
    if isinstance(value, str) and "-----BEGIN" not in value:
        value = value.split(",")
    values = value if isinstance(value, list) else [value]
    return [str(item).strip() for item in values if not is_blank(item)]


def decrypt_values(value: Any) -> Any:
    """Return a value of a task with ansible-vault's encrypted values decrypted, at any depth.

    Up to ansible-core 2.18, these are objects that decrypt themselves when they are converted to text. Neither JSON nor
    the validation of options accepts them.
    """
    if isinstance(value, dict):
        return {key: decrypt_values(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [decrypt_values(inner) for inner in value]
    return str(value) if hasattr(value, "__ENCRYPTED__") else value


def is_blank(value: Any) -> bool:
    """Whether a value counts as not given: null, empty, or only spaces."""
    return value is None or value == [] or isinstance(value, str) and not value.strip()
