# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges the answers of all hosts, and writes the report. It runs on the controller only, and contacts no host."""

import os
import tempfile
import time
from typing import Any, Dict, Optional, Tuple

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.iac_platform.terraform.plugins.action.terraform_binary import template_without_facts
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import (
    InstallError,
    RequestError,
    TerraformBinaryError,
    os_error_context,
    printable,
    to_result,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._records import COLLECTION_VERSION, Params
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._answers.audit import audit_hosts, make_report
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._answers.report import file_contents
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task.options import decrypt_values, is_blank
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task.variables import (
    OF_CORE,
    check_facts,
    check_options,
    check_variables,
)

MODULE = "iac_platform.terraform.terraform_binary_audit"
DEST = "terraform_binary_audit_dest"
INFO, LOOK = "terraform_binary_audit_info", "terraform_binary_outcome"  # what the role's entry point registers
_MOST = 5  # problems of one host in the result; the report has all of them
_PLAYBOOKS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "playbooks")

display = Display()


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(self, tmp: Any = None, task_vars: Optional[Params] = None) -> Params:
        self._supports_check_mode = True
        self._supports_async = False
        result: Params = super().run(tmp, task_vars)
        try:
            result.update(self._audit(task_vars or {}))
        except TerraformBinaryError as exc:
            found = to_result(exc, "controller", os.uname().nodename)
            result.update(found, failed=True, msg="controller: %s" % found["msg"])
        return result

    def _audit(self, task_vars: Params) -> Params:
        arguments = {key: value for key, value in decrypt_values(self._task.args).items() if not is_blank(value)}
        check_options(arguments, ("dest",), MODULE)
        if "dest" in arguments:
            arguments["dest"] = self._dest(arguments["dest"], task_vars)
        hosts = audit_hosts(_answers(task_vars))
        report = make_report(hosts, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), COLLECTION_VERSION)
        paths = []
        if not is_blank(arguments.get("dest")) and not self._task.check_mode:
            dest = _folder(str(arguments["dest"]).strip(), self._loader)
            paths = [_write(dest, name, text) for name, text in file_contents(report)]
        problems = {each.host: list(each.problems[:_MOST]) for each in hosts if each.problems}
        totals = report["totals"]
        msg = "%d host%s: %d ok, %d with notices, %d with problems, %d unreachable%s" % (
            totals["hosts"],
            "" if totals["hosts"] == 1 else "s",
            totals["ok"],
            totals["notice"],
            totals["problem"],
            totals["unreachable"],
            "; see %s" % paths[0] if paths else "",
        )
        display.display(
            "terraform_binary_audit: %s" % printable(msg), stderr=True
        )  # a callback may write JSON to stdout
        return {"changed": False, "totals": totals, "problems": problems, "paths": paths, "msg": msg}

    def _dest(self, given: Any, task_vars: Params) -> Any:
        """Return the directory for the report. In the role, that is its variable, as no host has chosen it.

        :raises RequestError: a fact has its name, or the variable cannot be evaluated.
        """
        _check_dest(task_vars)
        if self._task._role is None or DEST not in task_vars:
            return given
        return template_without_facts(self, task_vars, {DEST: task_vars[DEST]}).get(DEST)


def _check_dest(task_vars: Params) -> None:
    """Refuse a directory that a host may have chosen. Raises RequestError."""
    facts = [name for name in task_vars.get("ansible_facts") or () if name == DEST or name in OF_CORE]
    try:
        check_facts({"ansible_facts": facts})
    except RequestError as exc:
        raise RequestError("%s: %s" % (task_vars.get("inventory_hostname"), exc), hint=exc.hint) from exc


def _answers(task_vars: Params) -> Dict[str, Tuple[Any, Any]]:
    """Return what each host of the play registered in this play, if its variables are what they should be."""
    hosts, hostvars = task_vars.get("ansible_play_hosts_all"), task_vars.get("hostvars")
    if not hosts or hostvars is None:
        raise RequestError(
            "there are no hosts of a play to report on", hint="use the role's entry point audit in a play"
        )
    asked = task_vars.get("ansible_play_hosts") or ()
    batch = task_vars.get("ansible_play_batch") or asked
    if not set(asked) <= set(batch):
        raise RequestError(
            "the play has serial, and this batch %d of %d hosts: an audit judges all of them together"
            % (len(set(batch)), len(set(asked))),
            hint="leave serial out; forks and throttle limit how many hosts work at once",
        )
    found: Dict[str, Tuple[Any, Any]] = {}
    for host in hosts:
        if host not in asked:  # it has failed before; what it registered is of an earlier audit
            found[str(host)] = (None, None)
            continue
        try:
            variables = hostvars.raw_get(host)  # what tasks registered contains no templates
            check_facts(variables)
            found[str(host)] = (variables.get(INFO), variables.get(LOOK))
            check_variables(variables)
        except RequestError as exc:  # with such facts, another base dir may have been looked at
            failure = {"failed": True, "msg": "%s; %s" % (exc, exc.hint)}
            found[str(host)] = (variables.get(INFO), failure) if str(host) in found else (failure, None)
        except AnsibleError as exc:
            found[str(host)] = ({"failed": True, "msg": "its variables cannot be read: %s" % exc}, None)
    return found


def _folder(dest: str, loader: Any) -> str:
    """Return the path of a directory: relative to the playbook, as the dest of fetch.

    The playbook of this collection is called by its name, and nobody looks for a report beside it: then it is relative to
    the working directory.
    """
    if os.path.realpath(loader.get_basedir()) == os.path.realpath(_PLAYBOOKS):
        return os.path.join(os.getcwd(), os.path.expanduser(dest))
    return str(loader.path_dwim(dest))


def _write(folder: str, name: str, text: str) -> str:
    """Write a file, which appears whole or not at all; return its path. Raises InstallError."""
    path = os.path.join(folder, name)
    hint = "choose another terraform_binary_audit_dest, a directory on the controller that this user may write"
    with os_error_context("write", path, InstallError, hint):
        os.makedirs(folder, exist_ok=True)
        fd, temporary = tempfile.mkstemp(prefix=".%s." % name, dir=folder)
        try:
            with os.fdopen(fd, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                os.fchmod(fd, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    return path
