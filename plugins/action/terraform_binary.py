# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part: plan on the target, obtain what is missing once for all hosts, push it, and run the module.

What only the controller can read (key files, its environment, credentials) is read here. The plan is the module in check
mode: where it finds nothing to do, that is the answer. The target repeats the whole verification of what it is sent.
"""

import collections
import contextlib
import errno
import os
import platform

from ansible import constants as C
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import (
    InstallError, RequestError, TerraformBinaryError, as_result, os_errors)
from ansible_collections.iac_platform.terraform.plugins.module_utils._model import SPEC
from ansible_collections.iac_platform.terraform.plugins.module_utils._report import facts, vouched
from ansible_collections.iac_platform.terraform.plugins.module_utils._versions import exact
from ansible_collections.iac_platform.terraform.plugins.module_utils._wish import check_site, parse_cache, parse_order
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._cache import Cache
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._delivery import Delivery, laid_out
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._folders import open_kept, open_run
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._kept import Kept
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._settings import for_target, with_environment

MODULE = "iac_platform.terraform.terraform_binary"
RUN_CACHE = "terraform_binary"      # below Ansible's own local temporary directory, which all forks share
KEY_FILE_CAP = 256 * 1024   # bytes
ARMOR = "-----BEGIN PGP"
PUBLIC_ARMOR = ARMOR + " PUBLIC KEY BLOCK-----"

display = Display()
# How often this process, which core forks for each task on each host, has run a task: until and loops run it again.
_TRIES = collections.Counter()


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        self._supports_check_mode = True
        self._supports_async = True     # in run() for ansible-core 2.15
        result = super().run(tmp, task_vars)
        _TRIES[self._task._uuid] += 1
        self._task_vars = task_vars or {}
        self._steps = []
        self._previous_version = None
        try:
            result.update(self._answer())
        except TerraformBinaryError as exc:
            side, host = ("target", self._host) if isinstance(exc, TransferError) else ("controller", platform.node())
            result.update(failed=True, steps=self._steps, previous_version=self._previous_version,
                          **as_result(exc, side, host))
        return result

    def cleanup(self, force=False):
        """A job in the background has taken its folder over by then; one that is still known here was ours alone."""
        super().cleanup(force=True)

    def _answer(self):
        of_task = {}
        self._compute_environment_string(of_task)
        of_task = {str(name): str(value) for name, value in of_task.items()}
        environ = dict(os.environ, **of_task)
        arguments = self._arguments(environ, of_task)
        params = _validated(arguments)
        if getattr(self._connection._shell, "_IS_WINDOWS", False):
            raise RequestError("%s is a Windows host: hosts have to be POSIX systems" % self._host)
        if params["download"] == "target":
            return self._module(arguments)
        sent, keeping = for_target(arguments), parse_cache(params)
        if arguments.get("archive") or params["state"] == "absent":
            return self._module(sent)
        plan = self._plan(sent)
        if plan.get("failed") or not plan.get("changed"):
            return self._unchanged(plan, sent)
        self._previous_version = plan["previous_version"]
        if not plan["needs_archive"]:
            return plan if self._task.check_mode and not self._task.async_val else self._module(sent)
        return self._delivered(plan, sent, params, environ, *keeping)

    def _plan(self, arguments):
        """What the module would do: its result in check mode."""
        before = self._task.check_mode
        self._task.check_mode = True
        try:
            return self._execute_module(module_name=MODULE, module_args=dict(arguments), task_vars=self._task_vars)
        finally:
            self._task.check_mode = before

    def _module(self, arguments):
        """The module for real (or in check mode, if that was asked for), in the background if that was asked for."""
        return self._execute_module(module_name=MODULE, module_args=dict(arguments), task_vars=self._task_vars,
                                    wrap_async=self._task.async_val)

    def _unchanged(self, plan, sent):
        """The plan as the answer; it has no facts yet, for it was made in check mode."""
        if plan.get("failed"):
            return plan
        if self._task.async_val:
            return self._module(sent)
        if not self._task.check_mode and "base_dir" in plan:
            plan["ansible_facts"] = dict(plan.get("ansible_facts") or {}, **facts("present", plan))
        return plan

    def _delivered(self, plan, sent, params, environ, folder, keep):
        """The answer where the archive is needed: it is obtained, laid out, brought, and installed by the module."""
        check = self._task.check_mode
        with contextlib.ExitStack() as stack:
            run = stack.enter_context(open_run(C.DEFAULT_LOCAL_TMP, RUN_CACHE))
            kept = Kept(stack.enter_context(open_kept(folder)), keep, self._say) if folder and not check else None
            tells = params["progress"] and not check
            cache = Cache(run, kept, self._say, self._show_waiting if tells else _silence,
                          "%s-%d" % (self._task._uuid, _TRIES[self._task._uuid]))
            order = parse_order(dict(params, archive=None, origin=None), plan["platform"])
            delivery = Delivery(order, cache, environ, self._say, self._show if tells else None)
            if check:
                vouching = delivery.vouch()
                if self._task.async_val:
                    return self._module(sent)
                return dict(plan, downloaded_bytes=vouching.downloaded_bytes, steps=self._steps + plan["steps"],
                            **vouched(vouching))
            parcel = delivery.obtain(unless=plan["archive_sha256"])     # known where only the vouching is short
            laid = stack.enter_context(laid_out(parcel, run.path))
            archive = self._bring(laid, parcel)
            result = self._module(dict(sent, archive=archive, origin=parcel.vouching.site))
            return result if self._task.async_val else self._completed(result, parcel, archive)

    def _bring(self, laid, parcel):
        """Have the files on the target: str, the path of the archive there. Raises TransferError."""
        name = parcel.vouching.archive_name
        if self._connection.transport == "local" and not self._is_become_unprivileged() and not self._task.async_val:
            return os.path.join(laid, name)     # the module can read it where it is
        shell = self._connection._shell
        if shell.tmpdir is None:
            self._make_tmp_path()
        sources = {paper: os.path.join(laid, paper) for paper in parcel.papers}
        if parcel.archive:
            sources[name] = parcel.archive
        places = {each: shell.join_path(shell.tmpdir, each) for each in sources}
        for each, source in sources.items():
            self._send(source, places[each])
            self._say("sent to %s: %s" % (self._host, places[each]))
        self._let_read(list(places.values()))
        return shell.join_path(shell.tmpdir, name)

    def _send(self, source, place):
        try:
            self._transfer_file(source, place)
        except AnsibleConnectionFailure:
            raise       # the host is unreachable, which core has its own way to tell
        except AnsibleError as exc:
            with os_errors("look at", source):
                size = os.stat(source).st_size
            free = self._free_bytes()
            room = "" if free is None else "; its file system has %d bytes free" % free
            raise TransferError(
                "sending %d bytes to %s:%s failed%s: %s" % (size, self._host, place, room, exc), path=place,
                errno=errno.ENOSPC if free is not None and free < size else errno.EIO,
                hint="free some space there, or set ansible_remote_tmp to a directory on another file system") from exc

    def _free_bytes(self):
        """Room for a plain user in the target's temporary directory; None when that cannot be told (df(1), POSIX)."""
        shell = self._connection._shell
        told = self._low_level_execute_command("df -Pk %s" % shell.quote(shell.tmpdir), sudoable=False)
        words = told["stdout"].strip().splitlines()[-1:] if told["rc"] == 0 else []
        fields = words[0].split() if words else []
        return int(fields[3]) * 1024 if len(fields) >= 6 and fields[3].isdigit() else None

    def _let_read(self, places):
        """Let the become user read what was sent."""
        paths = [self._connection._shell.tmpdir] + places
        try:
            self._fixup_perms2(paths)
        except AnsibleError:
            # No setfacl(1) there. A published release is no secret, and what is read is verified again.
            done = self._remote_chmod(paths, "a+rX")
            if done["rc"]:
                raise

    def _completed(self, result, parcel, archive):
        """The module's result, with what the controller did before it."""
        if result.get("failed") or result.get("changed"):   # or another run did it just now: there is not much to tell
            result["steps"] = self._steps + list(result.get("steps") or [])
        if not result.get("failed"):
            result["downloaded_bytes"] = parcel.downloaded_bytes
            return result
        error = result.get("error") or {}
        if error.get("step") == "verify" and error.get("path") == archive:
            error["hint"] = "the controller had the right bytes: look at the connection to %s, and at its remote_tmp" % self._host
            result["msg"] = ("the transfer spoilt the archive: %s; %s" % (result["msg"].partition(";")[0], error["hint"]))[:400]
        return result

    @property
    def _host(self):
        return self._task.delegate_to or self._task_vars.get("inventory_hostname") or "the target"

    def _say(self, line, warning=False):
        line = "controller: %s" % "".join(char if char.isprintable() else "?" for char in line)
        self._steps.append(line)
        display.vvv(line, host=self._host)
        if warning:
            display.warning("%s: %s" % (self._host, line))

    def _show(self, line):
        display.display("terraform_binary: [%s] %s" % (self._host, line))

    def _show_waiting(self, what):
        self._show("waiting for the download of %s for another host" % what)

    def _arguments(self, environ, of_task):
        """The task's own arguments, null and blank ones dropped, key files replaced by their text."""
        arguments = {key: value for key, value in self._task.args.items() if not _blank(value)}
        if "version" not in arguments:
            exact(None)         # its refusal says what to write; that of core would not
        arguments = with_environment(arguments, environ, of_task)
        keys = _listed(arguments.get("trusted_keys"))
        if keys:
            arguments["trusted_keys"] = [self._read_key(key) for key in keys]
        for site in _listed(arguments.get("sites")):
            check_site(site)    # before the module logs its arguments
        return arguments

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


class TransferError(InstallError):
    """The archive could not be sent to the target."""


def _validated(arguments):
    """The task's arguments as the module will see them, to decide by; they travel as they are. Raises RequestError."""
    checked = ArgumentSpecValidator(SPEC).validate(arguments)
    if checked.error_messages:
        words = "; ".join(
            "Unsupported parameters for (%s): %s" % (MODULE, error.msg) if isinstance(error, UnsupportedError) else error.msg
            for error in checked.errors.errors)
        raise RequestError(remove_values(words, checked._no_log_values))
    return checked.validated_parameters


def _silence(what):
    """For those who do not want to hear."""


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
