# Copyright: Contributors to the iac_platform.terraform project
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part: plan on the target, download once for all hosts, send the files, run the module.

It reads what only the controller can read: key files, its environment, credentials. The plan is a run of the module in
check mode; if that finds nothing to do, it is the answer. The target verifies again everything that it is sent.
"""

import collections
import contextlib
import errno
import importlib
import os
import platform
import re
from typing import Any, Counter, Dict, Iterator, List, Mapping, Optional, Set, Tuple

from ansible import constants as C
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.executor import module_common
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.common.validation import check_type_dict
from ansible.plugins.action import ActionBase
from ansible.template import Templar
from ansible.utils.display import Display
from ansible.vars import manager
from ansible_collections.iac_platform.terraform.plugins.module_utils._argument_spec import SPEC
from ansible_collections.iac_platform.terraform.plugins.module_utils._errors import (
    FetchError,
    InstallError,
    RequestError,
    TerraformBinaryError,
    compose_message,
    os_error_context,
    printable,
    redacted,
    to_result,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._http.credentials import (
    SHORTEST_SECRET,
    secrets_of,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._records import (
    DEFAULT_BASE_DIR,
    DownloadRequest,
    Params,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._release.layout import detect_platform
from ansible_collections.iac_platform.terraform.plugins.module_utils._release.resolver import (
    resolve_version,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._request.parse import (
    parse_cache_options,
    parse_download_request,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._run.results import (
    failed_facts,
    success_facts,
    with_fetch,
    with_provenance,
)
from ansible_collections.iac_platform.terraform.plugins.module_utils._versions.constraint import (
    parse_version_spec as read_version,
)
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._answers.gate import (
    Answer,
    AnswerError,
    Asked,
    as_raw,
    asked_path,
    check_target_path,
    read_answer,
    refuses_script,
)
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._cache.run import RunCache, enter_run
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._cache.store import (
    RUN_DIR,
    Store,
    find_cache_dir,
    open_cache_dir,
)
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._download.progress import describe_change
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._download.release import (
    ControllerDownload,
    StagedRelease,
    staging_directory,
)
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task.key_files import (
    NOT_FOUND_HINT,
    read_file_options,
    read_trusted_key,
)
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task.options import (
    apply_environment,
    as_list,
    decrypt_values,
    is_blank,
    target_arguments,
)
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task.script import (
    find_obstacle,
    lent_to,
    write_script,
)
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._task.variables import (
    OF_CORE,
    REPORT,
    RESULT,
    ROLE,
    check_facts,
    check_options,
    check_types,
    read_role_variables,
    report_wanted,
)
from ansible_collections.iac_platform.terraform.plugins.plugin_utils._version_file.read import read_version_file

MODULE = "iac_platform.terraform.terraform_binary"
ANY_VERSION = "0.0.0"  # a plan for any version reports what the target has
_LOOKS = 4  # most plans on a target for one version: a guess, its correction, and what that one finds
_LEAST_PYTHON = (3, 6)
_MORE_THAN_A_LOOK = frozenset(("archive", "keep", "trusted_keys"))  # options with which a plan takes the whole script

display = Display()
# How often this process has run a task: core forks it for each task and host, and until and loops run it again.
_TRIES: Counter[str] = collections.Counter()


def template_without_facts(action: ActionBase, task_vars: Params, variable: Params) -> Params:
    """Evaluate the templates in a variable of the role, whose value no host must choose by a fact.

    To ansible-core, a fact ``mirror`` overrides a variable ``mirror`` of the inventory. Here it does not, for any host.
    Templates that say ``ansible_facts.mirror`` or ``ansible_mirror`` ask for what a host says, and get it.

    :param action: the plugin of the task.
    :param variable: dict of one name and value.
    :returns: dict of the same name, or an empty one if the value is omit.
    :raises RequestError: a template cannot be evaluated; or a fact has a name that core itself uses.
    """
    check_facts({"ansible_facts": [name for name in task_vars.get("ansible_facts") or () if name in OF_CORE]})
    named = [name for name in task_vars.get("ansible_facts") or () if name in task_vars and not _is_explicit(name)]
    templar = action._templar
    if named:
        templar = Templar(loader=action._loader, variables=_variables_without(named, action._task, task_vars))
    try:
        with _explicit_facts():
            found: Params = templar.template(variable)
    except AnsibleError as exc:
        raise RequestError(
            "the variable %s has no value: %s" % (*variable, exc),
            hint="look at where it is set; a fact counts only as ansible_facts.<name>"
            if named
            else "look at where it is set",
        ) from exc
    return found


def _is_explicit(name: str) -> bool:
    """Whether a variable of this name is asked for as a fact, and not mistaken for something else."""
    return name.startswith("ansible_") or name == RESULT


@contextlib.contextmanager
def _explicit_facts() -> Iterator[None]:
    """While the body runs, core makes no variables of other facts: neither in hostvars nor in lookups."""
    clean = manager.clean_facts
    manager.clean_facts = lambda facts: {name: value for name, value in clean(facts).items() if _is_explicit(name)}
    try:
        yield
    finally:
        manager.clean_facts = clean


def _variables_without(named: List[str], task: Any, task_vars: Params) -> Params:
    """Return the variables of a task as they would be without facts of these names.

    :param named: names of facts of the host that are variables too; what overrides facts may have set these.
    """
    with_facts = _ask_again(task, task_vars)
    with _explicit_facts():
        without = _ask_again(task, task_vars)
    changed = dict(task_vars)
    for name in set(named) - {"hostvars", "vars"}:  # which core sets last
        if name in with_facts and (name not in without or with_facts[name] != without[name]):
            del changed[name]
            if name in without:
                changed[name] = without[name]
    if isinstance(changed.get("vars"), dict):  # the same again, up to ansible-core 2.18
        changed["vars"] = {name: value for name, value in changed.items() if name != "vars"}
    return changed


def _ask_again(task: Any, task_vars: Params) -> Params:
    """Return what core's variable manager says now: the variables of a task, without those of its loop."""
    host = task_vars["hostvars"]._inventory.get_host(task_vars["inventory_hostname"])
    found: Params = task.get_variable_manager().get_vars(play=task.get_play(), host=host, task=task)
    return found


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._task_vars: Params = {}
        self._begin()

    def _begin(self) -> None:
        self._requested: Optional[str] = None  # the version as it was written
        self._written = ""  # the same, before it is parsed
        self._origin: Tuple[str, ...] = ()  # a line that says where it was written, if not in the task
        self._steps: List[str] = []
        self._warnings: List[str] = []
        self._previous_version: Optional[str] = None
        self._state = ""  # the option state
        self._platform: Optional[str] = None  # the option platform
        self._shows_progress = False  # the option progress: show lines about long steps
        self._sends_secrets = False  # the target downloads, so it gets all options
        self._secrets: Tuple[str, ...] = ()  # texts that sites, proxies and targets could repeat

    def run(self, tmp: Any = None, task_vars: Optional[Params] = None) -> Params:
        self._supports_check_mode = True
        self._supports_async = True  # in run() for ansible-core 2.15
        result: Params = super().run(tmp, task_vars)
        _TRIES[self._task._uuid] += 1
        self._task_vars = task_vars or {}
        self._begin()  # again: until may run this object several times
        reports = False
        try:
            reports = self._of_role and report_wanted(self._task_vars, self._template)
            result.update(self._outcome())
        except TerraformBinaryError as exc:
            result.update(self._failure(exc))
        except AnsibleConnectionFailure:
            raise  # core itself reports that the host is unreachable
        except AnsibleError as exc:
            result.update(
                self._failure(
                    StartError(
                        "Ansible cannot run the module: %s" % exc, hint="ansible-playbook -vvv shows what it tried"
                    )
                )
            )
        if "requested" in result:
            result["requested"] = self._requested
        if self._warnings:
            result["warnings"] = self._warnings + list(result.get("warnings") or [])
        result = redacted(result, self._secrets)
        if reports and "inventory_hostname" not in (
            self._task_vars.get("ansible_facts") or ()
        ):  # or it is of another host
            result["ansible_stats"] = self._report(result)
        return result

    def _outcome(self) -> Params:
        """Do what the task asks for, and return its result. Raises TerraformBinaryError."""
        return self._result(self._answer())

    def _report(self, result: Params) -> Params:
        """Return this host's part of the report on all hosts, in the form of ansible.builtin.set_stats.

        Core takes it from the result of any task that did not fail, and the role's task never fails. It has few and
        plain values, because it may cover thousands of hosts.
        """
        found: Params = {key: result.get(key) for key in ("version", "path", "msg")}
        found.update(changed=bool(result.get("changed")), failed=bool(result.get("failed")))
        found["error"] = found["msg"] if found["failed"] else None
        return {"data": {REPORT: {self._task_vars["inventory_hostname"]: found}}, "per_host": False, "aggregate": True}

    def _failure(self, exc: TerraformBinaryError) -> Params:
        """Turn a typed error into the result of the task, about the target or the controller."""
        of_target = isinstance(exc, (TransferError, AnswerError, StartError))
        side, host = ("target", self._host) if of_target else ("controller", platform.node())
        exc.redact(self._secrets)  # before anything is cut: half a secret is not recognized
        found = to_result(exc, side, host)
        return self._named(dict(found, failed=True, steps=self._steps, previous_version=self._previous_version))

    def _named(self, result: Params) -> Params:
        """Start the message of a failure with the machine that it is about, and add the fact."""
        result = redacted(result, self._secrets)  # before anything is cut
        error = dict(result["error"])
        if error["side"] == "target":
            error["host"] = self._host
        hint = error["hint"]
        message = result["msg"][: -len(hint) - 2] if hint and result["msg"].endswith("; " + hint) else result["msg"]
        message = compose_message(message, hint, self._host if error["side"] == "target" else "controller")
        found = dict(result, msg=message, error=error)
        if (
            self._of_role and not self._task.check_mode
        ):  # core drops facts outside the role; a prediction must not enter a cache
            found["ansible_facts"] = failed_facts(found, self._requested or self._written)
        return found

    def cleanup(self, force: bool = False) -> None:
        """Remove temporary files. A background job owns its directory by now; a directory known here is only ours."""
        super().cleanup(force=True)
        self._loader.cleanup_all_tmp_files()  # the copies from _decrypt()

    def _answer(self) -> Answer:
        of_task: Dict[str, Any] = {}
        self._compute_environment_string(of_task)
        of_task = {str(name): str(value) for name, value in of_task.items()}
        environ = dict(os.environ, **of_task)
        arguments = self._arguments(environ, of_task)
        params = validate_arguments(arguments, SPEC)
        self._secrets = secrets_of(params, environ)
        self._check_system()
        self._state, self._platform, self._shows_progress = params["state"], params["platform"], params["progress"]
        if params["state"] == "absent":
            return self._with_steps(self._module(target_arguments(arguments)))
        if params["download"] == "target":
            self._sends_secrets = True
            return self._with_steps(self._module(arguments))
        sent = target_arguments(arguments)
        if arguments.get("archive"):
            return self._with_steps(self._module(sent))
        with contextlib.ExitStack() as stack:
            return self._from_controller(sent, params, environ, stack)

    def _check_system(self) -> None:
        """Refuse a Windows host. Raises RequestError."""
        if getattr(self._connection._shell, "_IS_WINDOWS", False):
            raise RequestError(
                "%s is a Windows host: hosts have to be POSIX systems" % self._host,
                hint="leave it out of this play, or limit the play to other hosts",
            )

    def _from_controller(
        self, sent: Params, params: Params, environ: Mapping[str, str], stack: contextlib.ExitStack
    ) -> Answer:
        """Return the answer if the controller downloads."""
        order = parse_download_request(params, params["platform"])
        parse_cache_options(params)
        explanation: Tuple[str, ...] = ()
        if order.version or order.wanted.is_previous:  # what the link pointed to before, only the target knows
            plan = self._plan(sent)
        else:
            delivery = self._delivery(order, params, environ, stack)
            plan, explanation = self._chosen(order, delivery, sent)
            if not plan.failed:
                plan = plan._replace(downloaded_bytes=delivery.downloaded_bytes)
                sent = dict(sent, version=plan.version)
        if plan.failed or not plan.changed:
            return self._unchanged(plan, sent, explanation)
        self._previous_version = plan.previous_version
        if not plan.needs_archive:
            return self._with_steps(plan if self._task.check_mode and not self._task.async_val else self._module(sent))
        order = parse_download_request(dict(params, archive=None, origin=None), plan.platform, plan.version)
        return self._delivered(plan, sent, self._delivery(order, params, environ, stack), stack)

    def _delivery(
        self, order: DownloadRequest, params: Params, environ: Mapping[str, str], stack: contextlib.ExitStack
    ) -> ControllerDownload:
        """Return the ControllerDownload; the stack closes its cache."""
        folder, keep = parse_cache_options(params)
        check = self._task.check_mode
        shows_progress = self._shows_progress and not check
        run = stack.enter_context(enter_run(C.DEFAULT_LOCAL_TMP, self._log))
        kept = Store(stack.enter_context(open_cache_dir(folder)), self._log, keep) if folder and not check else None
        found = find_cache_dir(folder) if folder and check else None
        seen = Store(stack.enter_context(found), self._log) if found else None
        cache = RunCache(
            run,
            kept,
            self._log,
            self._display_waiting if shows_progress else _null_log,
            "%s-%d" % (self._task._uuid, _TRIES[self._task._uuid]),
            self._host,
            seen,
        )
        return ControllerDownload(order, cache, environ, self._log, self._display_line if shows_progress else None)

    def _chosen(
        self, order: DownloadRequest, delivery: ControllerDownload, sent: Params
    ) -> Tuple[Answer, Tuple[str, ...]]:
        """Choose the version for ``latest`` or a constraint, once the target reports its platform and versions.

        A first guess, for the target's probable platform and without its installed versions, saves a run of the module
        if it is right. The looks may be for a version that is older than what the link means; the last plan must not.

        :returns: (the plan for the version, tuple of the line that says how it was chosen).
        """
        try:
            guessed = order._replace(platform=order.platform or detect_platform(platform.system(), platform.machine()))
            version, _explanation = resolve_version(guessed, (), delivery.listing, _null_log)
        except (FetchError, RequestError):
            version = ANY_VERSION  # an installed version may still be enough
        look = dict(sent, allow_downgrade=True) if "allow_downgrade" in sent else sent
        plan = self._plan(dict(look, version=version))
        order = order._replace(platform=plan.platform)
        intact: Set[str] = set()
        for _look in range(_LOOKS):
            if plan.failed:
                return plan, ()
            # A plan checks versions newer than its own in full, so a plan for a lower version may find more intact
            # ones.
            intact.update(plan.intact_versions)
            version, _explanation = resolve_version(order, sorted(intact), delivery.listing, _null_log)
            if version == plan.version:
                break
            plan = self._plan(dict(look, version=version))
        version, explanation = resolve_version(order, sorted(intact), delivery.listing, self._log)
        if plan.version != version or look is not sent and plan.changed:
            plan = self._plan(dict(sent, version=version))
        return plan, (explanation,)

    def _with_steps(self, answer: Answer) -> Answer:
        """Return an Answer with the controller's steps before the target's."""
        return answer._replace(steps=tuple(self._steps) + answer.steps)

    def _plan(self, arguments: Params) -> Answer:
        """Run the module in check mode: its Answer. Raises AnswerError."""
        before = self._task.check_mode
        self._task.check_mode = True
        try:
            return self._ask(arguments, False)
        finally:
            self._task.check_mode = before

    def _module(self, arguments: Params) -> Answer:
        """Run the module as the task requests it: for real or in check mode, in the background or not."""
        return self._ask(arguments, self._task.async_val)

    def _ask(self, arguments: Params, wrap_async: int) -> Answer:
        """Run the module on the target: its Answer. Raises AnswerError."""
        raw = None if wrap_async or self._sends_secrets else self._run_script(arguments)
        if raw is None:
            raw = self._execute_module(
                module_name=MODULE, module_args=dict(arguments), task_vars=self._task_vars, wrap_async=wrap_async
            )
        wanted = read_version(arguments["version"])
        asked = Asked(
            wanted.version if self._state == "present" else None,
            wanted.allows,
            self._platform,
            asked_path(arguments.get("base_dir"), DEFAULT_BASE_DIR),
            asked_path(arguments.get("link"), ""),
            not wanted.is_previous,
            self._state == "absent" or "keep" in arguments,
        )
        return read_answer(raw, self._host, asked, bool(wrap_async))

    def _run_script(self, arguments: Params) -> Optional[Params]:
        """Run the module as a plain script, which takes a fraction of the time; None: the module itself has to run."""
        reason = find_obstacle(self, ActionBase, module_common, self._task_vars)
        if reason is None:
            looks = self._task.check_mode and self._state == "present" and not arguments.keys() & _MORE_THAN_A_LOOK
            is_previous = read_version(arguments["version"]).is_previous
            script = write_script(C.DEFAULT_LOCAL_TMP, is_previous or not looks)
            with lent_to(self, script):
                raw: Params = self._execute_module(
                    module_name=MODULE, module_args=typed_arguments(arguments, SPEC), task_vars=self._task_vars
                )
            if not refuses_script(raw):
                return raw
            reason = "SELinux is on there"
        display.vv("terraform_binary: the module itself runs, not a script: %s" % reason, host=self._host)
        return None

    def _result(self, answer: Answer) -> Params:
        """Turn an Answer into the result of the task. The controller sets the facts, and drops those of a target."""
        result = as_raw(answer)
        if answer.failed:
            result = self._named(result if answer.error else self._explained(result))
        known: Params = dict(result.pop("ansible_facts", {}), **self._discovered_facts())
        predicted = self._task.check_mode and answer.changed  # a prediction must not enter a fact cache
        if not (answer.failed or answer.job or predicted) and answer.base_dir:
            known.update(success_facts(self._state, result))
        if self._shows_progress and answer.changed and not (answer.failed or answer.job or self._task.check_mode):
            self._display_line(describe_change(answer))
        return dict(result, ansible_facts=known) if known else result

    def _discovered_facts(self) -> Params:
        """Return the one fact that core adds to each module's result."""
        return (
            {self._discovered_interpreter_key: self._discovered_interpreter} if self._discovered_interpreter_key else {}
        )

    def _explained(self, result: Params) -> Params:
        """Explain why a module did not start, from its output."""
        printed = "\n".join(result.get(name) or "" for name in ("module_stderr", "module_stdout", "exception"))
        lines = [line.strip() for line in printed.splitlines() if line.strip()]
        # Python prints the error last, other programs print it first.
        reason = (
            [line for line in lines if re.match(r"\w*(Error|Exception)\b", line)][-1:]
            or lines[:1]
            or ["the module ended without an answer"]
        )[0]
        version, path = self._find_python()
        hint = "ansible-playbook -vvv shows all that it printed"
        if re.search("sudo.*not found", reason):
            hint = "there is no sudo: leave become out, log in as root, or set ansible_become_method"
        elif not version:
            hint = "no Python answers as %s there: install python3, or set ansible_python_interpreter" % path
        elif version < _least_python():
            reason = "Python is %s (%s): %s or later is needed" % (
                ".".join(map(str, version)),
                path,
                ".".join(map(str, _least_python())),
            )
            hint = "install a newer python3 there, or set ansible_python_interpreter to one that is there"
        elif "No module named" in reason:
            hint = "install the whole of Python's standard library there (Debian: python3, not python3-minimal)"
        failure = to_result(StartError(reason, hint=hint), "target", self._host)
        return dict(result, msg=failure["msg"], error=failure["error"])

    def _find_python(self) -> Tuple[Optional[Tuple[int, ...]], str]:
        """Find the target's Python: (tuple of three int, or None if it does not answer; str: its path)."""
        path = self._discovered_interpreter or self._task_vars.get("ansible_python_interpreter")
        if not path or str(path).startswith("auto"):
            path = (self._task_vars.get("ansible_facts") or {}).get("discovered_interpreter_python") or "python3"
        shell = self._connection._shell
        output = self._low_level_execute_command(
            "%s -c %s"
            % (
                shell.quote(str(path)),
                shell.quote("import sys; print('%d %d %d %s' % (sys.version_info[:3] + (sys.executable,)))"),
            ),
            sudoable=False,
        )
        found = re.match(r"([0-9]{1,4}) ([0-9]{1,4}) ([0-9]{1,4}) (\S{1,200})$", output["stdout"].strip())
        return (
            (tuple(map(int, found.groups()[:3])), printable(found.group(4))) if found else (None, printable(str(path)))
        )

    def _unchanged(self, plan: Answer, sent: Params, explanation: Tuple[str, ...]) -> Answer:
        """Return the plan as the answer."""
        if plan.failed:
            return self._with_steps(plan)
        if self._task.async_val:
            return self._module(sent)
        explanation = self._origin + explanation  # nothing was done, so drop the other steps
        return plan._replace(steps=("controller: %s" % "; ".join(explanation),) * bool(explanation) + plan.steps)

    def _delivered(
        self, plan: Answer, sent: Params, delivery: ControllerDownload, stack: contextlib.ExitStack
    ) -> Answer:
        """Return the answer if the archive is needed: download, stage and send it, and run the module."""
        if self._task.check_mode:
            provenance = delivery.provenance()
            if self._task.async_val:
                return self._module(sent)
            came = plan.downloaded_bytes + provenance.downloaded_bytes
            shown = plan.shown
            if "diff" in shown and plan.archive_sha256 != provenance.archive_sha256:
                shown = dict(shown, diff=with_fetch(shown["diff"], delivery.bytes_to_fetch(provenance)))
            return self._with_steps(plan._replace(downloaded_bytes=came, shown=shown, **with_provenance(provenance)))
        staged = delivery.obtain(unless=plan.archive_sha256)  # set if only the provenance is missing
        staging = stack.enter_context(staging_directory(staged, os.path.join(C.DEFAULT_LOCAL_TMP, RUN_DIR)))
        archive = self._bring(staging, staged)
        sent = dict(sent, archive=archive, origin=staged.provenance.site)
        if staged.provenance.policy == "sha256sums":
            # Unsigned SHA256SUMS is only as trustworthy as its directory, which on the host belongs to the login user.
            sent["checksum"] = staged.provenance.archive_sha256
        result = self._module(sent)
        return result if self._task.async_val else self._completed(result, plan, staged, archive)

    def _bring(self, staging: str, staged: StagedRelease) -> str:
        """Put the files on the target: str, the path of the archive there. Raises TransferError."""
        name = staged.provenance.archive_name
        if self._connection.transport == "local" and not self._is_become_unprivileged() and not self._task.async_val:
            return os.path.join(staging, name)  # the module can read it in place
        shell = self._connection._shell
        if shell.tmpdir is None:
            self._make_tmp_path()
        check_target_path(shell.tmpdir, self._host)  # without pipelining, core has already made it
        sources = {file_name: os.path.join(staging, file_name) for file_name in staged.verification_files}
        if staged.archive:
            sources[name] = staged.archive
        places = {each: shell.join_path(shell.tmpdir, each) for each in sources}
        for each, source in sources.items():
            self._send(source, places[each])
            self._log("sent to %s: %s" % (self._host, places[each]))
        self._let_read(list(places.values()))
        place: str = shell.join_path(shell.tmpdir, name)
        return place

    def _send(self, source: str, place: str) -> None:
        try:
            self._transfer_file(source, place)
        except AnsibleConnectionFailure:
            raise  # core itself reports that the host is unreachable
        except AnsibleError as exc:
            with os_error_context("look at", source):
                size = os.stat(source).st_size
            free = self._free_bytes()
            room = "" if free is None else "; its file system has %d bytes free" % free
            raise TransferError(
                "sending %d bytes to %s:%s failed%s: %s" % (size, self._host, place, room, str(exc)[:120]),
                path=place,
                errno=errno.ENOSPC if free is not None and free < size else errno.EIO,
                hint="free some space there, or set ansible_remote_tmp to a directory on another file system",
            ) from exc

    def _free_bytes(self) -> Optional[int]:
        """Return the bytes free to plain users in the target's temporary directory; None if unknown (df(1), POSIX)."""
        shell = self._connection._shell
        output = self._low_level_execute_command("df -Pk %s" % shell.quote(shell.tmpdir), sudoable=False)
        words = output["stdout"].strip().splitlines()[-1:] if output["rc"] == 0 else []
        fields = words[0].split() if words else []
        return int(fields[3]) * 1024 if len(fields) >= 6 and re.match(r"[0-9]{1,15}\Z", fields[3]) else None

    def _let_read(self, places: List[str]) -> None:
        """Let the become user read the sent files."""
        paths = [self._connection._shell.tmpdir] + places
        try:
            self._fixup_perms2(paths)
        except AnsibleError:
            # There is no setfacl(1). A published release is not secret, and the module verifies what it reads.
            done = self._remote_chmod(paths, "a+rX")
            if done["rc"]:
                raise

    def _completed(self, result: Answer, plan: Answer, staged: StagedRelease, archive: str) -> Answer:
        """Add what the controller did to the module's Answer."""
        if result.failed or result.changed:  # otherwise another run just did it: drop our steps
            result = self._with_steps(result)
        if not result.failed:
            return result._replace(downloaded_bytes=plan.downloaded_bytes + staged.downloaded_bytes)
        error = result.error or {}
        if error.get("step") == "verify" and error.get("path") == archive:
            hint = (
                "the controller had the right bytes: look at the connection to %s, and at its remote_tmp" % self._host
            )
            msg = "the transfer spoilt the archive: %s; %s" % (result.msg.partition(";")[0], hint)
            return result._replace(error=dict(error, hint=hint), msg=msg[:400])
        return result

    @property
    def _of_role(self) -> bool:
        """Whether this is the task of our role."""
        return self._task._role is not None and bool(self._task._role.get_name() == ROLE)

    @property
    def _host(self) -> str:
        host: str = self._task.delegate_to or self._task_vars.get("inventory_hostname") or "the target"
        return host

    def _log(self, line: str, warning: bool = False) -> None:
        line = redacted(printable("controller: %s" % line), self._secrets)
        self._steps.append(line)
        display.vvv(line, host=self._host)
        if warning:
            self._warnings.append(line)

    def _display_line(self, line: str) -> None:
        # stdout belongs to the callback, which may write JSON there.
        display.display(
            "terraform_binary: [%s] %s" % (printable(self._host), redacted(printable(line), self._secrets)), stderr=True
        )

    def _display_waiting(self, what: str) -> None:
        self._display_line("waiting for the download of %s for another host" % what)

    def _arguments(self, environ: Mapping[str, str], of_task: Mapping[str, str]) -> Params:
        """Return the task's arguments without null and blank ones, with key files replaced by their text."""
        given = decrypt_values(self._task.args)
        if self._of_role:
            given.update(decrypt_values(read_role_variables(self._task_vars, self._template)))
        arguments = {key: value for key, value in given.items() if not is_blank(value)}
        check_options(arguments)
        check_types(arguments, SPEC)
        self._written = str(arguments.get("version") or arguments.get("version_file") or "").strip()
        arguments.update(self._find_version(arguments.get("version"), arguments.pop("version_file", None)))
        arguments = read_file_options(apply_environment(arguments, environ, of_task), self._find, self._decrypt)
        keys = as_list(arguments.get("trusted_keys"))
        if keys:
            arguments["trusted_keys"] = [read_trusted_key(key, self._find, self._decrypt) for key in keys]
        return arguments

    def _template(self, variable: Params) -> Params:
        return template_without_facts(self, self._task_vars, variable)

    def _find_version(self, version: Any, version_file: Any) -> Params:
        """Return the option version, as written or from version_file: dict. Raises RequestError.

        It refuses an invalid version here, while the value still has the type that YAML gave it.
        """
        if version_file is None:
            self._requested = read_version(version).text
            return {"version": version}
        if version is not None:
            raise RequestError("both version and version_file are given", hint="leave one of them out")
        path = str(version_file).strip()
        found = self._find(path)
        if found is None:
            raise RequestError(
                "version_file: %s is neither a file nor a folder on the controller" % ascii(path[:200]),
                hint=NOT_FOUND_HINT,
            )
        wanted = read_version_file(found)
        self._requested = wanted.text
        self._origin = ("version %s from %s" % (wanted.version, wanted.places),)
        self._log(self._origin[0])
        return {"version": wanted.version}

    def _decrypt(self, path: str) -> str:
        """Return the path of a decrypted copy of a file, which cleanup() removes. Raises RequestError."""
        return decrypt_file(self._loader, path)

    def _find(self, path: str) -> Optional[str]:
        """Find a file or directory of the controller as copy finds its src: its path, or None."""
        try:
            found: str = self._find_needle("files", os.path.expanduser(path))
        except AnsibleError:
            return None
        return found


class TransferError(InstallError):
    """The archive could not be sent to the target."""


class StartError(TerraformBinaryError):
    """Ansible could not run the module on the target."""

    step = "setup"


def _least_python() -> Tuple[int, ...]:
    """Return the oldest Python for a target, as a tuple: ours, or that of this ansible-core if it is newer."""
    least = getattr(importlib.import_module("ansible.module_utils.basic"), "_PY_MIN", None)
    return max(least, _LEAST_PYTHON) if isinstance(least, tuple) else _LEAST_PYTHON  # a boolean up to 2.16


def validate_arguments(arguments: Params, spec: Mapping[str, Mapping[str, Any]]) -> Params:
    """Validate arguments as the module will: dict of all its options. It is not sent to the target. Raises RequestError."""
    given = dict(arguments)
    short: Params = {}
    for name in given.keys() & {"url_headers", "headers"}:
        # ansible-core 2.22 masks what the validator considers secret in everything that the play shows afterwards.
        with contextlib.suppress(TypeError):  # the validator reports it
            headers = check_type_dict(given[name])
            short.update((key, value) for key, value in headers.items() if len(str(value)) < SHORTEST_SECRET)
            given[name] = {key: "" if key in short else value for key, value in headers.items()}
    checked = ArgumentSpecValidator(spec).validate(given)
    if checked.error_messages:
        raise RequestError(remove_values("; ".join(checked.error_messages), checked._no_log_values))
    params: Params = checked.validated_parameters
    return dict(params, url_headers={**params["url_headers"], **short}) if short else params


def typed_arguments(arguments: Params, spec: Mapping[str, Mapping[str, Any]]) -> Params:
    """Return the arguments for the script: of their types, but with paths as they are written, for the target to expand."""
    checked = validate_arguments(arguments, spec)
    found = {name: value for name, value in checked.items() if name in spec and value is not None}
    for name, value in arguments.items():
        if name in spec and spec[name]["type"] == "path":
            found[name] = str(value)
        elif name in spec and spec[name].get("elements") == "path":
            found[name] = as_list(value)
    return found


def decrypt_file(loader: Any, path: str) -> str:
    """Return the path of a copy of a file that ansible-vault encrypted, decrypted. Raises RequestError.

    :param loader: DataLoader, which removes the copy when it is told to.
    """
    try:
        plain: str = loader.get_real_file(path)
    except AnsibleError as exc:
        raise RequestError(
            "%s is encrypted by ansible-vault, and is not decrypted: %s" % (path, exc),
            path=path,
            hint="give ansible-playbook the password (--vault-id), or the job template one",
        ) from exc
    return plain


def _null_log(line: str, warning: bool = False) -> None:
    """A log that discards every line."""
