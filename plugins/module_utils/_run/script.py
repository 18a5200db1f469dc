# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of the module without AnsibleModule, whose start takes most of the time of a run that finds all in order.

The action plugin sends this file and what it imports as one plain script, wherever the target downloads nothing. It gives
the same answer as the module: both call run_module(). What AnsibleModule does for the module is done here: the text of
paths is expanded, the system's log gets a line for each step, and the result says who owns the binary.
"""

import json
import os
import platform
import stat
import sys
import traceback
from typing import List

from .._argument_spec import SPEC
from .._errors import TerraformBinaryError, os_error_context, printable, redacted, to_result
from .._fs.accounts import group_name, user_name
from .._http.credentials import secrets_of
from .._records import SCRIPT_REFUSED, Params
from .basic import open_system_log, read_params
from .module_run import Steps, run_module

SELINUX = "/sys/fs/selinux/enforce"  # there while SELinux is on (selinux(8))
_LABELS = ("seuser", "serole", "setype", "selevel")
_VERBOSE = 3  # how often -v is given for tracebacks, as in AnsibleModule


def run_script(arguments: bytes) -> None:
    """Run the module, and print its result as one line of JSON on standard output.

    :param arguments: a JSON object: options of the module, of the types in SPEC, with paths as the playbook wrote them; and
        what core adds for AnsibleModule, with names that begin with ``_ansible_``.
    """
    given = json.loads(arguments.decode("utf-8"))
    params = read_params(given, SPEC)
    if os.path.exists(SELINUX) and (not given.get("_ansible_check_mode") or any(params[part] for part in _LABELS)):
        result: Params = {"failed": True, "msg": SCRIPT_REFUSED}  # labels take libselinux, which AnsibleModule wraps
    else:
        result = run(params, given)
    sys.stdout.write(json.dumps(result) + "\n")


def run(params: Params, given: Params) -> Params:
    """Run the module; return its result as AnsibleModule would print it.

    :param params: as of read_params().
    :param given: as of run_script().
    """
    warnings: List[str] = []
    write = open_system_log(given)
    steps = Steps(write, warnings.append, secrets_of(params, os.environ))
    shown = ["%s=%s" % (name, value) for name, value in params.items() if not SPEC[name].get("no_log")]
    write(redacted(printable("Invoked with %s" % " ".join(shown)), steps.secrets))
    result: Params = {"changed": False}
    try:
        result = run_module(
            params, bool(given.get("_ansible_check_mode")), steps, None, bool(given.get("_ansible_diff"))
        )
        if not given.get("_ansible_diff"):
            del result["diff"]
        if result["path"]:
            with os_error_context("look at", str(result["path"])):
                result.update(describe_path(str(result["path"])))
        result = redacted(printable(dict(result, steps=steps.lines)), steps.secrets)
    except TerraformBinaryError as exc:
        exc.changed = exc.changed or result["changed"]
        exc.redact(steps.secrets)
        result = dict(to_result(exc, "target", platform.node()), failed=True, steps=steps.lines)
        result["previous_version"] = printable(steps.previous_version)
        if given.get("_ansible_verbosity", 0) >= _VERBOSE:
            result["exception"] = redacted(traceback.format_exc(), steps.secrets)
    if warnings:
        result["warnings"] = warnings
    return dict(result, invocation={"module_args": params})


def describe_path(path: str) -> Params:
    """Return owner, group, mode, state and size of a path, under the names that core uses for them. Raises OSError."""
    if not os.path.exists(path):
        return {}
    status = os.lstat(path)
    kind = "link" if stat.S_ISLNK(status.st_mode) else "directory" if stat.S_ISDIR(status.st_mode) else "file"
    return {
        "uid": status.st_uid,
        "gid": status.st_gid,
        "owner": user_name(status.st_uid),
        "group": group_name(status.st_gid),
        "mode": "0%03o" % stat.S_IMODE(status.st_mode),
        "state": "hard" if kind == "file" and status.st_nlink > 1 else kind,
        "size": status.st_size,
    }
