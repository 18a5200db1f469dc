# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AnsibleModule does for a module, for scripts that run without it: parameters, and the system's log."""

import os
import syslog
from typing import Any, Callable, Mapping

from .._records import Params


def read_params(given: Params, spec_of_module: Mapping[str, Mapping[str, Any]]) -> Params:
    """Return a module's parameters: those that are given, with paths expanded as core does, and the defaults."""
    params: Params = {}
    for name, spec in spec_of_module.items():
        value = given.get(name)
        if value is None:
            value = spec.get("default")
        if spec["type"] == "path" and value is not None:
            value = _expanded(value)
        elif spec.get("elements") == "path" and value is not None:
            value = [_expanded(each) for each in value]
        params[name] = value
    return params


def _expanded(path: str) -> str:
    return os.path.expanduser(os.path.expandvars(path))


def open_system_log(given: Params) -> Callable[[str], None]:
    """Return the callable that writes a line to the system's log as AnsibleModule does, or none with ``no_log``.

    :param given: what core adds for AnsibleModule, with names that begin with ``_ansible_``.
    """
    if given.get("_ansible_no_log"):
        return lambda line: None
    facility = getattr(syslog, str(given.get("_ansible_syslog_facility")), syslog.LOG_USER)
    syslog.openlog("ansible-%s" % given.get("_ansible_module_name"), 0, facility)
    prefix = "%s " % given["_ansible_target_log_info"] if given.get("_ansible_target_log_info") else ""
    return lambda line: syslog.syslog(syslog.LOG_INFO, prefix + line)
