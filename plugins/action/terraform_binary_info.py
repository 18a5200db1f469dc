# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of terraform_binary_info: it runs the module, and lets nothing of its answer pass unchecked."""

from typing import Any, Set

from ansible import constants as C
from ansible.executor import module_common
from ansible.plugins.action import ActionBase
from ansible_collections.iac_platform.terraform.plugins.action import terraform_binary
from ansible_collections.iac_platform.terraform.plugins.module_utils._argument_spec import INFO_SPEC, SPEC
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import (
    TerraformBinaryError,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._records import Params
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._answers.gate import Asked, as_raw, read_answer
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._answers.host_info import (
    as_result,
    asked_info,
    read_host_info,
)
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task.options import (
    as_list,
    decrypt_values,
    is_blank,
)
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task.script import (
    find_obstacle,
    lent_to,
    write_info_script,
)
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task.variables import check_options, check_types

MODULE = "iac_platform.terraform.terraform_binary_info"
_GROUPS = "group/iac_platform.terraform."
_ANY = Asked(base_dir=None, link=None)  # a failure repeats nothing of the request
_OF_A_FAILURE = ("msg", "error", "exception", "module_stdout", "module_stderr", "rc", "warnings")


class ActionModule(terraform_binary.ActionModule):
    TRANSFERS_FILES = False

    @property
    def _of_role(self) -> bool:
        """Leave the role's variables, its fact, and its report to the role's main task."""
        return False

    def _outcome(self) -> Params:
        given = decrypt_values(self._task.args)
        others = self._of_group() & SPEC.keys() - INFO_SPEC.keys()  # defaults of the group that are not for this module
        arguments = {key: value for key, value in given.items() if not is_blank(value) and key not in others}
        check_options(arguments, INFO_SPEC, MODULE)
        check_types(arguments, INFO_SPEC)
        links = as_list(arguments.get("links"))
        arguments.update({"links": links} if links else {})  # core does not remove the blanks around a comma
        terraform_binary.validate_arguments(arguments, INFO_SPEC)
        self._check_system()
        raw = self._raw(arguments)
        if isinstance(raw, dict) and (raw.get("failed") or self._task.async_val):
            answer = read_answer(raw, self._host, _ANY, bool(self._task.async_val))
            result = as_raw(answer)
            if answer.failed:
                kept = {name: result[name] for name in _OF_A_FAILURE if name in result}
                result = self._named(dict(kept if answer.error else self._explained(kept), failed=True, changed=False))
        else:
            asked = asked_info(arguments.get("base_dir"), links)
            result = as_result(read_host_info(raw, self._host, asked))
        facts = self._discovered_facts()
        return dict(result, ansible_facts=facts) if facts else result

    def _of_group(self) -> Set[str]:
        """Return the options that module_defaults sets for a group of the collection's modules."""
        found: Set[str] = set()
        for defaults in self._task.module_defaults or ():
            for name, options in defaults.items():
                if str(name).startswith(_GROUPS) and isinstance(options, dict):
                    found.update(options)
        return found

    def _raw(self, arguments: Params) -> Any:
        """Run the module on the target, as a plain script where that is possible: what it answered, unchecked."""
        job = self._task.async_val
        if job or find_obstacle(self, ActionBase, module_common, self._task_vars):
            return self._execute_module(
                module_name=MODULE, module_args=arguments, task_vars=self._task_vars, wrap_async=job
            )
        script = write_info_script(C.DEFAULT_LOCAL_TMP)
        with lent_to(self, script):
            return self._execute_module(
                module_name=MODULE,
                module_args=terraform_binary.typed_arguments(arguments, INFO_SPEC),
                task_vars=self._task_vars,
            )

    def _failure(self, exc: TerraformBinaryError) -> Params:
        failure = super()._failure(exc)
        return {name: value for name, value in failure.items() if name not in ("steps", "previous_version")}
