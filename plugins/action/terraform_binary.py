# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part: what only the controller can read is read here, then the module runs on the target."""

import os

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import (
    RequestError, TerraformBinaryError, as_result, os_errors)
from ansible_collections.iac_platform.terraform.plugins.module_utils._constraints import read as read_version
from ansible_collections.iac_platform.terraform.plugins.module_utils._wish import check_site
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._version_file import read_version_file

MODULE = "iac_platform.terraform.terraform_binary"
KEY_FILE_CAP = 256 * 1024   # bytes
ARMOR = "-----BEGIN PGP"
PUBLIC_ARMOR = ARMOR + " PUBLIC KEY BLOCK-----"


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        self._supports_check_mode = True
        self._supports_async = True     # in run() for ansible-core 2.15
        result = super().run(tmp, task_vars)
        self._version_file = None
        try:
            arguments = self._arguments()
        except TerraformBinaryError as exc:
            host = (task_vars or {}).get("inventory_hostname")
            result.update(failed=True, steps=[], previous_version=None, **as_result(exc, "controller", host))
            return result
        result.update(self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars,
                                           wrap_async=self._task.async_val))
        self._tell_version_file(result)
        return result

    def _tell_version_file(self, result):
        """Put into the module's result what only this side knows. (A job that was only started has no steps.)"""
        found = self._version_file
        if found is not None and "steps" in result:
            result["steps"] = ["controller: version %s from %s" % (found.version, found.places)] + result["steps"]
            if "requested" in result:
                result["requested"] = found.text

    def _arguments(self):
        """The task's own arguments, null and blank ones dropped, key files replaced by their text."""
        arguments = {key: value for key, value in self._task.args.items() if not _blank(value)}
        arguments.update(self._find_version(arguments.get("version"), arguments.pop("version_file", None)))
        keys = _listed(arguments.get("trusted_keys"))
        if keys:
            arguments["trusted_keys"] = [self._read_key(key) for key in keys]
        for site in _listed(arguments.get("sites")):
            check_site(site)    # before the module logs its arguments
        return arguments

    def _find_version(self, version, version_file):
        """The option version, as it was written or as version_file has it: dict. Raises RequestError.

        What is no version is refused here, where it still has the type that YAML gave it.
        """
        if version_file is None:
            read_version(version)
            return {"version": version}
        if version is not None:
            raise RequestError("both version and version_file are given", hint="leave one of them out")
        path = os.path.expanduser(str(version_file).strip())
        try:
            found = self._find_needle("files", path)
        except AnsibleError as exc:
            raise RequestError("version_file: %s is neither a file nor a folder on the controller" % ascii(path[:200]),
                               hint="paths are searched as copy does its src") from exc
        self._version_file = read_version_file(found)
        return {"version": self._version_file.version}

    def _read_key(self, key):
        """An armored key: the text given, or that of a file on the controller, found the way copy finds its src.

        Raises RequestError.
        """
        if ARMOR in key or "\n" in key:
            return _check_armor(key, "an entry")
        try:
            found = self._find_needle("files", os.path.expanduser(key))
        except AnsibleError as exc:
            raise RequestError("trusted_keys: %s is neither an armored key nor a file on the controller" % ascii(key[:100]),
                               hint="paths are searched as copy does its src") from exc
        with os_errors("trusted_keys: read", found, RequestError):
            with open(found, encoding="utf-8", errors="replace") as stream:
                text = stream.read(KEY_FILE_CAP + 1)
        if len(text) > KEY_FILE_CAP:
            raise RequestError("trusted_keys: %s is larger than %d bytes" % (found, KEY_FILE_CAP), path=found,
                               hint="is it the right file?")
        return _check_armor(text, found, found)


def _check_armor(text, where, path=None):
    """A key as it may travel to the target. Raises RequestError, which shows nothing of it."""
    if PUBLIC_ARMOR not in text or "PRIVATE KEY" in text:   # a private one must stay on the controller
        raise RequestError("trusted_keys: %s is not an armored OpenPGP key, or not a public one" % where, path=path,
                           hint="export it with gpg --armor --export")
    return text


def _blank(value):
    return value is None or value == [] or isinstance(value, str) and not value.strip()


def _listed(value):
    """A list option as a list of str, however the playbook wrote it."""
    if isinstance(value, str) and ARMOR not in value:
        value = value.split(",")
    values = value if isinstance(value, list) else [value]
    return [str(item).strip() for item in values if not _blank(item)]
